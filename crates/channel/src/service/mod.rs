//! The domain: channels, subscriptions, playlists and the feed. Knows no HTTP; time comes in.

mod channels;
mod feed;
mod items;
mod playlists;
mod removal;
mod subscriptions;
mod text;

use std::sync::Arc;

use kit::caller::Caller;
use kit::config::Config;
use kit::paging;
use proto::api::{Page, Person};
use proto::events::VideoProfile;
use proto::{UserId, VideoId};
use serde::Serialize;
use store::{Queue, ReadError, Store, WriteError};
use tokio::sync::{Mutex, MutexGuard};

use crate::data::{IdKey, JOBS, Job, USERS, VIDEOS};
use crate::error::{Error, Result};
use crate::peers::Peers;

/// How often a change is tried again when somebody else was quicker.
const ATTEMPTS: usize = 16;

/// Things are locked by the last byte of their id: this many can be changed at the same time.
const LOCKS: usize = 64;

/// The channel service's domain. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Store,
    peers: Peers,
    limits: Limits,
    locks: Arc<[Mutex<()>; LOCKS]>,
}

/// How many of each one person may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub channels: i64,
    pub playlists: i64,
    pub playlist_items: i64,
    pub subscriptions: i64,
    /// Jobs that may wait before somebody is told to come back later.
    pub jobs: u64,
}

/// Subscriptions of one person.
const SUBSCRIPTIONS_MAX: i64 = 5_000;

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            channels: config.limits.channels.into(),
            playlists: config.limits.playlists.into(),
            playlist_items: config.limits.playlist_items.into(),
            subscriptions: SUBSCRIPTIONS_MAX,
            jobs: config.queues.channel,
        }
    }
}

impl Service {
    pub(crate) fn new(store: Store, peers: Peers, limits: Limits) -> Self {
        Self { store, peers, limits, locks: Arc::new(std::array::from_fn(|_| Mutex::new(()))) }
    }

    /// Changes of one thing come one after the other. The writes check besides that nothing changed since it
    /// was read: a call may be dropped, and its lock with it, while its write is still under way.
    async fn lock(&self, id: IdKey) -> MutexGuard<'_, ()> {
        self.locks[usize::from(id[15]) % LOCKS].lock().await
    }

    /// A person, from the projection or from the gateway.
    async fn person(&self, id: UserId) -> Result<Option<Person>> {
        let profile = match self.store.get(USERS, &id.bytes())? {
            Some(profile) => Some(profile),
            None => self.peers.user(id).await?,
        };
        Ok(profile.map(|profile| profile.person()))
    }

    /// A video that the caller may see, from the projection or from the video service.
    async fn visible_video(&self, caller: &Caller, id: VideoId) -> Result<Option<VideoProfile>> {
        let profile = match self.store.get(VIDEOS, &id.bytes())? {
            Some(profile) => Some(profile),
            None => self.peers.video(id).await?,
        };
        Ok(profile.filter(|profile| profile.visible_to(caller.user, caller.role)))
    }

    /// The queue, for those who can come back later.
    pub(crate) const fn intake(&self) -> Queue<Job> {
        JOBS.bounded(self.limits.jobs)
    }

    /// Reads that may take long, away from the threads that answer.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || read(&store)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Error::Write(WriteError::Closed)),
        }
    }
}

/// A page of at most `limit` entries; one entry more says that there is a next page.
fn cut<T, P: Serialize>(entries: Vec<T>, limit: usize, position: impl Fn(&T) -> P) -> Page<T> {
    paging::page(entries.into_iter().map(|entry| (position(&entry), entry)), limit)
}
