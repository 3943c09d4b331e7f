//! What this service's snapshot says, and how its own projections are filled anew.

use kit::logs::{Kept, Projection, Rows};
use proto::events::{ChannelEvent, ChannelProfile, GatewayEvent, VideoEvent};
use proto::{ChannelId, UserId};
use store::{Batch, Desc};

use crate::data::{
    CHANNELS, FEED, ITEMS, OWNED, PLAYLISTS, SAVED, SUBSCRIBER_COUNT, SUBSCRIPTIONS, USERS, VIDEOS, VIDEOS_OF,
};
use crate::worker::feed_entry;

/// The channels, who subscribes to them, and what is in playlists.
pub(crate) fn snapshot() -> Rows<ChannelEvent> {
    Rows::new()
        .table(CHANNELS, |store, id, record| {
            let subscribers = u64::try_from(store.count(SUBSCRIBER_COUNT, &id)?).unwrap_or(0);
            let channel = ChannelProfile {
                id: ChannelId::from_bytes(id),
                owner: record.owner,
                handle: record.handle,
                name: record.name,
                avatar_url: record.avatar_url,
                subscribers,
            };
            Ok(Some(ChannelEvent::ChannelChanged { channel }))
        })
        .table(SUBSCRIPTIONS, |store, (user, channel), record| {
            let of = store.get(CHANNELS, &channel)?;
            Ok(of.map(|of| ChannelEvent::Subscribed {
                user: UserId::from_bytes(user),
                channel: ChannelId::from_bytes(channel),
                owner: of.owner,
                handle: of.handle,
                notify: record.notify,
                new: false,
                at: record.created_at,
            }))
        })
        .table(ITEMS, |store, (playlist, _, _), record| {
            let of = store.get(PLAYLISTS, &playlist)?;
            Ok(of.map(|of| ChannelEvent::Saved { user: of.owner, video: record.video, at: record.added_at }))
        })
}

/// The accounts, and what this service has of each.
pub(crate) fn users() -> Projection<GatewayEvent> {
    let rows = Rows::new()
        .keys(USERS, |_, id| Ok(Some(Kept::of_account(id))))
        .keys(OWNED, |_, (owner, _)| Ok(Some(Kept::of_account(owner))))
        .keys(SUBSCRIPTIONS, |_, (user, _)| Ok(Some(Kept::of_account(user))))
        .table(PLAYLISTS, |_, _, record| Ok(Some(Kept::of_account(record.owner.bytes()))));
    Projection::of_accounts(rows)
}

/// The videos, what this service has of each, and the feed.
pub(crate) fn videos() -> Projection<VideoEvent> {
    let rows = Rows::new()
        .table(VIDEOS, |_, id, video| Ok(Some(Kept::of_video(id, video.owner, video.channel))))
        .keys(SAVED, |_, (owner, video, _)| {
            // Whose it was is known no longer; nobody asks.
            Ok(Some(Kept::of_video(video, UserId::from_bytes(owner), ChannelId::from_bytes([0; 16]))))
        })
        .keys(FEED, |store, key| {
            let (_, _, Desc(video)) = key;
            let place = store.get(VIDEOS, &video)?.and_then(|video| feed_entry(&video)).map(|(place, _)| place);
            Ok((place != Some(key)).then(|| Kept::stray(move || Batch::new().delete(FEED, &key))))
        })
        .keys(VIDEOS_OF, |store, key| {
            let of = store.get(VIDEOS, &key.1)?.map(|video| video.channel.bytes());
            Ok((of != Some(key.0)).then(|| Kept::stray(move || Batch::new().delete(VIDEOS_OF, &key))))
        });
    Projection::of_videos(rows)
}
