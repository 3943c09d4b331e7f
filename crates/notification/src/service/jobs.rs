//! Work in pieces: each piece is one batch, so that none is done twice.

use proto::api::notification::NotificationKind;
use proto::{ChannelId, UserId};
use store::{Leased, Scan};

use super::Inboxes;
use super::sources::short;
use crate::data::{CHANNELS, Job, Row, SUBSCRIBERS};
use crate::error::Error;
use crate::limits::ROWS_PER_BATCH;

impl Inboxes {
    /// Does one piece of a job, and ends it or leaves the rest as another one.
    pub(crate) async fn work(&self, leased: &Leased<Job>) -> Result<(), Error> {
        match &leased.job {
            Job::NewVideo { .. } => self.spread(leased).await,
            Job::Forget { user } => {
                while !self.forget_piece(*user, leased).await? {}
                Ok(())
            }
            Job::Sweep => self.sweep(leased).await,
        }
    }

    /// Tells the next subscribers of a channel of a new video.
    async fn spread(&self, leased: &Leased<Job>) -> Result<(), Error> {
        let Job::NewVideo { video, title, owner, channel, at, after } = &leased.job else { return Ok(()) };
        let subscribers = self.subscribers(*channel, *after)?;
        let handle = self.store.get(CHANNELS, &channel.bytes())?.map(|record| record.handle);
        let mut row = Row::new(NotificationKind::NewVideo, *at);
        row.video = Some(*video);
        row.video_title = Some(short(title));
        row.channel = handle;
        let rest = (subscribers.len() == ROWS_PER_BATCH).then(|| {
            let after = subscribers.last().copied();
            Job::NewVideo { video: *video, title: title.clone(), owner: *owner, channel: *channel, at: *at, after }
        });
        self.deliver(|draft| {
            for user in subscribers.iter().filter(|user| *user != owner) {
                draft.tell(*user, row.clone())?;
            }
            draft.change(|batch| batch.complete(leased));
            rest.iter().for_each(|job| draft.push(job));
            Ok(())
        })
        .await
    }

    fn subscribers(&self, channel: ChannelId, after: Option<UserId>) -> Result<Vec<UserId>, Error> {
        let mut scan = Scan::prefix(&channel.bytes());
        if let Some(after) = after {
            scan = scan.after(&(channel.bytes(), after.bytes()));
        }
        let keys = self.store.scan_keys(SUBSCRIBERS, scan).take(ROWS_PER_BATCH);
        Ok(keys.map(|key| key.map(|(_, user)| UserId::from_bytes(user))).collect::<Result<_, _>>()?)
    }
}
