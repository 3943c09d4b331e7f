//! What the channel service keeps: tables, keys, records.

use kit::removals::Concern;
use kit::tombstone::{self, Tombstone};
use proto::api::channel::{Link, NotifyLevel};
use proto::api::playlist::{PlaylistKind, PlaylistPrivacy};
use proto::events::{ChannelEvent, EVENTS, UserProfile, VideoProfile};
use proto::{ChannelId, PlaylistId, Timestamp, UserId, VideoId};
use serde::{Deserialize, Serialize};
use store::{Batch, Counter, Desc, Log, Queue, Table, Texts};

/// Sixteen bytes of an identifier: they sort like the identifiers.
pub(crate) type IdKey = [u8; 16];

/// Channel, time, video.
pub(crate) type FeedKey = (IdKey, Desc<i64>, Desc<IdKey>);

/// Channels by id.
pub(crate) const CHANNELS: Table<IdKey, ChannelRecord> = Table::new("channels");
/// Who has a handle.
pub(crate) const HANDLES: Table<String, ChannelId> = Table::new("handles");
/// What a channel says about itself, as JSON of [`About`].
pub(crate) const ABOUTS: Texts<IdKey> = Texts::new("abouts");
/// (owner, channel): the channels of a person, oldest first.
pub(crate) const OWNED: Table<(IdKey, IdKey), ()> = Table::new("owned");
/// Channels of a person.
pub(crate) const OWNED_COUNT: Counter<IdKey> = Counter::new("owned-count");

/// (subscriber, channel).
pub(crate) const SUBSCRIPTIONS: Table<(IdKey, IdKey), SubscriptionRecord> = Table::new("subscriptions");
/// (subscriber, time, channel): the subscriptions of a person, newest first.
pub(crate) const SUBSCRIPTIONS_BY_TIME: Table<(IdKey, Desc<i64>, IdKey), ()> = Table::new("subscriptions-by-time");
/// (channel, subscriber).
pub(crate) const SUBSCRIBERS: Table<(IdKey, IdKey), ()> = Table::new("subscribers");
/// Subscribers of a channel.
pub(crate) const SUBSCRIBER_COUNT: Counter<IdKey> = Counter::new("subscriber-count");
/// Subscriptions of a person.
pub(crate) const SUBSCRIPTION_COUNT: Counter<IdKey> = Counter::new("subscription-count");

/// Playlists by id.
pub(crate) const PLAYLISTS: Table<IdKey, PlaylistRecord> = Table::new("playlists");
/// What a playlist says about itself.
pub(crate) const PLAYLIST_TEXTS: Texts<IdKey> = Texts::new("playlist-texts");
/// (owner, playlist): the playlists made by hand, newest first.
pub(crate) const PLAYLISTS_OF: Table<(IdKey, Desc<IdKey>), ()> = Table::new("playlists-of");
/// Playlists of a person made by hand.
pub(crate) const PLAYLIST_COUNT: Counter<IdKey> = Counter::new("playlist-count");
/// (playlist, rank, item): the items of a playlist in their order.
pub(crate) const ITEMS: Table<(IdKey, u128, IdKey), ItemRecord> = Table::new("items");
/// (playlist, item): the item's rank.
pub(crate) const ITEM_RANKS: Table<(IdKey, IdKey), Rank> = Table::new("item-ranks");
/// Items of a playlist.
pub(crate) const ITEM_COUNT: Counter<IdKey> = Counter::new("item-count");
/// (video, playlist, item): where a video stands.
pub(crate) const ITEMS_OF_VIDEO: Table<(IdKey, IdKey, IdKey), ()> = Table::new("items-of-video");
/// (owner, video, item): which playlist that item is in.
pub(crate) const SAVED: Table<(IdKey, IdKey, IdKey), PlaylistId> = Table::new("saved");

