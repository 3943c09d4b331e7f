//! Videos: what is watched, and how it gets there.

use serde::{Deserialize, Serialize};

use super::channel::ChannelCard;
use super::interaction::Rating;
use crate::{PlaylistId, Timestamp, VideoId};

/// Who may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Privacy {
    /// Everybody; listed and found.
    #[default]
    Public,
    /// Everybody who has the address.
    Unlisted,
    /// The owner.
    Private,
    /// Everybody who is signed in.
    Internal,
    /// Everybody who knows the password.
    Password,
}

/// Where a video is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoState {
    /// Bytes are still coming.
    Uploading,
    /// All bytes are there, nothing is playable yet.
    Processing,
    /// Playable.
    Published,
    /// Playable, shown from `publishAt`.
    Scheduled,
    /// Cannot be played; `failure` says why.
    Failed,
    /// Taken down by a moderator.
    Blocked,
}

/// Who may comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum CommentPolicy {
    /// Everybody who is signed in.
    #[default]
    Open,
    /// Comments wait for the owner.
    Held,
    /// Nobody.
    Closed,
}

/// A video in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoCard {
    /// The video's id.
    pub id: VideoId,
    /// The title.
    pub title: String,
    /// Whose it is.
    pub channel: ChannelCard,
    /// Who may watch.
    pub privacy: Privacy,
    /// Where it is on its way.
    pub state: VideoState,
    /// Seconds.
    pub duration: f64,
    /// When it was published; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// How often it was viewed.
    pub views: u64,
    /// The poster; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
}

/// `GET /api/videos/{id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// The video's id.
    pub id: VideoId,
    /// The title.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// Whose it is.
    pub channel: ChannelCard,
    /// Who may watch.
    pub privacy: Privacy,
    /// Where it is on its way.
    pub state: VideoState,
    /// Why it cannot be played, in words, when `state` is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Seconds.
    pub duration: f64,
    /// When it was published; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When it came here.
    pub created_at: Timestamp,
    /// At most 30, each at most 50 characters.
    pub tags: Vec<String>,
    /// One of the instance's categories, or empty.
    pub category: String,
    /// BCP 47, or empty.
    pub language: String,
    /// An SPDX id or a few words, or empty.
    pub license: String,
    /// Whether it is marked as sensitive.
    pub sensitive: bool,
    /// Whether viewers may download it.
    pub download: bool,
    /// Who may comment.
    pub comment_policy: CommentPolicy,
    /// How often it was viewed.
    pub views: u64,
    /// How many like it.
    pub likes: u64,
    /// How many dislike it.
    pub dislikes: u64,
    /// How many comments it has.
    pub comments: u64,
    /// The poster; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// Subtitles.
    pub captions: Vec<Caption>,
    /// Chapters, in order.
    pub chapters: Vec<Chapter>,
    /// The renditions that can be played now, lowest first.
    pub renditions: Vec<Rendition>,
    /// What it takes on the disk, in bytes; for the owner only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where to play it from; absent until something can be played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
}

/// One size of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendition {
    /// Pixels of the shorter side; 0 for sound alone.
    pub height: u32,
    /// Pixels across.
    pub width: u32,
    /// Frames a second.
    pub fps: f64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// RFC 6381 `codecs`, e.g. `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
}

/// Where to play a video from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Playback {
    /// The HLS master playlist.
    pub hls: String,
    /// The same renditions as plain files, lowest first.
    pub files: Vec<PlaybackFile>,
    /// The file as uploaded, where the caller may have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// A rendition as a plain file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaybackFile {
    /// Pixels of the shorter side.
    pub height: u32,
    /// Where it is.
    pub url: String,
    /// Its size.
    pub bytes: u64,
}

/// A subtitle track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caption {
    /// BCP 47.
    pub language: String,
    /// The name to show.
    pub label: String,
    /// WebVTT.
    pub url: String,
}

/// A chapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chapter {
    /// Where it starts, in seconds.
    pub start_seconds: f64,
    /// 1–100 characters.
    pub title: String,
}

/// `PATCH /api/videos/{id}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchVideo {
    /// 1–120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// At most 5,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Move to another channel of one's own, by handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Who may watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
    /// At most 30, each at most 50 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// A category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Whether it is marked as sensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// Whether viewers may download it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<bool>,
    /// Who may comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment_policy: Option<CommentPolicy>,
}

/// `GET /api/videos/{id}/me`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoAndMe {
    /// The caller's rating.
    pub rating: Rating,
    /// Where to go on watching, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<f64>,
    /// Whether the caller subscribes to the channel.
    pub subscribed: bool,
    /// Which of the caller's playlists have it.
    pub playlists: Vec<PlaylistId>,
}

/// An item of `GET /api/me/videos`: one's own, in every state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnVideo {
    /// As others see it in lists.
    #[serde(flatten)]
    pub card: VideoCard,
    /// When it came here.
    pub created_at: Timestamp,
    /// Why it cannot be played, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it takes on the disk, in bytes.
    pub bytes: u64,
    /// How far processing is, 0–1; absent when nothing is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// How many like it.
    pub likes: u64,
    /// How many comments it has.
    pub comments: u64,
}

/// `GET /api/videos/{id}/processing`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processing {
    /// Where the video is on its way.
    pub state: VideoState,
    /// Its steps, in the order they were planned.
    pub jobs: Vec<Job>,
}

/// A step of processing. Also an item of `GET /api/admin/jobs` and `djstreamctl jobs list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// For a retry.
    pub id: String,
    /// Whose step it is.
    pub video_id: VideoId,
    /// What it does.
    pub kind: JobKind,
    /// The rendition's height, where it makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Where it is.
    pub state: JobState,
    /// 0–1.
    pub progress: f64,
    /// What went wrong the last time, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a step of processing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Looks at what the file is.
    Probe,
    /// Puts the streams into HLS without encoding them again.
    Remux,
    /// Encodes one rendition.
    Rendition,
    /// Makes the poster.
    Poster,
}

/// Where a step of processing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waits for its turn.
    Waiting,
    /// Runs.
    Running,
    /// Is done.
    Done,
    /// Failed for good.
    Failed,
}

/// An item of `GET /api/recommendations` and `GET /api/videos/{id}/related`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// What is recommended.
    pub video: VideoCard,
    /// Why.
    pub reason: Reason,
}

/// Why something is recommended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// What kind of reason; clients word it in the viewer's language.
    pub kind: ReasonKind,
    /// The reason in English.
    pub text: String,
    /// The video it is about: 'because you watched …'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<VideoId>,
    /// That video's title, the channel's name, the tag or category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// What kind of reason a recommendation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// People who watched `subject` watched this.
    BecauseYouWatched,
    /// People who liked `subject` liked this.
    BecauseYouLiked,
    /// From a channel that one subscribes to.
    Subscribed,
    /// Its text is like `subject`'s.
    Similar,
    /// From the same channel.
    SameChannel,
    /// Many watch it at present.
    Popular,
    /// It is new, and few have seen it.
    New,
}

/// `POST /api/recommendations/feedback`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecommendationFeedback {
    /// About one video …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<VideoId>,
    /// … or all of a channel, by handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How strongly.
    pub verdict: Verdict,
}

/// What one thinks of a recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Less of that.
    Less,
    /// Never again.
    Never,
}
