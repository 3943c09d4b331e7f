//! Finding videos: what the routes of search and recommendations call, and how the two follow events.
//!
//! How the service puts it in:
//! - [`Discovery::open`] at start, on the blocking pool, then [`Discovery::follow`] as a worker;
//! - the consumer of interaction's log merges the batch of [`Discovery::interaction_event`] into its own, and
//!   calls what comes with it when that is durable; the consumer of channel's log does the same with
//!   [`Discovery::channel_event`].
//!
//! Who may see what is decided here twice: when hits are ranked, so that what is hidden takes no place, and
//! when a page is answered, since a list may be ten minutes old by then.

mod library;
mod listed;
mod recommend;
mod search;
mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::{Caller, tombstone};
use proto::api::video::VideoCard;
use proto::events::{ChannelEvent, InteractionEvent, Viewer};
use proto::{Timestamp, UserId, VideoId};
use store::{Batch, Leased, ReadError, Scan, WriteError};
use tokio_util::sync::CancellationToken;

use crate::data::{CHANNELS, GONE_USERS, Job, LOG, TO_FORGET, VIDEOS, while_there};
use crate::recommend::{Pick, Recommender};
use crate::search::{Search, SearchError};
use crate::service::Service;
use library::Shelves;
use recommend::GuestsHome;
use snapshots::Snapshots;

pub(crate) use search::{SearchQuery, SuggestQuery};

/// What is to be done when an event's batch has become durable.
pub(crate) type Afterwards = Box<dyn FnOnce() + Send>;

/// Videos and channels that one walk through what people did forgets.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// Search and recommendations over the service's videos. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Discovery {
    service: Arc<Service>,
    search: Search,
    recommender: Recommender,
    /// The head of the own log before the model was made.
    known_until: u64,
    hits: Snapshots<VideoId>,
    picks: Snapshots<Pick>,
    /// The home page of those who are not signed in, with the time when it was made.
    guests: Arc<Mutex<Option<GuestsHome>>>,
}

impl Discovery {
    /// Opens the index in `folder` and makes the model. Blocking. `writer_memory_bytes`: what the index's writer
    /// may take while it works.
    pub(crate) fn open(
        service: Arc<Service>,
        folder: &Path,
        writer_memory_bytes: usize,
        now: Timestamp,
    ) -> Result<Self, SearchError> {
        let known_until = service.store.log(LOG).head();
        let search = Search::open(folder, writer_memory_bytes)?;
        let recommender = Recommender::load(&service.store, &Shelves(service.store.clone()), now)?;
        Ok(Self {
            service,
            search,
            recommender,
            known_until,
            hits: Snapshots::new(),
            picks: Snapshots::new(),
            guests: Arc::default(),
        })
    }

    /// Follows the own event log until `stop`: the index with at most one commit per `commit_interval`, and the
    /// videos of the model. Call it once.
    pub(crate) async fn follow(self, commit_interval: Duration, now: Timestamp, stop: CancellationToken) {
        let log = self.service.store.log(LOG);
        let shelves = Arc::new(Shelves(self.service.store.clone()));
        let index = self.search.follow(log.clone(), shelves.clone(), commit_interval, stop.clone());
        let model = self.recommender.follow(log, self.known_until, shelves, now, stop);
        tokio::join!(index, model);
    }

    /// What an event of the interaction service leads to, besides what the service itself does.
    pub(crate) fn interaction_event(&self, event: &InteractionEvent) -> Result<(Batch, Afterwards), ReadError> {
        let (user, video) = interaction_subjects(event);
        let Some(guard) = self.guard(user, video)? else { return Ok((Batch::new(), Box::new(|| {}))) };
        let lesson = self.recommender.lesson(event)?;
        let recommender = self.recommender.clone();
        Ok((guard.merge(lesson.batch), Box::new(move || recommender.learn(lesson.change))))
    }

    /// An event of the interaction service's snapshot, without what is known better here.
    pub(crate) fn of_snapshot(&self, event: InteractionEvent) -> Result<InteractionEvent, ReadError> {
        self.recommender.of_snapshot(event)
    }

