//! Notifications: the inbox and what goes over the websocket.

use serde::{Deserialize, Serialize};

use super::Person;
use crate::{CommentId, NotificationId, Timestamp, VideoId};

/// What somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationKind {
    /// A channel that one subscribes to has a new video.
    NewVideo,
    /// Somebody commented on one's video.
    Comment,
    /// Somebody answered one's comment.
    Reply,
    /// Somebody mentioned one in a comment.
    Mention,
    /// People like one's video; merged into one.
    Like,
    /// Somebody subscribed to one's channel.
    Subscriber,
    /// One's upload can be played.
    ProcessingDone,
    /// One's upload cannot be played.
    ProcessingFailed,
    /// A moderator decided something about oneself.
    Moderation,
    /// Somebody reported something (moderators).
    Report,
    /// Somebody wants to join (admins).
    Registration,
}

/// An item of `GET /api/notifications`, and a frame on the websocket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Sorts by time; `after=` takes it. A merged one that grows gets a new id.
    pub id: NotificationId,
    /// What it is about.
    pub kind: NotificationKind,
    /// When it (last) happened.
    pub created_at: Timestamp,
    /// Whether it was read.
    pub read: bool,
    /// How many people, for merged ones; else 1.
    pub count: u64,
    /// Who did it; the last one, for merged ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Person>,
    /// The video it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<VideoId>,
    /// That video's title when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_title: Option<String>,
    /// That video's poster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// The comment it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment_id: Option<CommentId>,
    /// The channel it is about, by handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The first words of a comment, or why processing failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The notification that this one replaces: a merged one that grew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<NotificationId>,
}

/// `GET /api/notifications/unread-count`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadCount {
    /// How many were not read.
    pub unread: u64,
}

/// `POST /api/notifications/read`: one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkRead {
    /// These, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<NotificationId>>,
    /// This one and all before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<NotificationId>,
}

/// `POST /api/notifications/ticket`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// For `GET /api/notifications/socket?ticket=`; works once.
    pub ticket: String,
    /// Seconds until it ends.
    pub expires_in: u32,
}

/// `GET` and `PUT /api/notifications/preferences`: how each kind reaches one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preferences {
    /// One entry a kind; a kind that is left out keeps its default (in the page).
    pub kinds: Vec<Preference>,
}

/// How one kind reaches one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preference {
    /// Which kind.
    pub kind: NotificationKind,
    /// In the page and the inbox.
    pub page: bool,
}