/// Projection of the gateway's accounts.
pub(crate) const USERS: Table<IdKey, UserProfile> = Table::new("users");
/// Projection of the video service's videos.
pub(crate) const VIDEOS: Table<IdKey, VideoProfile> = Table::new("videos");
/// (channel, time, video): published videos of a channel that lists may name, newest first.
pub(crate) const FEED: Table<FeedKey, FeedRecord> = Table::new("feed");
/// (channel, video): the videos of a channel, in every state.
pub(crate) const VIDEOS_OF: Table<(IdKey, IdKey), ()> = Table::new("videos-of");

/// Tombstones of accounts and videos: nothing is written about them any more.
pub(crate) const GONE: Table<Tombstone, ()> = Table::new("gone");
/// Handles of channels that went with their owner, as tombstones: nobody gets them again.
pub(crate) const RETIRED_HANDLES: Table<Tombstone, ()> = Table::new("retired-handles");

/// What the other services are told.
pub(crate) const LOG: Log<ChannelEvent> = Log::new(EVENTS, &["video", "notification"]);
/// What is done after the answer.
pub(crate) const JOBS: Queue<Job> = Queue::new("channel-jobs");

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelRecord {
    pub owner: UserId,
    pub handle: String,
    pub name: String,
    #[serde(default)]
    pub avatar_url: Option<String>,
    #[serde(default)]
    pub banner_url: Option<String>,
    pub created_at: Timestamp,
    /// Grows with every edit.
    pub version: u64,
}

/// The long part of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub description: String,
    pub support: String,
    pub links: Vec<Link>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriptionRecord {
    pub notify: NotifyLevel,
    pub created_at: Timestamp,
}

/// A playlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaylistRecord {
    pub owner: UserId,
    pub title: String,
    pub privacy: PlaylistPrivacy,
    pub kind: PlaylistKind,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Grows with every edit of the playlist itself.
    pub version: u64,
    /// Grows with every change, of its items too.
    pub revision: u64,
}

/// A video's place in a playlist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    pub video: VideoId,
    #[serde(default)]
    pub start_seconds: Option<f64>,
    #[serde(default)]
    pub end_seconds: Option<f64>,
    #[serde(default)]
    pub note: Option<String>,
    pub added_at: Timestamp,
}

/// Where an item stands; a fixed width in MessagePack, which has no 128-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rank {
    pub high: u64,
    pub low: u64,
}

impl From<u128> for Rank {
    fn from(rank: u128) -> Self {
        Self { high: (rank >> 64) as u64, low: rank as u64 }
    }
}

impl From<Rank> for u128 {
    fn from(rank: Rank) -> Self {
        (Self::from(rank.high) << 64) | Self::from(rank.low)
    }
}

/// A published video as the feed needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedRecord {
    /// Whether only those signed in may see it.
    pub internal: bool,
}

/// What is done after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Job {
    /// Tell the others how a channel looks now, with its number of subscribers.
    Announce(ChannelId),
    /// Remove the subscriptions to a channel that is gone.
    RemoveSubscribers(ChannelId),
    /// Remove the items of a playlist that is gone.
    RemoveItems(PlaylistId, UserId),
    /// Remove all that an account had that is gone.
    RemoveUser(UserId),
    /// Take a video that is gone out of all playlists.
    RemoveVideo(VideoId),
}

impl Job {
    /// How it has to do with the end of an account.
    pub(crate) fn concern(self, user: UserId) -> Concern {
        match self {
            Self::RemoveUser(of) | Self::RemoveItems(_, of) if of == user => Concern::Account,
            Self::RemoveUser(_) | Self::RemoveItems(..) | Self::RemoveSubscribers(_) | Self::RemoveVideo(_) => {
                Concern::Removal
            }
            Self::Announce(_) => Concern::None,
        }
    }
}

/// A batch that nothing comes of once the account is gone.
pub(crate) fn while_there(batch: Batch, user: UserId) -> Batch {
    batch.assert_absent(GONE, &tombstone::of_id(user.bytes()))
}

/// The key of a handle that nobody gets again.
pub(crate) fn retired_handle(handle: &str) -> Tombstone {
    tombstone::of_name("handle", handle)
}
