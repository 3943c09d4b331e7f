//! Calls between services, under `/internal/` on their Unix sockets. The gateway forwards none of them.
//!
//! | service | call | answer |
//! |---|---|---|
//! | each | `GET /internal/health` | [`StoreHealth`] |
//! | each that has a store | `GET` and `POST /internal/backup` | how far its part of a backup is, in `kit::backup` |
//! | video | `GET` and `POST /internal/backup/media` | the same of the media folder |
//! | each | `GET /internal/logs/{log}?after=&consumer=&wait=` | a page of the log, in `kit::logs` |
//! | each | `GET /internal/logs/{log}/snapshot?consumer=&after=` | a page of the present state, in `kit::logs` |
//! | each that keeps some | `GET /internal/projections`, `POST …/rebuild`, `GET …/dead`, `POST …/dead/retry`, `…/dead/drop` | [`crate::api::projection`] |
//! | each | `GET /internal/queues` | `Vec<QueueDepth>` |
//! | each that has some | `GET /internal/queues/{queue}/jobs?state=&limit=&pageToken=`, `POST …/jobs/{id}/retry`, `DELETE …/jobs/{id}` | [`crate::api::queue`] |
//! | all but the gateway | `GET /internal/removals/{userId}` | [`Removals`] |
//! | all but the gateway | `POST /internal/removals/{userId}/retry` | 204: its dead letters are tried again |
//! | gateway | `GET /internal/users/{id}` | `UserProfile` |
//! | gateway | `GET /internal/users/by-name/{username}` | `UserProfile` |
//! | channel | `GET /internal/channels/{id}` | `ChannelProfile` |
//! | channel | `GET /internal/channels/by-handle/{handle}` | `ChannelProfile` |
//! | channel | `GET /internal/relations/{userId}/{channelId}/{videoId}` | [`Relations`] |
//! | video | `GET /internal/videos/{id}` | `VideoProfile` |
//! | video | `POST /internal/cards` [`CardsQuery`] | [`Cards`], for the caller |
//! | video | `GET /internal/media-grants/{id}` | [`MediaGrant`], for the caller; 404 without the right |
//! | notification (home) | `GET /internal/backlog/{userId}?after=` | `Page<Notification>`, oldest first; without `after` the newest only |

use serde::{Deserialize, Serialize};

use crate::api::video::VideoCard;
use crate::{PlaylistId, VideoId};

/// How the store of a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreHealth {
    /// Whether the disk is so full that only what is essential is written.
    pub nearly_full: bool,
    /// What was repaired since this process began, in sentences.
    pub notes: Vec<String>,
}

/// What a person has to do with a channel and a video, as the channel service knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relations {
    /// Whether they subscribe to the channel.
    pub subscribed: bool,
    /// Which of their playlists have the video.
    pub playlists: Vec<PlaylistId>,
}

/// `POST /internal/cards`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardsQuery {
    /// Which videos, at most 500.
    pub ids: Vec<VideoId>,
}

/// The cards that the caller may see, in the order asked for; those missing are gone or not theirs to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cards {
    /// The cards.
    pub cards: Vec<VideoCard>,
}

/// What the gateway may send of a video's files to this caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaGrant {
    /// Whether everybody may have them: shared caches may keep them, other origins may read them.
    pub public: bool,
    /// The files by their public names.
    pub files: Vec<MediaFile>,
}

/// One file of a video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaFile {
    /// The name after `/media/{videoId}/`, e.g. `480.mp4`.
    pub name: String,
    /// Where it is, relative to the media folder.
    pub path: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Whether these bytes may change under this name (playlists, posters): asked again each time.
    pub changes: bool,
    /// The name to save it under, for downloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_name: Option<String>,
}

/// What a service still has to do before a deleted account is gone from it, and all that follows from that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removals {
    /// Jobs that name the account, and removals of anybody's: they wait or run.
    pub open: u64,
    /// What could not be done.
    pub stuck: Vec<StuckRemoval>,
    /// How far each log of the service is, read after the jobs.
    pub logs: Vec<LogMark>,
}

/// A removal that is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StuckRemoval {
    /// The queue and the job's number, or the event.
    pub what: String,
    /// The last failure.
    pub reason: String,
}

/// How far a log and its slowest reader are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogMark {
    /// The log.
    pub log: String,
    /// The sequence of its last event.
    pub head: u64,
    /// Up to where all of its readers are.
    pub read: u64,
}
