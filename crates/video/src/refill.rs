//! What this service's snapshot says, and how its own projections are filled anew.

use kit::logs::{Kept, Projection, Rows, Subject};
use proto::events::{ChannelEvent, GatewayEvent, InteractionEvent, VideoEvent};
use proto::{ChannelId, VideoId};
use store::Batch;

use crate::data::{CHANNELS, CHANNELS_OF, HANDLES, IdKey, OF_CHANNEL, OWNED, VIDEOS};
use crate::recommend;

/// The videos.
pub(crate) fn snapshot() -> Rows<VideoEvent> {
    Rows::new().table(VIDEOS, |_, id, record| {
        Ok(Some(VideoEvent::VideoChanged { video: record.profile(VideoId::from_bytes(id)) }))
    })
}

/// The channels with their handles, what this service has in each, and who subscribes.
pub(crate) fn channels() -> Projection<ChannelEvent> {
    let rows = recommend::kept_subscriptions(Rows::new())
        .keys(CHANNELS, |_, id| Ok(of_channel(id)))
        .keys(OF_CHANNEL, |_, (channel, _)| Ok(of_channel(channel)))
        .table(HANDLES, |store, handle, id| {
            let has = store.get(CHANNELS, &id.bytes())?.is_some_and(|channel| channel.handle == handle);
            let stray = move || Batch::new().assert_equal(HANDLES, &handle, &id).delete(HANDLES, &handle);
            Ok((!has).then(|| Kept::stray(stray)))
        })
        .keys(CHANNELS_OF, |store, key| {
            let owner = store.get(CHANNELS, &key.1)?.map(|channel| channel.owner.bytes());
            Ok((owner != Some(key.0)).then(|| Kept::stray(move || Batch::new().delete(CHANNELS_OF, &key))))
        })
        .table(CHANNELS, |store, key, channel| {
            // One that is going has neither handle nor owner any more.
            let going = !store.contains(CHANNELS_OF, &(channel.owner.bytes(), key))?;
            // Something has the handle, this channel or another one that says so too.
            let named = match store.get(HANDLES, &channel.handle)? {
                Some(id) => store.get(CHANNELS, &id.bytes())?.is_some_and(|other| other.handle == channel.handle),
                None => false,
            };
            let lost =
                move || Batch::new().assert_equal(CHANNELS, &key, &channel).put(HANDLES, &channel.handle, &channel.id);
            Ok((!going && !named).then(|| Kept::stray(lost)))
        });
    Projection::new(
        |event| match event {
            ChannelEvent::ChannelChanged { channel } => Some(Subject::new(0, &[channel.id.bytes()])),
            ChannelEvent::ChannelDeleted { id } => Some(Subject::new(0, &[id.bytes()])),
            ChannelEvent::Subscribed { user, channel, .. } | ChannelEvent::Unsubscribed { user, channel } => {
                Some(Subject::new(1, &[channel.bytes(), user.bytes()]))
            }
            ChannelEvent::Saved { user, video, .. } => Some(Subject::new(2, &[user.bytes(), video.bytes()])),
        },
        rows,
    )
}

fn of_channel(id: IdKey) -> Option<Kept> {
    let gone = ChannelEvent::ChannelDeleted { id: ChannelId::from_bytes(id) };
    Some(Kept::of(Subject::new(0, &[id]), &gone))
}

/// The accounts that have videos here, or whose interest is known.
pub(crate) fn accounts() -> Projection<GatewayEvent> {
    let rows = Rows::new().keys(OWNED, |_, (owner, _)| Ok(Some(Kept::of_account(owner))));
    Projection::of_accounts(recommend::kept_person(rows, Kept::of_account))
}

/// The counts, and what recommendations learnt of people.
pub(crate) fn interactions() -> Projection<InteractionEvent> {
    Projection::new(recommend::subject, recommend::kept_signals())
}
