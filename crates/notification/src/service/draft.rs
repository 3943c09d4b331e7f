//! A draft: what events do to inboxes, gathered until it is written as one batch.

use std::collections::HashMap;

use proto::api::notification::NotificationKind;
use proto::{NotificationId, UserId, VideoId};
use store::{Batch, Push, Queue, Store};

use super::deliver::Fresh;
use crate::data::{ENTRIES, GONE, INBOX, JOBS, Job, LAST_ID, LIKES, PREFERENCES, Row, UNREAD, gone};
use crate::error::Error;
use crate::limits::ACTORS_KEPT;

/// Changes to inboxes that are not written yet.
pub(crate) struct Draft<'a> {
    store: &'a Store,
    intake: Queue<Job>,
    /// Projections, jobs, cursors: what goes with the rows.
    pub(crate) batch: Batch,
    /// What is drafted did not happen just now: nobody is told.
    pub(crate) is_silent: bool,
    rows: Vec<Fresh>,
    likes: HashMap<(UserId, VideoId), Gathered>,
    last: NotificationId,
    next: fn() -> NotificationId,
}

/// The row of a video's likes, as it was and as it will be.
struct Gathered {
    before: Option<(NotificationId, Row)>,
    after: Option<(NotificationId, Row)>,
}

impl<'a> Draft<'a> {
    /// A draft whose ids come after `last`.
    pub(super) fn new(
        store: &'a Store,
        intake: Queue<Job>,
        last: NotificationId,
        next: fn() -> NotificationId,
    ) -> Self {
        Self {
            store,
            intake,
            batch: Batch::new(),
            is_silent: false,
            rows: Vec::new(),
            likes: HashMap::new(),
            last,
            next,
        }
    }

    /// Changes something beside the rows, in the same batch.
    pub(crate) fn change(&mut self, change: impl FnOnce(Batch) -> Batch) {
        self.batch = change(std::mem::take(&mut self.batch));
    }

    /// Leaves work for later, unless there is too much already: then the batch is refused, and its event is dealt
    /// with when there is room.
    pub(crate) fn push_if_room(&mut self, job: &Job) {
        let intake = self.intake;
        self.change(|batch| batch.push(intake, Push::new(job)));
    }

    /// Leaves work for later, however much there is.
    pub(crate) fn push(&mut self, job: &Job) {
        self.change(|batch| batch.push(JOBS, Push::new(job)));
    }

    /// Puts a row into somebody's inbox, unless they do not want its kind or are gone.
    pub(crate) fn tell(&mut self, user: UserId, row: Row) -> Result<(), Error> {
        if self.is_silent || !self.wants(user, row.kind)? || self.is_past(&row)? {
            return Ok(());
        }
        match (row.kind, row.video) {
            (NotificationKind::Like, Some(video)) => self.gather(user, video, row),
            _ => {
                let id = self.next_id();
                self.rows.push(Fresh { user, id, row });
                Ok(())
            }
        }
    }

    fn wants(&self, user: UserId, kind: NotificationKind) -> Result<bool, Error> {
        let is_gone = self.store.contains(GONE, &gone(user.bytes()))?;
        let off = self.store.get(PREFERENCES, &user.bytes())?.is_some_and(|record| record.page_off.contains(&kind));
        Ok(!is_gone && !off)
    }

    /// Whether it is about a video or somebody gone by now.
    fn is_past(&self, row: &Row) -> Result<bool, Error> {
        let ids = row.actors.iter().map(|actor| actor.bytes()).chain(row.video.map(|video| video.bytes()));
        for id in ids {
            if self.store.contains(GONE, &gone(id))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a like to the row that gathers them, which moves up and is unread again. Nobody counts
    /// twice among the last ones.
    fn gather(&mut self, user: UserId, video: VideoId, mut row: Row) -> Result<(), Error> {
        let known = match self.likes.remove(&(user, video)) {
            Some(gathered) => gathered,
            None => Gathered { before: self.find_likes(user, video)?, after: None },
        };
        let Gathered { before, after } = known;
        let current = after.as_ref().or(before.as_ref()).map(|(_, row)| row);
        let repeated = current.is_some_and(|old| row.actors.iter().any(|actor| old.actors.contains(actor)));
        let after = if repeated {
            after
        } else {
            if let Some(old) = current {
                row.count = old.count + 1;
                row.actors.extend(old.actors.iter().take(ACTORS_KEPT - 1));
            }
            row.replaces = before.as_ref().map(|(id, _)| *id);
            Some((self.next_id(), row))
        };
        self.likes.insert((user, video), Gathered { before, after });
        Ok(())
    }

    fn find_likes(&self, user: UserId, video: VideoId) -> Result<Option<(NotificationId, Row)>, Error> {
        let Some(id) = self.store.get(LIKES, &(user.bytes(), video.bytes()))? else { return Ok(None) };
        Ok(self.store.get(INBOX, &(user.bytes(), id.bytes()))?.map(|row| (id, row)))
    }

    fn next_id(&mut self) -> NotificationId {
        self.last = (self.next)().max(after(self.last));
        self.last
    }

    /// The batch, and the rows that it makes, oldest first.
    pub(super) fn finish(mut self) -> (Batch, Vec<Fresh>, NotificationId) {
        let mut fresh = self.rows;
        let mut batch = self.batch;
        for ((user, video), Gathered { before, after }) in self.likes.drain() {
            let Some((id, row)) = after else { continue };
            if let Some((old_id, old)) = before {
                let key = (user.bytes(), old_id.bytes());
                batch = batch.assert_equal(INBOX, &key, &old).delete(INBOX, &key).add(ENTRIES, &user.bytes(), -1);
                if !old.read {
                    batch = batch.add(UNREAD, &user.bytes(), -1);
                }
            }
            batch = batch.put(LIKES, &(user.bytes(), video.bytes()), &id);
            fresh.push(Fresh { user, id, row });
        }
        fresh.sort_by_key(|fresh| fresh.id);
        for Fresh { user, id, row } in &fresh {
            batch = batch.put(INBOX, &(user.bytes(), id.bytes()), row).add(ENTRIES, &user.bytes(), 1).add(
                UNREAD,
                &user.bytes(),
                1,
            );
        }
        if let Some(Fresh { id, .. }) = fresh.last() {
            batch = batch.put(LAST_ID, &(), id);
        }
        (batch, fresh, self.last)
    }
}

/// The id that follows at once.
fn after(id: NotificationId) -> NotificationId {
    NotificationId::from_bytes(u128::from_be_bytes(id.bytes()).saturating_add(1).to_be_bytes())
}
