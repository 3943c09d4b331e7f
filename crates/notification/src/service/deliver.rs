//! Writing a draft, and passing on what is new.

use proto::{NotificationId, UserId};
use store::{Batch, WriteError};
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::{Draft, Inboxes};
use crate::data::Row;
use crate::error::Error;
use crate::limits::WRITE_ATTEMPTS;

/// A row that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub user: UserId,
    pub id: NotificationId,
    pub row: Row,
}

/// What was written, in its order; `None` says that some of it is missing.
pub(crate) type News = Option<Vec<Fresh>>;

/// A batch that is to be written, and then [`Delivery::done`]. Until then nobody else gets ids: so ids
/// become visible in their order, and a client that has seen one has missed none before it.
pub(crate) struct Delivery {
    pub(crate) batch: Batch,
    pub(crate) turn: Turn,
}

/// The right to give ids.
pub(crate) struct Turn {
    last: OwnedMutexGuard<NotificationId>,
    newest: NotificationId,
    fresh: Vec<Fresh>,
    news: mpsc::Sender<News>,
}

impl Turn {
    /// The batch is durable: its rows are news now.
    pub(crate) fn done(mut self) {
        *self.last = self.newest;
        if self.fresh.is_empty() {
            return;
        }
        // The inbox has everything: those who pass it on need only know that they have missed something.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.news.try_send(Some(self.fresh))
            && let Ok(permit) = self.news.try_reserve()
        {
            permit.send(None);
        }
    }
}

impl Inboxes {
    /// Drafts what `fill` says.
    ///
    /// # Errors
    /// `fill`'s own.
    pub(crate) async fn draft(
        &self,
        fill: impl FnOnce(&mut Draft<'_>) -> Result<(), Error>,
    ) -> Result<Delivery, Error> {
        let last = self.order.clone().lock_owned().await;
        let mut draft = Draft::new(&self.store, self.intake(), *last, NotificationId::generate);
        fill(&mut draft)?;
        let (batch, fresh, newest) = draft.finish();
        Ok(Delivery { batch, turn: Turn { last, newest, fresh, news: self.news.clone() } })
    }

    /// Drafts and writes. When a row was changed in between (somebody has just read it), it is drafted
    /// anew.
    ///
    /// # Errors
    /// `fill`'s own, and those of the store; nothing was written then.
    pub(crate) async fn deliver(&self, fill: impl Fn(&mut Draft<'_>) -> Result<(), Error>) -> Result<(), Error> {
        for _ in 0..WRITE_ATTEMPTS {
            let Delivery { batch, turn } = self.draft(&fill).await?;
            match self.store.write(batch).await {
                Ok(_) => {
                    turn.done();
                    return Ok(());
                }
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contention)
    }
}
