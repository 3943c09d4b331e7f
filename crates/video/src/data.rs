//! What the video service keeps: tables, keys, records.

use kit::removals::Concern;
use kit::tombstone::{self, Tombstone};
use proto::api::video::{Chapter, CommentPolicy, JobKind, Privacy, VideoState};
use proto::events::{ChannelProfile, EVENTS, VideoEvent, VideoProfile};
use proto::{ChannelId, Timestamp, UploadId, UserId, VideoId};
use serde::{Deserialize, Serialize};
use store::{Batch, Counter, Desc, Log, Push, Queue, Store, Table, Texts};

use crate::media::poster::Poster;
use crate::media::{Probe, Rendition, RenditionPlan};

/// Sixteen bytes of an identifier: they sort like the identifiers.
pub(crate) type IdKey = [u8; 16];
/// Where a video stands among the listed ones: newest first.
pub(crate) type ListedKey = (Desc<i64>, Desc<IdKey>);

/// Videos by id.
pub(crate) const VIDEOS: Table<IdKey, VideoRecord> = Table::new("videos");
/// Description and tags of a video, as JSON of [`About`].
pub(crate) const ABOUTS: Texts<IdKey> = Texts::new("abouts");
/// Chapters of a video, as JSON.
pub(crate) const CHAPTERS: Texts<IdKey> = Texts::new("chapters");
/// Projection of interaction's counts.
pub(crate) const COUNTS: Table<IdKey, Counts> = Table::new("counts");
/// (owner, video): all videos of a person, newest first.
pub(crate) const OWNED: Table<(IdKey, Desc<IdKey>), ()> = Table::new("owned");
/// (channel, video): all videos of a channel, newest first.
pub(crate) const OF_CHANNEL: Table<(IdKey, Desc<IdKey>), ()> = Table::new("of-channel");
/// The videos that lists may name.
pub(crate) const LISTED: Table<ListedKey, ListedRecord> = Table::new("listed");
/// Bytes that a person's files take, and that their open uploads will take.
pub(crate) const BYTES_USED: Counter<IdKey> = Counter::new("bytes-used");

/// Uploads by id.
pub(crate) const UPLOADS: Table<IdKey, UploadRecord> = Table::new("uploads");
/// `Upload-Metadata` of an upload, as it came.
pub(crate) const UPLOAD_METADATA: Texts<IdKey> = Texts::new("upload-metadata");
/// Open uploads of a person.
pub(crate) const UPLOADS_OPEN: Counter<IdKey> = Counter::new("uploads-open");
/// The upload that a video comes from.
pub(crate) const UPLOAD_OF: Table<IdKey, UploadId> = Table::new("upload-of");

/// (video, step): the steps of processing, in the order they were planned.
pub(crate) const STEPS: Table<(IdKey, u32), StepRecord> = Table::new("steps");
/// What ffprobe found in a video's original.
pub(crate) const PROBES: Table<IdKey, Probe> = Table::new("probes");

/// Projection of the channel service's channels.
pub(crate) const CHANNELS: Table<IdKey, ChannelProfile> = Table::new("channels");
/// Who has a handle.
pub(crate) const HANDLES: Table<String, ChannelId> = Table::new("handles");
/// (owner, channel): the channels of a person, oldest first.
pub(crate) const CHANNELS_OF: Table<(IdKey, IdKey), ()> = Table::new("channels-of");

/// Tombstones of accounts: they upload nothing any more.
pub(crate) const GONE_USERS: Table<Tombstone, ()> = Table::new("gone-users");
/// Videos and channels that are gone, while the recommender may still know what people did with them.
pub(crate) const TO_FORGET: Table<IdKey, ()> = Table::new("to-forget");

/// What the other services, and the search index, are told.
pub(crate) const LOG: Log<VideoEvent> = Log::new(EVENTS, &["channel", "interaction", "notification", "search"]);
/// The steps of processing, and removals.
pub(crate) const JOBS: Queue<Job> = Queue::new("processing");

/// Probing, repackaging, posters, removals: never behind a transcode.
pub(crate) const LANE_QUICK: u8 = 0;
/// Transcodes.
pub(crate) const LANE_SLOW: u8 = 1;

/// A video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VideoRecord {
    pub owner: UserId,
    pub channel: ChannelId,
    pub title: String,
    pub privacy: Privacy,
    pub state: VideoState,
    /// Why it cannot be played.
    #[serde(default)]
    pub failure: Option<String>,
    pub comment_policy: CommentPolicy,
    /// Seconds.
    pub duration: f64,
    pub created_at: Timestamp,
    /// When others could first watch it; for one that nobody else may watch, when it became playable.
    #[serde(default)]
    pub published_at: Option<Timestamp>,
    /// Others were told that it is published.
    #[serde(default)]
    pub announced: bool,
    #[serde(default)]
    pub category: String,
    #[serde(default)]
    pub language: String,
    #[serde(default)]
    pub license: String,
    #[serde(default)]
    pub sensitive: bool,
    #[serde(default)]
    pub download: bool,
    /// The file as uploaded.
    pub original: Original,
    #[serde(default)]
    pub poster: Option<Poster>,
    /// What can be played, in no order.
    #[serde(default)]
    pub renditions: Vec<Rendition>,
    /// Name of the master playlist in the video's folder.
    #[serde(default)]
    pub master: Option<String>,
    #[serde(default)]
    pub captions: Vec<CaptionRecord>,
    /// Grows with every edit.
    pub version: u64,
}

