//! The domain: ratings, comments, views and history. Knows no HTTP; time comes in.

mod comments;
mod history;
mod limiter;
mod mentions;
mod ratings;
mod removal;
mod sittings;
mod threads;
mod top;
mod views;

use std::collections::HashMap;
use std::sync::Arc;

use kit::Caller;
use kit::config::Config;
use kit::paging;
use proto::api::{Page, Person};
use proto::events::{UserProfile, VideoProfile};
use proto::{UserId, VideoId};
use serde::Serialize;
use store::{Queue, ReadError, Store, WriteError};

use limiter::Limiter;
use sittings::Sittings;
use top::Rankings;

pub(crate) use threads::Sort;

use crate::data::{GONE, JOBS, Job, USERNAMES, USERS, VIDEOS, gone};
use crate::error::{Error, Result};
use crate::peers::Peers;

/// How often a change is tried again when somebody else was quicker.
const ATTEMPTS: usize = 16;

/// The interaction service's domain. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Store,
    peers: Peers,
    shared: Arc<Shared>,
}

/// What is in memory only.
struct Shared {
    comments: Limiter,
    interactions: Limiter,
    sittings: Sittings,
    rankings: Rankings,
    intake: Queue<Job>,
}

impl Service {
    pub(crate) fn new(store: Store, peers: Peers, config: &Config) -> Self {
        let shared = Shared {
            comments: Limiter::new("comments", config.limits.comments_per_minute),
            interactions: Limiter::new("interactions", config.limits.interactions_per_minute),
            sittings: Sittings::default(),
            rankings: Rankings::default(),
            intake: JOBS.bounded(config.queues.interactions),
        };
        Self { store, peers, shared: Arc::new(shared) }
    }

    /// A video that the caller may see, from the projection or from the video service.
    async fn visible_video(&self, caller: &Caller, id: VideoId) -> Result<VideoProfile> {
        let profile = match self.store.get(VIDEOS, &id.bytes())? {
            Some(profile) => Some(profile),
            None if self.store.contains(GONE, &gone(id.bytes()))? => None,
            None => self.peers.video(id).await?,
        };
        profile.filter(|profile| profile.visible_to(caller.user, caller.role)).ok_or(Error::NotFound("video"))
    }

    /// A person, from the projection or from the gateway.
    async fn user(&self, id: UserId) -> Result<Option<UserProfile>> {
        match self.store.get(USERS, &id.bytes())? {
            Some(profile) => Ok(Some(profile)),
            None => Ok(self.peers.user(id).await?),
        }
    }

    /// A person by name, from the projection or from the gateway.
    async fn user_by_name(&self, username: &str) -> Result<Option<UserProfile>> {
        match self.store.get(USERNAMES, &username.to_owned())? {
            Some(id) => self.user(id).await,
            None => Ok(self.peers.user_by_name(username).await?),
        }
    }

    /// Persons, each asked for once.
    async fn people(&self, ids: impl Iterator<Item = UserId>) -> Result<HashMap<UserId, Person>> {
        let mut people = HashMap::new();
        for id in ids {
            if !people.contains_key(&id)
                && let Some(user) = self.user(id).await?
            {
                people.insert(id, user.person());
            }
        }
        Ok(people)
    }

    /// The queue, for those who can come back later.
    pub(crate) fn intake(&self) -> Queue<Job> {
        self.shared.intake
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
