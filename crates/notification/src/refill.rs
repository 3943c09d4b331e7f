//! How the projections of this service are filled anew. Nobody is told of anything then.

use kit::logs::{Kept, Projection, Rows, Subject};
use proto::events::{ChannelEvent, GatewayEvent, VideoEvent};
use proto::{ChannelId, UserId};

use crate::data::{CHANNELS, INBOX, PEOPLE, PREFERENCES, SUBSCRIBERS, VIDEOS};

/// The accounts, and what this service has of each.
pub(crate) fn people() -> Projection<GatewayEvent> {
    let rows = Rows::new()
        .table(PEOPLE, |_, id, record| Ok(record.profile.map(|_| Kept::of_account(id))))
        .keys(INBOX, |_, (recipient, _)| Ok(Some(Kept::of_account(recipient))))
        .keys(PREFERENCES, |_, id| Ok(Some(Kept::of_account(id))));
    Projection::of_accounts(rows)
}

/// The channels and their subscribers.
pub(crate) fn channels() -> Projection<ChannelEvent> {
    let rows = Rows::new()
        .keys(CHANNELS, |_, id| {
            let gone = ChannelEvent::ChannelDeleted { id: ChannelId::from_bytes(id) };
            Ok(Some(Kept::of(Subject::new(0, &[id]), &gone)))
        })
        .keys(SUBSCRIBERS, |_, (channel, user)| {
            let (id, who) = (ChannelId::from_bytes(channel), UserId::from_bytes(user));
            let gone = ChannelEvent::Unsubscribed { user: who, channel: id };
            Ok(Some(Kept::of(Subject::new(1, &[channel, user]), &gone)))
        });
    Projection::new(
        |event| match event {
            ChannelEvent::ChannelChanged { channel } => Some(Subject::new(0, &[channel.id.bytes()])),
            ChannelEvent::ChannelDeleted { id } => Some(Subject::new(0, &[id.bytes()])),
            ChannelEvent::Subscribed { user, channel, .. } | ChannelEvent::Unsubscribed { user, channel } => {
                Some(Subject::new(1, &[channel.bytes(), user.bytes()]))
            }
            ChannelEvent::Saved { .. } => None,
        },
        rows,
    )
}

/// The videos, those that inboxes name included.
pub(crate) fn videos() -> Projection<VideoEvent> {
    let rows = Rows::new()
        .table(VIDEOS, |_, id, record| {
            let of = |video: proto::events::VideoProfile| Kept::of_video(id, video.owner, video.channel);
            Ok(record.profile.map(of))
        })
        .table(INBOX, |store, _, row| {
            let Some(video) = row.video.map(|video| video.bytes()) else { return Ok(None) };
            let nobody = (UserId::from_bytes([0; 16]), ChannelId::from_bytes([0; 16]));
            let unknown = store.get(VIDEOS, &video)?.is_none();
            Ok(unknown.then(|| Kept::of_video(video, nobody.0, nobody.1)))
        });
    Projection::of_videos(rows)
}
