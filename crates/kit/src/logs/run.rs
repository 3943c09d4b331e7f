//! A consumer at work: polls, applies, and writes its cursor with each effect.

use std::sync::Arc;
use std::time::Duration;

use proto::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{Batch, Scan, Store};

use super::LogPage;
use super::consumer::Consumer;
use super::cursor::{CURSORS, Cursor, DEAD_EVENT_TEXTS, DEAD_EVENTS, DeadEvent, OF_SNAPSHOT, REFILLS, cut};
use super::handle::{Arrived, Handle, Merging, Trouble};
use super::refill::Why;
use super::registry::{Line, State};
use crate::clock;
use crate::limits::{CONSUMER_PAUSE_MAX, CONSUMER_PAUSE_MIN, EVENT_ATTEMPTS, LOG_WAIT};

pub(super) struct Run<'a, E> {
    pub(super) consumer: &'a Consumer<E>,
    pub(super) store: &'a Store,
    pub(super) line: Arc<Line>,
    pub(super) cursor: Cursor,
    /// Events of the snapshot that were set aside in this refill.
    pub(super) set_aside: u64,
    pause: Duration,
}

impl<'a, E: DeserializeOwned + Send + 'static> Run<'a, E> {
    pub(super) fn new(consumer: &'a Consumer<E>, store: &'a Store, line: Arc<Line>) -> Self {
        Self { consumer, store, line, cursor: Cursor::default(), set_aside: 0, pause: CONSUMER_PAUSE_MIN }
    }

    /// Works until the store is closed.
    pub(super) async fn go(&mut self, handle: &impl Handle) {
        loop {
            match self.work(handle).await {
                Err(Trouble::Ended) => return,
                Err(Trouble::Later(reason) | Trouble::Event(reason)) => self.wait(&reason).await,
                Ok(()) => {}
            }
        }
    }

    async fn work(&mut self, handle: &impl Handle) -> Result<(), Trouble> {
        self.cursor = self.read(|store, key| store.get(CURSORS, key)).await.unwrap_or_default();
        loop {
            self.retry_dead(handle).await?;
            if let Some(since) = self.read(|store, key| store.get(REFILLS, key)).await {
                self.refill(Why::Asked(since), handle).await?;
            }
            let line = self.line.clone();
            let page = tokio::select! {
                biased;
                () = line.woken() => continue,
                page = self.poll() => page,
            };
            match self.doubt(&page) {
                Some(why) => self.refill(why, handle).await?,
                None => {
                    let arrived: Vec<_> = page.events.into_iter().map(Arrived::from).collect();
                    self.apply(&arrived, self.consumer.merging, handle).await?;
                }
            }
        }
    }

    /// Reads something of this consumer's own, however long it takes.
    pub(super) async fn read<T>(&mut self, read: impl Fn(&Store, &String) -> Result<T, store::ReadError>) -> T {
        loop {
            match read(self.store, &self.line.key) {
                Ok(value) => return value,
                Err(error) => self.wait(&error.to_string()).await,
            }
        }
    }

    /// The next page that says something, however long it takes.
    async fn poll(&mut self) -> LogPage<Value> {
        let Cursor { epoch, sequence, .. } = self.cursor;
        let epoch = epoch.map_or_else(String::new, |epoch| format!("&epoch={epoch}"));
        let Consumer { name, log, .. } = self.consumer;
        let wait = LOG_WAIT.as_secs();
        let path = format!("/internal/logs/{log}?consumer={name}&after={sequence}&wait={wait}{epoch}");
        loop {
            match self.consumer.peer.get::<LogPage<Value>>(&path).await {
                Ok(page) => {
                    self.well();
                    self.line.saw(page.head);
                    if !page.events.is_empty() || self.doubt(&page).is_some() {
                        return page;
                    }
                    self.cursor.epoch = Some(page.epoch);
                }
                Err(problem) => self.wait(&problem.to_string()).await,
            }
        }
    }

    /// Why the page does not continue what this consumer knows, if it does not.
    fn doubt(&mut self, page: &LogPage<Value>) -> Option<Why> {
        let Cursor { epoch, sequence, .. } = self.cursor;
        match epoch {
            Some(known) if known != page.epoch => Some(Why::OtherEpoch),
            // It has more than the log ever gave: another history.
            Some(_) if sequence > page.head => Some(Why::OtherEpoch),
            Some(_) if page.trimmed > sequence => Some(Why::Gap),
            None if page.trimmed > sequence => Some(Why::New),
            _ => {
                self.cursor.epoch = Some(page.epoch);
                None
            }
        }
    }

    /// Applies all of these events, in order.
    pub(super) async fn apply(
        &mut self,
        events: &[Arrived],
        merging: Merging,
        handle: &impl Handle,
    ) -> Result<(), Trouble> {
        let (mut rest, mut failures, mut alone) = (events, 0, 0);
        while let Some(first) = rest.first() {
            let merging = if alone == 0 { merging } else { Merging::Nothing };
            match self.apply_some(rest, merging, handle).await {
                Ok(applied) => {
                    rest = rest.get(applied..).unwrap_or_default();
                    (failures, alone) = (0, usize::saturating_sub(alone, applied));
                    self.well();
                }
                Err(Trouble::Ended) => return Err(Trouble::Ended),
                Err(Trouble::Later(reason)) => self.wait(&reason).await,
                // Somebody in a merged group is at fault: find out who, one by one.
                Err(Trouble::Event(_)) if merging != Merging::Nothing && rest.len() > 1 => alone = rest.len(),
                Err(Trouble::Event(reason)) => {
                    failures += 1;
                    if failures < EVENT_ATTEMPTS {
                        self.wait(&reason).await;
                    } else if self.bury(first, &reason).await? {
                        (rest, failures) = (rest.get(1..).unwrap_or_default(), 0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies the first event, or as many as go into one batch. Says how many.
    async fn apply_some(
        &mut self,
        events: &[Arrived],
        merging: Merging,
        handle: &impl Handle,
    ) -> Result<usize, Trouble> {
        let (effect, taken) = handle.effect(events, merging).await?;
        let Some(last) = taken.checked_sub(1).and_then(|last| events.get(last)) else { return Ok(0) };
        self.write(effect.batch, last).await?;
        effect.then.into_iter().for_each(|then| then());
        Ok(taken)
    }

    /// Writes a batch; with the cursor, unless it is about a snapshot.
    async fn write(&mut self, batch: Batch, last: &Arrived) -> Result<(), Trouble> {
        if last.snapshot {
            return if batch.is_empty() { Ok(()) } else { self.put(batch).await };
        }
        let cursor = Cursor { sequence: last.sequence, ..self.cursor };
        self.put(batch.put(CURSORS, &self.line.key, &cursor)).await?;
        self.cursor = cursor;
        self.line.applied(cursor.sequence);
        Ok(())
    }

    /// What its owner has taken reaches everybody, on a nearly full disk as well: deletions above all.
    pub(super) async fn put(&self, batch: Batch) -> Result<(), Trouble> {
        self.store.write(batch.essential()).await.map(|_| ()).map_err(|error| Trouble::of_write(&error))
    }

    /// Moves an event to the dead ones. Says whether that worked.
    async fn bury(&mut self, event: &Arrived, reason: &str) -> Result<bool, Trouble> {
        let sequence = if event.snapshot { OF_SNAPSHOT + self.set_aside } else { event.sequence };
        tracing::error!(consumer = self.line.key, sequence, reason, "an event is set aside");
        metrics::counter!("consumer_dead_events_total", "consumer" => self.line.key.clone()).increment(1);
        let (key, text) = ((self.line.key.clone(), sequence), event.event.to_string());
        let dead = DeadEvent { event: cut(&text), reason: cut(reason), time: clock::now(), retry: false };
        let batch = Batch::new().put(DEAD_EVENTS, &key, &dead).put_text(DEAD_EVENT_TEXTS, &key, &text);
        match self.write(batch, event).await {
            Ok(()) => {
                self.set_aside += u64::from(event.snapshot);
                Ok(true)
            }
            Err(Trouble::Ended) => Err(Trouble::Ended),
            Err(Trouble::Later(reason) | Trouble::Event(reason)) => {
                self.wait(&reason).await;
                Ok(false)
            }
        }
    }

    /// Tries the dead events again that somebody asked for. What they say may be old by now: a projection is filled
    /// anew afterwards.
    async fn retry_dead(&mut self, handle: &impl Handle) -> Result<(), Trouble> {
        for (key, dead) in self.read(asked_for).await {
            let text = self.read(|store, _| store.text(DEAD_EVENT_TEXTS, &key)).await;
            let event = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let arrived = Arrived { sequence: key.1, time: dead.time, event, snapshot: key.1 >= OF_SNAPSHOT };
            let tried = match handle.effect(&[arrived], Merging::Nothing).await {
                Ok((effect, _)) => {
                    let mut batch = forgotten(effect.batch, &key);
                    if self.consumer.projection.is_some() {
                        batch = batch.put(REFILLS, &key.0, &clock::now());
                    }
                    self.put(batch).await.map(|()| effect.then)
                }
                Err(trouble) => Err(trouble),
            };
            match tried {
                Ok(then) => then.into_iter().for_each(|then| then()),
                Err(Trouble::Ended) => return Err(Trouble::Ended),
                Err(Trouble::Later(reason) | Trouble::Event(reason)) => {
                    let dead = DeadEvent { reason: cut(&reason), retry: false, ..dead };
                    self.put(Batch::new().put(DEAD_EVENTS, &key, &dead)).await?;
                }
            }
        }
        Ok(())
    }

    /// A pause after a failure; longer each time.
    pub(super) async fn wait(&mut self, reason: &str) {
        tracing::warn!(consumer = self.line.key, reason, "a consumer waits");
        self.line.is(State::Waiting(cut(reason)));
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(CONSUMER_PAUSE_MAX);
    }

    /// After a success.
    pub(super) fn well(&mut self) {
        self.pause = CONSUMER_PAUSE_MIN;
        self.line.goes_on();
    }
}

type Dead = ((String, u64), DeadEvent);

fn asked_for(store: &Store, key: &String) -> Result<Vec<Dead>, store::ReadError> {
    let dead = store.scan(DEAD_EVENTS, Scan::prefix(key));
    dead.filter(|entry| entry.as_ref().map_or(true, |(_, dead)| dead.retry)).collect()
}

/// Forgets a dead event.
pub(super) fn forgotten(batch: Batch, key: &(String, u64)) -> Batch {
    batch.delete(DEAD_EVENTS, key).delete_text(DEAD_EVENT_TEXTS, key)
}

impl From<super::LogEvent<Value>> for Arrived {
    fn from(event: super::LogEvent<Value>) -> Self {
        Self { sequence: event.sequence, time: event.time, event: event.event, snapshot: false }
    }
}

/// An event of a snapshot that was read when the log stood at `sequence`.
pub(super) fn of_snapshot(event: Value, sequence: u64, time: Timestamp) -> Arrived {
    Arrived { sequence, time, event, snapshot: true }
}
