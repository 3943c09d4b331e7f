//! Filling a projection anew from its owner's snapshot.
//!
//! First what the projection has is noted, then the snapshot is read and applied, then what was noted and did not
//! come is removed, and the cursor moves last. So a crash anywhere starts it again, and nothing is removed that came
//! while the snapshot was read.

use proto::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{Batch, WriteError};

use super::SnapshotPage;
use super::cursor::{CURSORS, Cursor, DEAD_EVENTS, OF_SNAPSHOT, REFILLS};
use super::handle::{Arrived, Handle, Merging, Trouble};
use super::projection::{Kept, Row, Subjects};
use super::registry::State;
use super::rows::Place;
use super::run::{Run, forgotten, of_snapshot};
use crate::clock;
use crate::limits::{REFILL_REMOVALS_MAX, SNAPSHOT_PAGE_EVENTS, SNAPSHOT_PAGE_ROWS};

/// Why a projection is filled anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The owner lost something: what its log says now is another history.
    OtherEpoch,
    /// This consumer's store lost something, and the log has forgotten what would follow.
    Gap,
    /// The log is older than this consumer.
    New,
    /// Somebody wants it, since then.
    Asked(Timestamp),
}

/// Where a snapshot stands in the log.
#[derive(Debug, Clone, Copy)]
struct Mark {
    epoch: u64,
    /// The log's end when the snapshot began.
    sequence: u64,
    /// The log's beginning when the snapshot ended.
    trimmed: u64,
}

impl<E: DeserializeOwned + Send + 'static> Run<'_, E> {
    pub(super) async fn refill(&mut self, why: Why, handle: &impl Handle) -> Result<(), Trouble> {
        tracing::warn!(consumer = self.line.key, ?why, "a projection is filled anew");
        self.line.is(State::Refilling(0));
        self.forget_dead().await?;
        let asked = self.read(|store, key| store.get(REFILLS, key)).await;
        let (mark, held) = loop {
            let mut missing = self.subjects().await;
            let had = missing.len();
            if let Some(mark) = self.read_snapshot(&mut missing, handle).await? {
                let gone = missing.len();
                // An owner whose log is another one, and that knows nothing of all this, has come back empty.
                let is_empty = matches!(why, Why::OtherEpoch) && gone == had && had > 0;
                let held = asked.is_none() && (is_empty || gone > REFILL_REMOVALS_MAX && gone > had / 2);
                self.mend(&mut missing, held, mark, handle).await?;
                break (mark, if held { gone } else { 0 });
            }
        };
        if held > 0 {
            tracing::error!(consumer = self.line.key, held, "too much is gone at the owner: nothing is removed yet");
        }
        let cursor = Cursor { epoch: Some(mark.epoch), sequence: self.go_on_at(mark), held: held as u64 };
        self.finish(cursor, asked).await?;
        tracing::info!(consumer = self.line.key, sequence = cursor.sequence, "a projection was filled anew");
        Ok(())
    }

    /// Where the log is read on. In the history that this consumer knows: where it was, since it has not seen what
    /// came after, and somebody may still have to be told. Else where the log stood when the snapshot began.
    fn go_on_at(&self, mark: Mark) -> u64 {
        let Cursor { epoch, sequence, .. } = self.cursor;
        if epoch == Some(mark.epoch) && sequence <= mark.sequence { sequence.max(mark.trimmed) } else { mark.sequence }
    }

    /// The new cursor, and with it the end of what was asked for, unless it was asked for again.
    async fn finish(&mut self, cursor: Cursor, mut asked: Option<Timestamp>) -> Result<(), Trouble> {
        loop {
            let key = &self.line.key;
            let mut batch = Batch::new().put(CURSORS, key, &cursor);
            if let Some(since) = &asked {
                batch = batch.assert_equal(REFILLS, key, since).delete(REFILLS, key);
            }
            match self.store.write(batch).await {
                Ok(_) => {
                    self.cursor = cursor;
                    self.line.filled(cursor.sequence);
                    self.well();
                    return Ok(());
                }
                Err(WriteError::Closed) => return Err(Trouble::Ended),
                Err(WriteError::Assertion { .. }) => asked = None,
                Err(error) => self.wait(&error.to_string()).await,
            }
        }
    }

    /// What the projection has, read to the end.
    async fn subjects(&mut self) -> Subjects {
        let (mut subjects, mut place) = (Subjects::default(), None);
        loop {
            let (rows, next) = self.rows(place).await;
            for row in rows {
                if let Row::Of(subject, _) = row.0 {
                    subjects.insert(&subject);
                }
            }
            place = next;
            if place.is_none() {
                return subjects;
            }
        }
    }

