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
mod recommend;
mod search;
mod snapshots;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::Caller;
use proto::api::video::VideoCard;
use proto::events::{ChannelEvent, InteractionEvent};
use proto::{Timestamp, VideoId};
use store::{Batch, ReadError};
use tokio_util::sync::CancellationToken;

use crate::data::{CHANNELS, LOG};
use crate::recommend::{Pick, Recommender};
use crate::search::{Search, SearchError};
use crate::service::Service;
use library::Shelves;
use recommend::GuestsHome;
use snapshots::Snapshots;

pub(crate) use search::{SearchQuery, SuggestQuery};

/// What is to be done when an event's batch has become durable.
pub(crate) type Afterwards = Box<dyn FnOnce() + Send>;

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
        let lesson = self.recommender.lesson(event)?;
        let recommender = self.recommender.clone();
        Ok((lesson.batch, Box::new(move || recommender.learn(lesson.change))))
    }

    /// What an event of the channel service leads to, besides. Ask before the projection of channels is written.
    pub(crate) fn channel_event(&self, event: &ChannelEvent) -> Result<(Batch, Afterwards), ReadError> {
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
        Ok((lesson.batch, Box::new(afterwards)))
    }

    /// The card of a video that lists may name for this caller, or that is their own.
    fn listed_card(&self, id: VideoId, caller: &Caller) -> Option<VideoCard> {
        let known = self.service.known(id).ok()??;
        let listed = known.profile.listed_for(caller.user) || caller.is(known.profile.owner);
        listed.then(|| self.service.cards(&[id], caller).pop())?
    }
}