impl VideoRecord {
    /// What all its files take, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let renditions: u64 = self.renditions.iter().map(|one| one.bytes + one.playlist_bytes).sum();
        let poster = self.poster.as_ref().map_or(0, |poster| poster.large_bytes + poster.small_bytes);
        let captions: u64 = self.captions.iter().map(|caption| caption.bytes).sum();
        self.original.bytes + renditions + poster + captions
    }

    /// The names of all its files.
    pub(crate) fn files(&self) -> Vec<&str> {
        let mut files = vec![self.original.file.as_str()];
        files.extend(self.renditions.iter().flat_map(|one| [one.file.as_str(), one.playlist.as_str()]));
        files.extend(self.poster.iter().flat_map(|poster| [poster.large.as_str(), poster.small.as_str()]));
        files.extend(self.captions.iter().map(|caption| caption.file.as_str()));
        files.extend(self.master.as_deref());
        files
    }

    /// As the other services know it.
    pub(crate) fn profile(&self, id: VideoId) -> VideoProfile {
        VideoProfile {
            id,
            owner: self.owner,
            channel: self.channel,
            title: self.title.clone(),
            privacy: self.privacy,
            state: self.state,
            comment_policy: self.comment_policy,
            duration: self.duration,
            published_at: self.published_at,
            thumbnail_url: self.thumbnail_url(id),
        }
    }

    /// The poster for lists.
    pub(crate) fn thumbnail_url(&self, id: VideoId) -> Option<String> {
        self.poster.as_ref().map(|_| format!("/media/{id}/thumbnail.jpg"))
    }
}

/// The file as uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    /// Its name in the video's folder: random, without extension.
    pub file: String,
    /// Its length; what was announced while the upload is open.
    pub bytes: u64,
    /// The name it had at the uploader's.
    pub name: String,
    /// SHA-256 of all of it, once it is complete.
    #[serde(default)]
    pub sha256: Option<[u8; 32]>,
}

/// A subtitle track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaptionRecord {
    /// BCP 47.
    pub language: String,
    pub label: String,
    /// Name of the WebVTT file in the video's folder.
    pub file: String,
    pub bytes: u64,
}

/// The long part of a video.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub description: String,
    pub tags: Vec<String>,
}

/// Chapters are kept as their public form.
pub(crate) type Chapters = Vec<Chapter>;

/// What people did with a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub views: u64,
    pub likes: u64,
    pub dislikes: u64,
    pub comments: u64,
}

/// A video that lists may name, with what they are filtered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedRecord {
    pub channel: ChannelId,
    /// Only for those who are signed in.
    pub internal: bool,
    pub category: String,
    /// Lower case.
    pub tags: Vec<String>,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub owner: UserId,
    pub video: VideoId,
    /// Announced bytes; unknown while deferred.
    pub length: Option<u64>,
    /// Bytes that are durable.
    pub offset: u64,
    /// State of SHA-256 over them.
    pub sha256_state: Vec<u8>,
    /// SHA-256 that the whole has to have, if the client said.
    #[serde(default)]
    pub sha256_expected: Option<[u8; 32]>,
    /// Name of the file in the video's folder.
    pub file: String,
    pub touched_at: Timestamp,
    /// All bytes are there and processing is under way.
    pub finished: bool,
}

/// Where a step is, as far as it has to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepState {
    Open,
    Done,
    Failed,
}

/// A step of processing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    pub kind: JobKind,
    /// What to make, for steps that make a rendition.
    #[serde(default)]
    pub plan: Option<RenditionPlan>,
    pub state: StepState,
    #[serde(default)]
    pub error: Option<String>,
}

/// What is done after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Job {
    /// A step of processing.
    Step { video: VideoId, step: u32 },
    /// Remove the files of a video that is gone.
    RemoveFiles(VideoId),
    /// Remove the videos of a channel that is gone.
    RemoveChannel(ChannelId),
    /// Remove all of an account that is gone.
    RemoveUser(UserId),
    /// Forget what people did with what is [`TO_FORGET`].
    Forget,
}

impl Job {
    /// How it has to do with the end of an account.
    pub(crate) fn concern(&self, store: &Store, user: UserId) -> Concern {
        match self {
            Self::RemoveUser(of) if *of == user => Concern::Account,
            Self::RemoveUser(_) | Self::RemoveChannel(_) | Self::RemoveFiles(_) | Self::Forget => Concern::Removal,
            // A step of a video that is gone ends as soon as it is looked at.
            Self::Step { video, .. } => match store.contains(VIDEOS, &video.bytes()) {
                Ok(true) => Concern::None,
                Ok(false) | Err(_) => Concern::Removal,
            },
        }
    }
}

/// A batch that nothing comes of once the account is gone.
pub(crate) fn while_there(batch: Batch, user: UserId) -> Batch {
    batch.assert_absent(GONE_USERS, &tombstone::of_id(user.bytes()))
}

/// Leaves it to a job to forget what people did with a video or a channel.
pub(crate) fn to_forget(batch: Batch, id: IdKey) -> Batch {
    batch.put(TO_FORGET, &id, &()).push(JOBS, Push::new(&Job::Forget))
}
