//! What the interaction service keeps: tables, keys, records.

use kit::removals::Concern;
use kit::tombstone::{self, Tombstone};
use proto::api::interaction::Rating;
use proto::api::notification::NotificationKind;
use proto::events::{EVENTS, InteractionEvent, NOTIFICATIONS, Notify, UserProfile, VideoProfile, Viewer};
use proto::{CommentId, Id, Timestamp, UserId, VideoId};
use serde::{Deserialize, Serialize};
use store::{Batch, Counter, Desc, Log, Queue, Table, Texts};

/// Sixteen bytes of an identifier: they sort like the identifiers.
pub(crate) type IdKey = [u8; 16];

/// What is rated: its kind, its id.
pub(crate) type TargetKey = (u8, IdKey);

/// (user, kind, target): what somebody thinks of something, once the consumer has counted it.
pub(crate) const RATINGS: Table<(IdKey, u8, IdKey), RatingRecord> = Table::new("ratings");
/// (kind, target, user): who has a row in [`RATINGS`].
pub(crate) const RATERS: Table<(u8, IdKey, IdKey), ()> = Table::new("raters");
/// (user, kind, target, token): ratings that were answered and wait to be counted; the last one holds.
pub(crate) const PENDING: Table<(IdKey, u8, IdKey, IdKey), Rating> = Table::new("pending-ratings");
/// Likes of a video or a comment.
pub(crate) const LIKES: Counter<TargetKey> = Counter::new("likes");
/// Dislikes of a video or a comment.
pub(crate) const DISLIKES: Counter<TargetKey> = Counter::new("dislikes");

/// Comments and replies by id.
pub(crate) const COMMENTS: Table<IdKey, CommentRecord> = Table::new("comments");
/// Texts that are too long for the record.
pub(crate) const COMMENT_TEXTS: Texts<IdKey> = Texts::new("comment-texts");
/// (video, comment): the first comments of threads, oldest first.
pub(crate) const THREADS: Table<(IdKey, IdKey), ()> = Table::new("threads");
/// (first comment of a thread, reply), oldest first.
pub(crate) const REPLIES: Table<(IdKey, IdKey), ()> = Table::new("replies");
/// (author, comment).
pub(crate) const WRITTEN_BY: Table<(IdKey, IdKey), ()> = Table::new("written-by");
/// Rows of a thread in [`REPLIES`].
pub(crate) const THREAD_SIZE: Counter<IdKey> = Counter::new("thread-size");
/// Replies of a thread that everybody sees.
pub(crate) const REPLY_COUNT: Counter<IdKey> = Counter::new("reply-count");
/// Comments of a video that everybody sees, replies included.
pub(crate) const COMMENT_COUNT: Counter<IdKey> = Counter::new("comment-count");

/// Views of a video.
pub(crate) const VIEW_COUNT: Counter<IdKey> = Counter::new("view-count");
/// (video, viewer): when their view was counted last.
pub(crate) const COUNTED: Table<(IdKey, Vec<u8>), Timestamp> = Table::new("counted");
/// (time, video, viewer): which of [`COUNTED`] can be forgotten first.
pub(crate) const COUNTED_BY_TIME: Table<(i64, IdKey, Vec<u8>), ()> = Table::new("counted-by-time");
/// (user, video): what somebody watched.
pub(crate) const HISTORY: Table<(IdKey, IdKey), HistoryRecord> = Table::new("history");
/// (user, time, video): the same, newest first.
pub(crate) const HISTORY_BY_TIME: Table<(IdKey, Desc<i64>, IdKey), ()> = Table::new("history-by-time");
/// (video, user): who has a video in their history.
pub(crate) const WATCHERS: Table<(IdKey, IdKey), ()> = Table::new("watchers");
/// Videos in somebody's history.
pub(crate) const HISTORY_COUNT: Counter<IdKey> = Counter::new("history-count");
/// Users whose history is paused.
pub(crate) const HISTORY_PAUSED: Table<IdKey, ()> = Table::new("history-paused");

/// Projection of the gateway's accounts.
pub(crate) const USERS: Table<IdKey, UserProfile> = Table::new("users");
/// The same by username.
pub(crate) const USERNAMES: Table<String, UserId> = Table::new("usernames");
/// Projection of the video service's videos.
pub(crate) const VIDEOS: Table<IdKey, VideoProfile> = Table::new("videos");
/// Tombstones of videos that were deleted: nothing is written about them any more.
pub(crate) const GONE: Table<Tombstone, ()> = Table::new("gone-videos");
/// Tombstones of accounts that were deleted: nothing is written in their name any more.
pub(crate) const GONE_USERS: Table<Tombstone, ()> = Table::new("gone-users");