    /// What an event of the channel service leads to, besides. Ask before the projection of channels is written.
    pub(crate) fn channel_event(&self, event: &ChannelEvent) -> Result<(Batch, Afterwards), ReadError> {
        let (user, video) = match event {
            ChannelEvent::Subscribed { user, .. } => (Some(*user), None),
            ChannelEvent::Saved { user, video, .. } => (Some(*user), Some(*video)),
            _ => (None, None),
        };
        let Some(guard) = self.guard(user, video)? else { return Ok((Batch::new(), Box::new(|| {}))) };
        let lesson = self.recommender.channel_lesson(event)?;
        let renamed = match event {
            ChannelEvent::ChannelChanged { channel } => {
                let old = self.service.store.get(CHANNELS, &channel.id.bytes())?;
                let differs = old.is_none_or(|old| old.name != channel.name || old.handle != channel.handle);
                differs.then_some(channel.id)
            }
            _ => None,
        };
        let this = self.clone();
        let afterwards = move || {
            this.recommender.learn(lesson.change);
            if let Some(channel) = renamed {
                this.search.channel_renamed(channel);
            }
        };
        Ok((guard.merge(lesson.batch), Box::new(afterwards)))
    }

    /// Of somebody or of a video that is gone nothing is learnt: `None`. Else a batch that makes sure of it, should
    /// they go at this very moment; then the event is looked at once more.
    fn guard(&self, user: Option<UserId>, video: Option<VideoId>) -> Result<Option<Batch>, ReadError> {
        let store = &self.service.store;
        let mut guard = Batch::new();
        if let Some(user) = user {
            if store.contains(GONE_USERS, &tombstone::of_id(user.bytes()))? {
                return Ok(None);
            }
            guard = while_there(guard, user);
        }
        if let Some(video) = video {
            if !store.contains(VIDEOS, &video.bytes())? {
                return Ok(None);
            }
            guard = guard.assert_present(VIDEOS, &video.bytes());
        }
        Ok(Some(guard))
    }

    /// Forgets somebody who is gone.
    pub(crate) async fn forget_person(&self, user: UserId) -> Result<(), WriteError> {
        self.recommender.forget_person(user).await
    }

    /// Forgets what people did with what is gone; ends the job with it.
    pub(crate) async fn forget(&self, leased: &Leased<Job>) -> Result<(), WriteError> {
        let store = &self.service.store;
        let gone =
            store.scan_keys(TO_FORGET, Scan::all()).take(FORGOTTEN_AT_ONCE).collect::<Result<HashSet<_>, _>>()?;
        if !gone.is_empty() {
            self.recommender.forget_about(&gone).await?;
        }
        let batch = gone.iter().fold(Batch::new(), |batch, id| batch.delete(TO_FORGET, id));
        store.write(batch.complete(leased)).await?;
        Ok(())
    }

    /// The card of a video that lists may name for this caller, or that is their own.
    fn listed_card(&self, id: VideoId, caller: &Caller) -> Option<VideoCard> {
        let known = self.service.known(id).ok()??;
        let listed = known.profile.listed_for(caller.user) || caller.is(known.profile.owner);
        listed.then(|| self.service.cards(&[id], caller).pop())?
    }
}

/// Whom and what an event of the interaction service is about.
fn interaction_subjects(event: &InteractionEvent) -> (Option<UserId>, Option<VideoId>) {
    match event {
        InteractionEvent::Counts { video, .. } => (None, Some(*video)),
        InteractionEvent::Rated { user, video, .. } | InteractionEvent::Commented { user, video, .. } => {
            (Some(*user), Some(*video))
        }
        InteractionEvent::Watched { viewer: Viewer::User(user), video, .. } => (Some(*user), Some(*video)),
        InteractionEvent::Watched { viewer: Viewer::Page(_), video, .. } => (None, Some(*video)),
        InteractionEvent::Forgotten { user, .. } => (Some(*user), None),
    }
}
