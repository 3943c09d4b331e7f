//! Channels and subscriptions.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, Timestamp};

/// A link that a channel shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Link {
    /// What it says, 1–60 characters.
    pub label: String,
    /// Where it leads: http or https.
    pub url: String,
}

/// `GET /api/channels/{handle}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// The channel's id.
    pub id: ChannelId,
    /// Its name in addresses, `^[a-z0-9][a-z0-9_.-]{1,29}$`.
    pub handle: String,
    /// The name to show.
    pub name: String,
    /// Plain text.
    pub description: String,
    /// How to support the channel, plain text.
    pub support: String,
    /// Links elsewhere.
    pub links: Vec<Link>,
    /// The owner's username.
    pub owner: String,
    /// How many people subscribe.
    pub subscribers: u64,
    /// Published public videos.
    pub videos: u64,
    /// Where the avatar is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// Where the banner is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner_url: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// What the caller has to do with it; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub me: Option<ChannelAndMe>,
}

/// What the caller has to do with a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelAndMe {
    /// Whether the caller owns it.
    pub owner: bool,
    /// The caller's subscription, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
}

/// `PUT /api/channels/{handle}/subscription`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscription {
    /// What to be notified of.
    #[serde(default)]
    pub notify: NotifyLevel,
}

/// What a subscriber is notified of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyLevel {
    /// Every new video.
    #[default]
    All,
    /// Nothing; new videos are in the feed only.
    None,
}

/// A channel where another thing names it: on a video, a card, a search hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelCard {
    /// The channel's id.
    pub id: ChannelId,
    /// Its name in addresses.
    pub handle: String,
    /// The name to show.
    pub name: String,
    /// Where the avatar is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// How many people subscribe.
    pub subscribers: u64,
}

/// `POST /api/channels`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateChannel {
    /// `^[a-z0-9][a-z0-9_.-]{1,29}$`, never changed.
    pub handle: String,
    /// 1–100 characters.
    pub name: String,
    /// At most 5,000 characters.
    #[serde(default)]
    pub description: String,
    /// At most 1,000 characters.
    #[serde(default)]
    pub support: String,
    /// At most 10.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// `PATCH /api/channels/{handle}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchChannel {
    /// 1–100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At most 5,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// At most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// At most 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<Link>>,
}

/// An item of `GET /api/me/subscriptions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// The channel.
    pub channel: ChannelCard,
    /// What one is notified of.
    pub notify: NotifyLevel,
    /// Since when.
    pub created_at: Timestamp,
}
