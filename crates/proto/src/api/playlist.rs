//! Playlists.

use serde::{Deserialize, Serialize};

use super::Person;
use super::video::VideoCard;
use crate::{ItemId, PlaylistId, Timestamp, VideoId};

/// Who may see a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum PlaylistPrivacy {
    /// Everybody; listed and found.
    Public,
    /// Everybody who has the address.
    Unlisted,
    /// The owner.
    #[default]
    Private,
}

/// `GET /api/playlists/{id}`, and an item of `GET /api/me/playlists`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Playlist {
    /// The playlist's id.
    pub id: PlaylistId,
    /// 1–100 characters.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// Who may see it.
    pub privacy: PlaylistPrivacy,
    /// `watch-later` for the one that everybody has, else `playlist`.
    pub kind: PlaylistKind,
    /// Who made it.
    pub owner: Person,
    /// How many items it has.
    pub items: u64,
    /// The first video's poster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its items last changed.
    pub updated_at: Timestamp,
}

/// Made by hand, or the one that everybody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum PlaylistKind {
    /// Made by hand.
    #[default]
    Playlist,
    /// 'Watch later': private, cannot be deleted.
    WatchLater,
}

/// `POST /api/playlists`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreatePlaylist {
    /// 1–100 characters.
    pub title: String,
    /// At most 5,000 characters.
    #[serde(default)]
    pub description: String,
    /// Who may see it.
    #[serde(default)]
    pub privacy: PlaylistPrivacy,
}

/// `PATCH /api/playlists/{id}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchPlaylist {
    /// 1–100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// At most 5,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PlaylistPrivacy>,
}

/// An item of `GET /api/playlists/{id}/items`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaylistItem {
    /// The item's id: the same video may stand twice.
    pub id: ItemId,
    /// The video; absent when it is gone or not visible to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoCard>,
    /// Where to start, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_seconds: Option<f64>,
    /// Where to end, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_seconds: Option<f64>,
    /// A few words, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was added.
    pub added_at: Timestamp,
}

/// `POST /api/playlists/{id}/items`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddItem {
    /// Which video.
    pub video_id: VideoId,
    /// Where to start, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_seconds: Option<f64>,
    /// Where to end, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_seconds: Option<f64>,
    /// A few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `PATCH /api/playlists/{id}/items/{itemId}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchItem {
    /// The new place, counted from 0; beyond the end means last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Where to start, in seconds; `null` clears it.
    #[serde(default, deserialize_with = "super::nullable", skip_serializing_if = "Option::is_none")]
    pub start_seconds: Option<Option<f64>>,
    /// Where to end, in seconds; `null` clears it.
    #[serde(default, deserialize_with = "super::nullable", skip_serializing_if = "Option::is_none")]
    pub end_seconds: Option<Option<f64>>,
    /// A few words; `null` clears them.
    #[serde(default, deserialize_with = "super::nullable", skip_serializing_if = "Option::is_none")]
    pub note: Option<Option<String>>,
}
