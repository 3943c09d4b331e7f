//! Tables, keys and records.
//!
//! Keys are the ids' bytes: they sort by time. Everything about one person starts with their id.

use kit::removals::Concern;
use kit::tombstone::{self, Tombstone};
use proto::api::notification::NotificationKind;
use proto::events::{UserProfile, VideoProfile};
use proto::{ChannelId, CommentId, NotificationId, Timestamp, UserId, VideoId};
use serde::{Deserialize, Serialize};
use store::{Counter, Queue, Table};

/// An id as a key.
pub(crate) type Bytes16 = [u8; 16];

/// The inbox: (recipient, notification) → what happened. The newest is the last.
pub(crate) const INBOX: Table<(Bytes16, Bytes16), Row> = Table::new("inbox");

/// How many rows a person has.
pub(crate) const ENTRIES: Counter<Bytes16> = Counter::new("entries");

/// How many of them were not read.
pub(crate) const UNREAD: Counter<Bytes16> = Counter::new("unread");

/// (recipient, video) → the row that gathers the video's likes.
pub(crate) const LIKES: Table<(Bytes16, Bytes16), NotificationId> = Table::new("likes");

/// The last id that was given, so that a clock that goes back gives none before it.
pub(crate) const LAST_ID: Table<(), NotificationId> = Table::new("last-id");

/// What people do not want to be told. Nobody has a row who wants everything.
pub(crate) const PREFERENCES: Table<Bytes16, PreferencesRecord> = Table::new("preferences");

/// (channel, subscriber): who is told of new videos. A projection of the channel service's.
pub(crate) const SUBSCRIBERS: Table<(Bytes16, Bytes16), ()> = Table::new("subscribers");

/// Channels. A projection of the channel service's.
pub(crate) const CHANNELS: Table<Bytes16, ChannelRecord> = Table::new("channels");

/// Videos. A projection of the video service's.
pub(crate) const VIDEOS: Table<Bytes16, VideoRecord> = Table::new("videos");

/// Accounts. A projection of the gateway's.
pub(crate) const PEOPLE: Table<Bytes16, PersonRecord> = Table::new("people");

/// Tombstones of accounts and videos: nobody is told of them any more.
pub(crate) const GONE: Table<Tombstone, ()> = Table::new("gone");

/// Accounts and videos that are gone, while inboxes may still name them.
pub(crate) const TO_FORGET: Table<Bytes16, ()> = Table::new("to-forget");

/// Work that is too much for one batch.
pub(crate) const JOBS: Queue<Job> = Queue::new("jobs");

/// One entry of an inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub kind: NotificationKind,
    pub created_at: Timestamp,
    pub read: bool,
    /// How many people did it.
    pub count: u64,
    /// Who did it, the last one first; of many, the last [`crate::limits::ACTORS_KEPT`].
    pub actors: Vec<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<CommentId>,
    /// A channel's handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<NotificationId>,
}

impl Row {
    /// An unread row with nothing but its kind and time.
    pub(crate) fn new(kind: NotificationKind, created_at: Timestamp) -> Self {
        Self {
            kind,
            created_at,
            read: false,
            count: 1,
            actors: Vec::new(),
            video: None,
            video_title: None,
            comment: None,
            channel: None,
            text: None,
            replaces: None,
        }
    }
}

/// What a person does not want.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PreferencesRecord {
    /// Kinds that are kept out of the page and the inbox.
    pub page_off: Vec<NotificationKind>,
}

/// What is known of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelRecord {
    pub handle: String,
}

/// What is known of a video. In data of older versions: nothing but its end once it was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VideoRecord {
    pub profile: Option<VideoProfile>,
}

/// What is known of an account. In data of older versions: nothing but its end once it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersonRecord {
    pub profile: Option<UserProfile>,
}

/// Work that is done in pieces, each of them one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Job {
    /// Tells a channel's subscribers of a video.
    NewVideo {
        video: VideoId,
        title: String,
        owner: UserId,
        channel: ChannelId,
        at: Timestamp,
        /// The last subscriber that was told.
        after: Option<UserId>,
    },
    /// Removes everything about a person.
    Forget { user: UserId },
    /// Takes what is [`TO_FORGET`] out of all inboxes.
    Sweep,
}

impl Job {
    /// How it has to do with the end of an account.
    pub(crate) fn concern(&self, account: UserId) -> Concern {
        match self {
            Self::Forget { user } if *user == account => Concern::Account,
            Self::Forget { .. } | Self::Sweep => Concern::Removal,
            Self::NewVideo { owner, .. } if *owner == account => Concern::Account,
            Self::NewVideo { .. } => Concern::None,
        }
    }
}

/// The key of what is gone.
pub(crate) fn gone(id: Bytes16) -> Tombstone {
    tombstone::of_id(id)
}
