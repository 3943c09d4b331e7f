//! Ratings, comments, views and history.

use serde::{Deserialize, Serialize};

use super::Person;
use super::video::VideoCard;
use crate::{CommentId, Timestamp, VideoId};

/// What somebody thinks of a video or a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Rating {
    /// Likes it.
    Like,
    /// Does not like it.
    Dislike,
    /// Has no opinion.
    #[default]
    None,
}

/// `PUT /api/videos/{id}/rating`, its answer, and `GET …/rating`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rated {
    /// The caller's rating.
    pub rating: Rating,
}

/// A comment or a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comment {
    /// The comment's id.
    pub id: CommentId,
    /// On which video.
    pub video_id: VideoId,
    /// The comment it answers; absent for the first of a thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CommentId>,
    /// Who wrote it; absent for a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Person>,
    /// Plain text, at most 10,000 characters; empty for a tombstone.
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// True for a tombstone: the comment is gone, its replies are not.
    pub deleted: bool,
    /// How many replies it has.
    pub replies: u64,
    /// How many like it.
    pub likes: u64,
    /// Whether the channel's owner wrote it.
    pub by_owner: bool,
    /// What the caller thinks of it; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub my_rating: Option<Rating>,
}

/// `POST /api/videos/{id}/comments`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateComment {
    /// 1–10,000 characters of plain text.
    pub text: String,
    /// The comment to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CommentId>,
}

/// `PATCH /api/comments/{id}`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchComment {
    /// 1–10,000 characters of plain text.
    pub text: String,
}

/// `POST /api/videos/{id}/views`: a heartbeat of the player, every 10 s or so.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct View {
    /// The page's random id, 8–64 characters of `[A-Za-z0-9_-]`.
    pub session_id: String,
    /// Where the film is now, in seconds.
    pub position_seconds: f64,
    /// Seconds watched since the page was opened, pauses and jumps left out.
    pub watched_seconds: f64,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewCounted {
    /// Whether this viewer's view of the last 24 h has been counted.
    pub counted: bool,
}

/// An item of `GET /api/me/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryItem {
    /// What was watched.
    pub video: VideoCard,
    /// When last.
    pub watched_at: Timestamp,
    /// Where to go on, in seconds.
    pub position_seconds: f64,
}

/// `PUT /api/me/history/paused`, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryPaused {
    /// While true, nothing is added.
    pub paused: bool,
}
