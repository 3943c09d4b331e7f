//! The domain: who is told what, and what of it they have read. No HTTP, no clock.

mod deliver;
mod draft;
mod forget;
mod inbox;
mod jobs;
mod people;
mod preferences;
mod render;
mod sources;
mod sweep;

use std::sync::Arc;

use proto::NotificationId;
use store::{Queue, Store};
use tokio::sync::{Mutex, mpsc};

use crate::data::{JOBS, Job, LAST_ID};
use crate::error::Error;
use crate::limits::NEWS_WAITING_MAX;

pub(crate) use deliver::{Delivery, Fresh, News};
pub(crate) use draft::Draft;
pub(crate) use inbox::ReadWhat;
pub(crate) use people::People;

/// The inboxes of everyone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inboxes {
    pub(crate) store: Store,
    people: People,
    /// Rows kept for one person.
    entries_max: i64,
    /// The last id given.
    order: Arc<Mutex<NotificationId>>,
    news: mpsc::Sender<News>,
    /// The queue with its bound, for what can wait in the log that it comes from.
    intake: Queue<Job>,
}

impl Inboxes {
    /// The inboxes in `store`, and what is new in them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn new(
        store: Store,
        people: People,
        entries_max: u32,
        jobs_max: u64,
    ) -> Result<(Self, mpsc::Receiver<News>), Error> {
        let last = store.get(LAST_ID, &())?.unwrap_or(NotificationId::from_bytes([0; 16]));
        let (news, received) = mpsc::channel(NEWS_WAITING_MAX);
        let order = Arc::new(Mutex::new(last));
        let intake = JOBS.bounded(jobs_max);
        Ok((Self { store, people, entries_max: i64::from(entries_max), order, news, intake }, received))
    }

    /// The queue with its bound.
    pub(crate) const fn intake(&self) -> Queue<Job> {
        self.intake
    }

    /// Where all of this is kept.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}