    /// Some rows of the projection, read away from the threads that answer.
    async fn rows(&mut self, place: Option<Place>) -> (Vec<Kept>, Option<Place>) {
        let Some(projection) = &self.consumer.projection else { return (Vec::new(), None) };
        let rows = projection.rows.clone();
        loop {
            let (rows, store, place) = (rows.clone(), self.store.clone(), place.clone());
            let read = move || rows.piece(&store, place.as_ref(), SNAPSHOT_PAGE_ROWS, SNAPSHOT_PAGE_ROWS);
            match tokio::task::spawn_blocking(read).await {
                Ok(Ok(piece)) => return piece,
                Ok(Err(error)) => self.wait(&error.to_string()).await,
                Err(error) => self.wait(&error.to_string()).await,
            }
        }
    }

    /// Reads the snapshot and applies it; what comes is no longer missing. Nothing when the owner became another one
    /// in the middle of it.
    async fn read_snapshot(&mut self, missing: &mut Subjects, handle: &impl Handle) -> Result<Option<Mark>, Trouble> {
        let (mut mark, mut after, mut read) = (None::<Mark>, None, 0);
        loop {
            let page = self.snapshot_page(after.as_deref()).await;
            let mark = mark.get_or_insert(Mark { epoch: page.epoch, sequence: page.sequence, trimmed: page.trimmed });
            if mark.epoch != page.epoch {
                return Ok(None);
            }
            mark.trimmed = page.trimmed;
            let now = clock::now();
            let events: Vec<_> = page.events.into_iter().map(|event| of_snapshot(event, mark.sequence, now)).collect();
            self.tick_off(&events, missing);
            self.apply(&events, self.merging_snapshots(), handle).await?;
            read += events.len();
            self.line.is(State::Refilling(read));
            after = page.next;
            if after.is_none() {
                return Ok(Some(*mark));
            }
        }
    }

    /// The events of a snapshot are about one subject each: they share batches wherever the handler knows subjects.
    fn merging_snapshots(&self) -> Merging {
        match (self.consumer.merging, &self.consumer.projection) {
            (Merging::Nothing, Some(_)) => Merging::BySubject,
            (merging, _) => merging,
        }
    }

    fn tick_off(&self, events: &[Arrived], missing: &mut Subjects) {
        let Some(projection) = &self.consumer.projection else { return };
        for event in events {
            // One that cannot be read is dealt with where it is applied.
            if let Some(subject) = E::deserialize(&event.event).ok().and_then(|event| (projection.subject)(&event)) {
                missing.remove(&subject);
            }
        }
    }

    async fn snapshot_page(&mut self, after: Option<&str>) -> SnapshotPage<Value> {
        let after = after.map_or_else(String::new, |after| format!("&after={after}"));
        let path = format!("/internal/logs/{}/snapshot?consumer={}{after}", self.consumer.log, self.consumer.name);
        loop {
            match self.consumer.peer.get(&path).await {
                Ok(page) => return page,
                Err(problem) => self.wait(&problem.to_string()).await,
            }
        }
    }

    /// Removes what is missing, unless that is `held`; then puts right what fits to nothing that is left.
    async fn mend(
        &mut self,
        missing: &mut Subjects,
        held: bool,
        mark: Mark,
        handle: &impl Handle,
    ) -> Result<(), Trouble> {
        if !held && missing.len() > 0 {
            self.remove(missing, mark, handle).await?;
        }
        let mut place = None;
        loop {
            let (rows, next) = self.rows(place).await;
            for row in rows {
                if let Row::Stray(mend) = row.0 {
                    self.mend_stray(mend).await?;
                }
            }
            place = next;
            if place.is_none() {
                return Ok(());
            }
        }
    }

    async fn remove(&mut self, missing: &mut Subjects, mark: Mark, handle: &impl Handle) -> Result<(), Trouble> {
        let mut place = None;
        loop {
            let (rows, next) = self.rows(place).await;
            let (mut gone, now) = (Vec::new(), clock::now());
            for row in rows {
                if let Row::Of(subject, event) = row.0
                    && missing.remove(&subject)
                {
                    gone.push(of_snapshot(event, mark.sequence, now));
                }
            }
            for gone in gone.chunks(SNAPSHOT_PAGE_EVENTS) {
                self.apply(gone, self.merging_snapshots(), handle).await?;
            }
            place = next;
            if place.is_none() {
                return Ok(());
            }
        }
    }

    async fn mend_stray(&mut self, mend: Box<dyn Fn() -> Batch + Send>) -> Result<(), Trouble> {
        loop {
            match self.store.write(mend()).await {
                // It is not what it was any more.
                Ok(_) | Err(WriteError::Assertion { .. }) => return Ok(()),
                Err(WriteError::Closed) => return Err(Trouble::Ended),
                Err(error) => self.wait(&error.to_string()).await,
            }
        }
    }

    /// Forgets the events of earlier snapshots that were set aside: they come again.
    async fn forget_dead(&mut self) -> Result<(), Trouble> {
        self.set_aside = 0;
        let dead = |store: &store::Store, key: &String| {
            let keys = store.scan_keys(DEAD_EVENTS, store::Scan::prefix(key).from(&(key.clone(), OF_SNAPSHOT)));
            keys.collect::<Result<Vec<_>, _>>()
        };
        for key in self.read(dead).await {
            self.put(forgotten(Batch::new(), &key)).await?;
        }
        Ok(())
    }
}
