//! Removing: the oldest entries of a full inbox, and everything about a person who is gone.

use proto::UserId;
use store::{Batch, Leased, ReadError, Scan, WriteError};

use super::Inboxes;
use super::inbox::with_id;
use crate::data::{ENTRIES, INBOX, Job, LIKES, PREFERENCES, UNREAD};
use crate::error::Error;
use crate::limits::{ROWS_PER_BATCH, TRIM_SLACK, WRITE_ATTEMPTS};

impl Inboxes {
    /// Removes the oldest entries of somebody who has clearly more than allowed.
    pub(crate) async fn trim(&self, user: UserId) -> Result<(), Error> {
        let mut attempts = 0;
        loop {
            let excess = self.store.count(ENTRIES, &user.bytes())? - self.entries_max;
            if excess <= if attempts == 0 { TRIM_SLACK } else { 0 } {
                return Ok(());
            }
            let rows = usize::try_from(excess).unwrap_or(ROWS_PER_BATCH).min(ROWS_PER_BATCH);
            let batch = self.remove_oldest(user, rows)?;
            if batch.is_empty() {
                return Ok(());
            }
            match self.store.write(batch).await {
                // An entry was read in between: look again.
                Ok(_) | Err(WriteError::Assertion { .. }) => attempts += 1,
                Err(error) => return Err(error.into()),
            }
            if attempts > WRITE_ATTEMPTS {
                return Ok(());
            }
        }
    }

    /// A batch that removes the oldest entries, with their counts.
    fn remove_oldest(&self, user: UserId, rows: usize) -> Result<Batch, ReadError> {
        let mut batch = Batch::new();
        for entry in self.store.scan(INBOX, Scan::prefix(&user.bytes())).take(rows) {
            let (id, row) = with_id(entry?);
            let key = (user.bytes(), id.bytes());
            batch = batch.assert_equal(INBOX, &key, &row).delete(INBOX, &key).add(ENTRIES, &user.bytes(), -1);
            if !row.read {
                batch = batch.add(UNREAD, &user.bytes(), -1);
            }
            if let Some(video) = row.video {
                let likes = (user.bytes(), video.bytes());
                if self.store.get(LIKES, &likes)? == Some(id) {
                    batch = batch.delete(LIKES, &likes);
                }
            }
        }
        Ok(batch)
    }

    /// One piece of forgetting somebody; true when there was nothing left.
    pub(super) async fn forget_piece(&self, user: UserId, leased: &Leased<Job>) -> Result<bool, Error> {
        let batch = self.remove_oldest(user, ROWS_PER_BATCH)?;
        if !batch.is_empty() {
            return match self.store.write(batch).await {
                Ok(_) | Err(WriteError::Assertion { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let likes = self.store.scan_keys(LIKES, Scan::prefix(&user.bytes())).take(ROWS_PER_BATCH);
        let likes = likes.collect::<Result<Vec<_>, _>>()?;
        let batch = likes.iter().fold(Batch::new(), |batch, key| batch.delete(LIKES, key));
        if likes.len() == ROWS_PER_BATCH {
            self.store.write(batch).await?;
            return Ok(false);
        }
        self.store.write(batch.delete(PREFERENCES, &user.bytes()).complete(leased)).await?;
        Ok(true)
    }
}
