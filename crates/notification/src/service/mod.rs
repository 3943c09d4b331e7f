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
use store::Store;
use tokio::sync::{Mutex, mpsc};

use crate::data::LAST_ID;
use crate::error::Error;
use crate::limits::NEWS_WAITING_MAX;

pub(crate) use deliver::{Delivery, Fresh, News};
pub(crate) use draft::Draft;
pub(crate) use inbox::ReadWhat;
pub(crate) use people::People;

/// The inboxes of everyone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inboxes {
    store: Store,
    people: People,
    /// Rows kept for one person.
    entries_max: i64,
    /// The last id given.
    order: Arc<Mutex<NotificationId>>,
    news: mpsc::Sender<News>,
}

impl Inboxes {
    /// The inboxes in `store`, and what is new in them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn new(store: Store, people: People, entries_max: u32) -> Result<(Self, mpsc::Receiver<News>), Error> {
        let last = store.get(LAST_ID, &())?.unwrap_or(NotificationId::from_bytes([0; 16]));
        let (news, received) = mpsc::channel(NEWS_WAITING_MAX);
        let order = Arc::new(Mutex::new(last));
        Ok((Self { store, people, entries_max: i64::from(entries_max), order, news }, received))
    }

    /// Where all of this is kept.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}
