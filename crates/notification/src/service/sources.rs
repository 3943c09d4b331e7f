//! What the other services' events mean for inboxes.

use proto::Timestamp;
use proto::api::channel::NotifyLevel;
use proto::api::notification::NotificationKind;
use proto::events::{ChannelEvent, GatewayEvent, Notify, VideoEvent, VideoProfile};

use super::Draft;
use crate::data::{
    Bytes16, CHANNELS, ChannelRecord, GONE, Job, PEOPLE, PersonRecord, Row, SUBSCRIBERS, TO_FORGET, VIDEOS,
    VideoRecord, gone,
};
use crate::error::Error;
use crate::limits::TEXT_MAX_CHARS;

impl Draft<'_> {
    /// Interaction: somebody liked, commented, answered or mentioned.
    pub(crate) fn on_notify(&mut self, notify: &Notify) -> Result<(), Error> {
        if notify.recipient == notify.actor {
            return Ok(());
        }
        let mut row = Row::new(notify.kind, notify.at);
        row.actors = vec![notify.actor];
        row.video = Some(notify.video);
        row.video_title = Some(short(&notify.video_title));
        row.comment = notify.comment;
        row.text = notify.text.as_deref().map(short);
        self.tell(notify.recipient, row)
    }

    /// Channels and who subscribes to them.
    pub(crate) fn on_channel(&mut self, event: &ChannelEvent) -> Result<(), Error> {
        match event {
            ChannelEvent::ChannelChanged { channel } => {
                let record = ChannelRecord { handle: channel.handle.clone() };
                self.change(|batch| batch.put(CHANNELS, &channel.id.bytes(), &record));
            }
            ChannelEvent::ChannelDeleted { id } => self.change(|batch| batch.delete(CHANNELS, &id.bytes())),
            ChannelEvent::Subscribed { user, channel, owner, handle, notify, new, at } => {
                let key = (channel.bytes(), user.bytes());
                self.change(|batch| match notify {
                    NotifyLevel::All => batch.put(SUBSCRIBERS, &key, &()),
                    NotifyLevel::None => batch.delete(SUBSCRIBERS, &key),
                });
                if *new && user != owner {
                    let mut row = Row::new(NotificationKind::Subscriber, *at);
                    row.actors = vec![*user];
                    row.channel = Some(handle.clone());
                    self.tell(*owner, row)?;
                }
            }
            ChannelEvent::Unsubscribed { user, channel } => {
                self.change(|batch| batch.delete(SUBSCRIBERS, &(channel.bytes(), user.bytes())));
            }
            ChannelEvent::Saved { .. } => {}
        }
        Ok(())
    }

    /// Videos: what people may see of them, what is new, and what became of uploads. `at` is when
    /// the event was written.
    pub(crate) fn on_video(&mut self, event: &VideoEvent, at: Timestamp) -> Result<(), Error> {
        match event {
            VideoEvent::VideoChanged { video } => self.remember(video),
            VideoEvent::VideoPublished { video } => {
                self.remember(video);
                // Whoever is told must be allowed to find it.
                if video.listed_for(Some(video.owner)) && !self.is_silent {
                    self.push_if_room(&Job::NewVideo {
                        video: video.id,
                        title: short(&video.title),
                        owner: video.owner,
                        channel: video.channel,
                        at,
                        after: None,
                    });
                }
            }
            VideoEvent::ProcessingDone { video } => {
                self.remember(video);
                self.tell(video.owner, upload_row(NotificationKind::ProcessingDone, video, at))?;
            }
            VideoEvent::ProcessingFailed { video, reason } => {
                self.remember(video);
                let mut row = upload_row(NotificationKind::ProcessingFailed, video, at);
                row.text = Some(short(reason));
                self.tell(video.owner, row)?;
            }
            VideoEvent::VideoDeleted { id, .. } => {
                self.change(|batch| batch.delete(VIDEOS, &id.bytes()));
                self.forget(id.bytes());
            }
        }
        Ok(())
    }

    /// Accounts: how to show them, and that they are gone.
    pub(crate) fn on_gateway(&mut self, event: &GatewayEvent) {
        match event {
            GatewayEvent::UserChanged { user } => {
                let record = PersonRecord { profile: Some(user.clone()) };
                self.change(|batch| batch.put(PEOPLE, &user.id.bytes(), &record));
            }
            GatewayEvent::UserDeleted { id } => {
                self.change(|batch| batch.delete(PEOPLE, &id.bytes()));
                self.forget(id.bytes());
                self.push(&Job::Forget { user: *id });
            }
        }
    }

    /// Nobody is told of it any more, and it leaves all inboxes.
    fn forget(&mut self, id: Bytes16) {
        self.change(|batch| batch.put(GONE, &gone(id), &()).put(TO_FORGET, &id, &()));
        self.push(&Job::Sweep);
    }

    fn remember(&mut self, video: &VideoProfile) {
        let record = VideoRecord { profile: Some(video.clone()) };
        self.change(|batch| batch.put(VIDEOS, &video.id.bytes(), &record));
    }
}

fn upload_row(kind: NotificationKind, video: &VideoProfile, at: Timestamp) -> Row {
    let mut row = Row::new(kind, at);
    row.video = Some(video.id);
    row.video_title = Some(short(&video.title));
    row
}

/// The first characters of a text, with a sign that there were more.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}
