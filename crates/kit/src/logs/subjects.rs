//! Projections of accounts and of videos: what their events are about, whoever keeps something of them.

use proto::events::{GatewayEvent, VideoEvent};
use proto::{ChannelId, UserId, VideoId};

use super::projection::{Kept, Projection, Subject};
use super::rows::Rows;

impl Kept {
    /// A row about an account: it goes when the account is gone.
    pub fn of_account(id: [u8; 16]) -> Self {
        Self::of(Subject::new(0, &[id]), &GatewayEvent::UserDeleted { id: UserId::from_bytes(id) })
    }

    /// A row about a video, whose owner and channel are named as far as they are known: it goes when the video is gone.
    pub fn of_video(id: [u8; 16], owner: UserId, channel: ChannelId) -> Self {
        let gone = VideoEvent::VideoDeleted { id: VideoId::from_bytes(id), owner, channel };
        Self::of(Subject::new(0, &[id]), &gone)
    }
}

impl Projection<GatewayEvent> {
    /// Of the accounts. `rows` gives [`Kept::of_account`], and strays.
    pub fn of_accounts(rows: Rows<Kept>) -> Self {
        Self::new(|event: &GatewayEvent| Some(Subject::new(0, &[event.user_id().bytes()])), rows)
    }
}

impl Projection<VideoEvent> {
    /// Of the videos. `rows` gives [`Kept::of_video`], and strays.
    pub fn of_videos(rows: Rows<Kept>) -> Self {
        Self::new(|event: &VideoEvent| Some(Subject::new(0, &[event.video_id().bytes()])), rows)
    }
}
