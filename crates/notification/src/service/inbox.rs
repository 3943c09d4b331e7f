//! The inbox as its owner sees it.

use proto::api::account::Role;
use proto::api::notification::{MarkRead, Notification, UnreadCount};
use proto::{NotificationId, UserId};
use store::{Batch, ReadError, Scan, WriteError};

use super::Inboxes;
use crate::data::{INBOX, Row, UNREAD};
use crate::error::Error;
use crate::limits::{READ_IDS_MAX, ROWS_PER_BATCH, WRITE_ATTEMPTS};

/// One row with its id.
type Entry = (NotificationId, Row);

/// What is to be marked as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadWhat {
    /// These.
    Ids(Vec<NotificationId>),
    /// This one and all before it.
    UpTo(NotificationId),
}

impl TryFrom<MarkRead> for ReadWhat {
    type Error = Error;

    fn try_from(body: MarkRead) -> Result<Self, Error> {
        match (body.ids, body.up_to) {
            (Some(ids), None) if ids.len() > READ_IDS_MAX => Err(Error::TooManyIds { limit: READ_IDS_MAX }),
            (Some(ids), None) => Ok(Self::Ids(ids)),
            (None, Some(id)) => Ok(Self::UpTo(id)),
            _ => Err(Error::IdsOrUpTo),
        }
    }
}

impl Inboxes {
    /// At most `limit` entries, the newest first, from behind `after` on.
    pub(crate) async fn list(
        &self,
        user: UserId,
        role: Role,
        after: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Notification>, Error> {
        let mut scan = Scan::prefix(&user.bytes()).reverse();
        if let Some(after) = after {
            scan = scan.after(&(user.bytes(), after.bytes()));
        }
        let entries = self.entries(scan, limit)?;
        self.render_all(user, role, &entries).await
    }

    /// At most `limit` entries that came after `after`, the oldest first.
    pub(crate) async fn backlog(
        &self,
        user: UserId,
        after: NotificationId,
        limit: usize,
    ) -> Result<Vec<Notification>, Error> {
        let scan = Scan::prefix(&user.bytes()).after(&(user.bytes(), after.bytes()));
        let entries = self.entries(scan, limit)?;
        self.render_all(user, Role::User, &entries).await
    }

    fn entries(&self, scan: Scan, limit: usize) -> Result<Vec<Entry>, ReadError> {
        self.store.scan(INBOX, scan).take(limit).map(|entry| entry.map(with_id)).collect()
    }

    async fn render_all(&self, user: UserId, role: Role, entries: &[Entry]) -> Result<Vec<Notification>, Error> {
        let mut notifications = Vec::with_capacity(entries.len());
        for (id, row) in entries {
            notifications.push(self.render(user, role, *id, row).await?);
        }
        Ok(notifications)
    }

    /// How many entries were not read.
    pub(crate) fn unread(&self, user: UserId) -> Result<UnreadCount, Error> {
        let unread = self.store.count(UNREAD, &user.bytes())?;
        Ok(UnreadCount { unread: u64::try_from(unread).unwrap_or(0) })
    }

    /// Marks entries as read, and says how many are left. Ids that are not there any more are fine.
    pub(crate) async fn mark_read(&self, user: UserId, what: ReadWhat) -> Result<UnreadCount, Error> {
        for _ in 0..WRITE_ATTEMPTS {
            match self.try_mark_read(user, &what).await {
                // A row changed in between: look again.
                Err(Error::Write(WriteError::Assertion { .. } | WriteError::Bounds { .. })) => {}
                Err(error) => return Err(error),
                Ok(()) => return self.unread(user),
            }
        }
        Err(Error::Contention)
    }

    async fn try_mark_read(&self, user: UserId, what: &ReadWhat) -> Result<(), Error> {
        let unread = match what {
            ReadWhat::Ids(ids) => self.unread_of(user, ids)?,
            ReadWhat::UpTo(last) => self.unread_up_to(user, *last).await?,
        };
        for rows in unread.chunks(ROWS_PER_BATCH) {
            let mut batch = Batch::new();
            for (id, row) in rows {
                let key = (user.bytes(), id.bytes());
                let read = Row { read: true, ..row.clone() };
                batch = batch.assert_equal(INBOX, &key, row).put(INBOX, &key, &read);
            }
            let delta = -i64::try_from(rows.len()).unwrap_or(i64::MAX);
            self.store.write(batch.add_bounded(UNREAD, &user.bytes(), delta, 0..=i64::MAX)).await?;
        }
        Ok(())
    }

    fn unread_of(&self, user: UserId, ids: &[NotificationId]) -> Result<Vec<Entry>, Error> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let row = self.store.get(INBOX, &(user.bytes(), id.bytes()))?;
            entries.extend(row.filter(|row| !row.read).map(|row| (id, row)));
        }
        Ok(entries)
    }

    async fn unread_up_to(&self, user: UserId, last: NotificationId) -> Result<Vec<Entry>, Error> {
        let store = self.store.clone();
        let scan = move || -> Result<Vec<Entry>, ReadError> {
            let mut entries = Vec::new();
            for entry in store.scan(INBOX, Scan::prefix(&user.bytes())) {
                let (id, row) = with_id(entry?);
                if id > last {
                    break;
                }
                if !row.read {
                    entries.push((id, row));
                }
            }
            Ok(entries)
        };
        Ok(tokio::task::spawn_blocking(scan).await.map_err(|_| Error::TaskLost)??)
    }
}

pub(super) fn with_id(((_, id), row): (([u8; 16], [u8; 16]), Row)) -> Entry {
    (NotificationId::from_bytes(id), row)
}