/// What video is told.
pub(crate) const LOG: Log<InteractionEvent> = Log::new(EVENTS, &["video"]);
/// Who is to be told something.
pub(crate) const NOTIFY_LOG: Log<Notify> = Log::new(NOTIFICATIONS, &["notification"]);
/// What was answered and is still to be counted and told.
pub(crate) const JOBS: Queue<Job> = Queue::new("interactions");
/// The lane of interactions.
pub(crate) const LANE_INTERACTIONS: u8 = 0;
/// The lane of removals, which interactions do not wait for.
pub(crate) const LANE_REMOVALS: u8 = 1;

/// What somebody rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    Video(VideoId),
    Comment(CommentId),
}

impl Target {
    /// Its part of a key.
    pub(crate) fn key(self) -> TargetKey {
        match self {
            Self::Video(id) => (0, id.bytes()),
            Self::Comment(id) => (1, id.bytes()),
        }
    }

    /// What a key stands for.
    pub(crate) fn of((kind, id): TargetKey) -> Self {
        match kind {
            0 => Self::Video(VideoId::from_bytes(id)),
            _ => Self::Comment(CommentId::from_bytes(id)),
        }
    }
}

/// What somebody thinks of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RatingRecord {
    pub rating: Rating,
    pub at: Timestamp,
    /// Whether the owner was told of a like: they are not told again after an un-like.
    pub told: bool,
}

/// A comment or a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommentRecord {
    pub video: VideoId,
    /// Nobody for a tombstone.
    #[serde(default)]
    pub author: Option<UserId>,
    /// The first comment of the thread; absent for that one.
    #[serde(default)]
    pub parent: Option<CommentId>,
    /// Absent where it is in [`COMMENT_TEXTS`].
    #[serde(default)]
    pub text: Option<String>,
    pub created_at: Timestamp,
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    /// A tombstone.
    #[serde(default)]
    pub deleted: bool,
    /// For its author and the video's owner only.
    #[serde(default)]
    pub held: bool,
    /// Grows with every change.
    pub version: u64,
}

/// A video in somebody's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HistoryRecord {
    pub watched_at: Timestamp,
    pub position_seconds: f64,
}

/// What was answered and is still to be counted and told. A job has all that it needs: the consumer asks nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Job {
    /// Somebody's opinion.
    Rate(Rate),
    /// A new comment.
    Comment(Commented),
    /// A comment that was counted is gone.
    Uncomment {
        /// Of which video.
        video: VideoId,
    },
    /// A view to count.
    View {
        /// Of which video.
        video: VideoId,
    },
    /// Remove all about a video that is gone.
    RemoveVideo(VideoId),
    /// Remove the ratings of a comment that is gone.
    RemoveRatings(CommentId),
    /// Remove all of an account that is gone.
    RemoveUser(UserId),
}

impl Job {
    /// How it has to do with the end of an account.
    pub(crate) fn concern(&self, user: UserId) -> Concern {
        match self {
            Self::RemoveUser(of) if *of == user => Concern::Account,
            Self::RemoveUser(_) | Self::RemoveVideo(_) | Self::RemoveRatings(_) => Concern::Removal,
            Self::Rate(rate) if rate.user == user || rate.owner == user => Concern::Account,
            Self::Comment(comment) if comment.author == user || comment.tell.iter().any(|(to, _)| *to == user) => {
                Concern::Account
            }
            Self::Rate(_) | Self::Comment(_) | Self::Uncomment { .. } | Self::View { .. } => Concern::None,
        }
    }
}

/// The key of what is gone.
pub(crate) fn gone(id: IdKey) -> Tombstone {
    tombstone::of_id(id)
}

/// A batch that nothing comes of once the account is gone.
pub(crate) fn while_there(batch: Batch, user: UserId) -> Batch {
    batch.assert_absent(GONE_USERS, &gone(user.bytes()))
}

/// Somebody's opinion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub user: UserId,
    pub target: Target,
    pub rating: Rating,
    /// Which row of [`PENDING`] goes with it.
    pub token: Id,
    pub at: Timestamp,
    /// The video, also where a comment of it is rated.
    pub video: VideoId,
    /// Whose it is.
    pub owner: UserId,
    /// The video's title.
    pub title: String,
}

/// A new comment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Commented {
    pub comment: CommentId,
    pub video: VideoId,
    pub author: UserId,
    pub at: Timestamp,
    /// Whether everybody sees it.
    pub counted: bool,
    /// Who is told, and why.
    pub tell: Vec<(UserId, NotificationKind)>,
    /// The video's title.
    pub title: String,
    /// The first characters.
    pub excerpt: String,
}

/// A viewer as part of a key.
pub(crate) fn viewer_key(viewer: &Viewer) -> Vec<u8> {
    match viewer {
        Viewer::User(id) => [b"u".as_slice(), id.bytes().as_slice()].concat(),
        Viewer::Page(session) => [b"p", session.as_bytes()].concat(),
    }
}
