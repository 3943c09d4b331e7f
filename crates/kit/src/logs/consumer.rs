//! The consumer's side of a log.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use proto::{Problem, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Batch, Store, Table, WriteError};

use super::{LogEvent, LogPage};
use crate::clock;
use crate::limits::{CONSUMER_BATCH_OPERATIONS, CONSUMER_PAUSE_MAX, CONSUMER_PAUSE_MIN, EVENT_ATTEMPTS, LOG_WAIT};
use crate::peer::Peer;
use crate::shutdown::Shutdown;

/// How far each consumer of this store has come, by `consumer/service/log`.
const CURSORS: Table<String, Cursor> = Table::new("consumer-cursors");

/// Events that a consumer could not deal with, by `consumer/service/log` and sequence.
pub const DEAD_EVENTS: Table<(String, u64), DeadEvent> = Table::new("consumer-dead-events");

/// How much of an event and of the reason is kept when it is set aside: both fit into a record of 7 KiB, whatever
/// the characters.
const DEAD_EVENT_MAX_CHARS: usize = 800;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Cursor {
    epoch: Option<u64>,
    sequence: u64,
}

/// An event that was set aside, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEvent {
    /// The event as JSON, cut when it is long.
    pub event: String,
    /// The last failure.
    pub reason: String,
    /// When it was set aside.
    pub time: Timestamp,
}

/// One event with its place and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<E> {
    /// Its place in the log.
    pub sequence: u64,
    /// When the owner wrote it.
    pub time: Timestamp,
    /// What happened.
    pub event: E,
}

/// What an event leads to: a batch, written together with the cursor, and perhaps something to do once that is
/// durable (a live message, say; it may be lost in a crash).
pub struct Effect {
    batch: Batch,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Effect {
    /// Calls `then` after the batch has become durable.
    pub fn then(batch: Batch, then: impl FnOnce() + Send + 'static) -> Self {
        Self { batch, then: Some(Box::new(then)) }
    }
}

impl From<Batch> for Effect {
    fn from(batch: Batch) -> Self {
        Self { batch, then: None }
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Effect").field("operations", &self.batch.len()).finish_non_exhaustive()
    }
}

/// Reads another service's log for ever.
///
/// A handler's error with status 429, 503 or 507 (somebody is down, the disk is full) is tried again for as long
/// as it takes; any other failure a few times, then the event goes to [`DEAD_EVENTS`] and the next one follows.
#[derive(Debug, Clone)]
pub struct Consumer {
    name: &'static str,
    peer: Peer,
    log: &'static str,
    merges: bool,
}

/// Why a group of events could not be applied.
enum Trouble {
    /// Nothing is wrong with the events: try again.
    Later(String),
    /// The first of them cannot be dealt with.
    Event(String),
    /// The process ends.
    Ended,
}

impl Consumer {
    /// The consumer `name`, which the owner's definition of the log has to name.
    pub fn new(name: &'static str, peer: Peer, log: &'static str) -> Self {
        Self { name, peer, log, merges: false }
    }

    /// Writes the batches of many events as one. Only for handlers whose batch does not depend on reading what
    /// the event before it wrote: puts of whole values, deletes and counters, not read-change-write.
    #[must_use]
    pub fn merging(mut self) -> Self {
        self.merges = true;
        self
    }

    /// Runs until shutdown. `handle` says what an event leads to; it is called again for the same event when
    /// something fails, so it must have no effect of its own.
    pub async fn run<E, F, Fut, R, X>(self, store: Store, shutdown: Shutdown, handle: F)
    where
        E: DeserializeOwned + Send,
        F: Fn(Entry<E>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<R, X>> + Send,
        R: Into<Effect>,
        X: Into<Problem>,
    {
        let key = format!("{}/{}/{}", self.name, self.peer.name(), self.log);
        let handle = Typed { handle, marker: PhantomData };
        let mut run = Run { consumer: &self, store: &store, key, cursor: Cursor::default(), pause: CONSUMER_PAUSE_MIN };
        let work = async {
            run.restore().await;
            loop {
                let page = run.poll().await;
                if let Err(Trouble::Ended) = run.apply(&page, &handle).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.requested() => {}
        }
    }
}

/// What an event leads to, whatever its type.
trait Handle: Sync {
    fn effect(&self, event: &LogEvent<Value>) -> impl Future<Output = Result<Effect, Trouble>> + Send;
}

/// The handler of events of the type `E`.
struct Typed<E, F> {
    handle: F,
    marker: PhantomData<fn() -> E>,
}

impl<E, F, Fut, R, X> Handle for Typed<E, F>
where
    E: DeserializeOwned + Send,
    F: Fn(Entry<E>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, X>> + Send,
    R: Into<Effect>,
    X: Into<Problem>,
{
    async fn effect(&self, event: &LogEvent<Value>) -> Result<Effect, Trouble> {
        let read =
            E::deserialize(&event.event).map_err(|error| Trouble::Event(format!("it cannot be read: {error}")))?;
        let entry = Entry { sequence: event.sequence, time: event.time, event: read };
        match (self.handle)(entry).await {
            Ok(effect) => Ok(effect.into()),
            Err(failure) => Err(Trouble::of(&failure.into())),
        }
    }
}

impl Trouble {
    fn of(problem: &Problem) -> Self {
        match problem.status {
            429 | 503 | 507 => Self::Later(problem.to_string()),
            _ => Self::Event(problem.to_string()),
        }
    }

    fn of_write(error: &WriteError) -> Self {
        match error {
            WriteError::Closed => Self::Ended,
            WriteError::Full | WriteError::Read(_) => Self::Later(error.to_string()),
            _ => Self::Event(error.to_string()),
        }
    }
}

/// A consumer at work.
struct Run<'a> {
    consumer: &'a Consumer,
    store: &'a Store,
    key: String,
    cursor: Cursor,
    pause: Duration,
}

impl Run<'_> {
    async fn restore(&mut self) {
        loop {
            match self.store.get(CURSORS, &self.key) {
                Ok(cursor) => {
                    self.cursor = cursor.unwrap_or_default();
                    return;
                }
                Err(error) => self.wait(&error.to_string()).await,
            }
        }
    }

    /// The next page with events, however long it takes.
    async fn poll(&mut self) -> Vec<LogEvent<Value>> {
        loop {
            let epoch = self.cursor.epoch.map_or_else(String::new, |epoch| format!("&epoch={epoch}"));
            let path = format!(
                "/internal/logs/{}?consumer={}&after={}&wait={}{epoch}",
                self.consumer.log,
                self.consumer.name,
                self.cursor.sequence,
                LOG_WAIT.as_secs()
            );
            match self.consumer.peer.get::<LogPage<Value>>(&path).await {
                Ok(page) => {
                    self.pause = CONSUMER_PAUSE_MIN;
                    if self.is_of_this_epoch(&page) && !page.events.is_empty() {
                        return page.events;
                    }
                }
                Err(problem) => self.wait(&problem.to_string()).await,
            }
        }
    }

    /// Whether the page continues what this consumer knows. If it does not, it starts at the beginning.
    fn is_of_this_epoch(&mut self, page: &LogPage<Value>) -> bool {
        let known = self.cursor.epoch.replace(page.epoch);
        if known.is_some_and(|known| known != page.epoch) {
            tracing::error!(consumer = self.key, "the log was restored: it is read again from its beginning");
            self.cursor.sequence = 0;
            return false;
        }
        if page.trimmed > self.cursor.sequence {
            let missing = page.trimmed - self.cursor.sequence;
            tracing::error!(consumer = self.key, missing, "the log's beginning is gone: this projection has gaps");
            self.cursor.sequence = page.trimmed;
        }
        true
    }

    /// Applies all events of a page, in order.
    async fn apply(&mut self, events: &[LogEvent<Value>], handle: &impl Handle) -> Result<(), Trouble> {
        let (mut rest, mut failures, mut alone) = (events, 0, 0);
        while let Some(first) = rest.first() {
            let merges = self.consumer.merges && alone == 0;
            match self.apply_some(rest, merges, handle).await {
                Ok(applied) => {
                    rest = &rest[applied..];
                    (failures, alone) = (0, usize::saturating_sub(alone, applied));
                    self.pause = CONSUMER_PAUSE_MIN;
                }
                Err(Trouble::Ended) => return Err(Trouble::Ended),
                Err(Trouble::Later(reason)) => self.wait(&reason).await,
                // Somebody in a merged group is at fault: find out who, one by one.
                Err(Trouble::Event(_)) if merges && rest.len() > 1 => alone = rest.len(),
                Err(Trouble::Event(reason)) => {
                    failures += 1;
                    if failures < EVENT_ATTEMPTS {
                        self.wait(&reason).await;
                    } else if self.set_aside(first, &reason).await? {
                        (rest, failures) = (&rest[1..], 0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies the first event, or as many as go into one batch. Says how many.
    async fn apply_some(
        &mut self,
        events: &[LogEvent<Value>],
        merges: bool,
        handle: &impl Handle,
    ) -> Result<usize, Trouble> {
        let (mut batch, mut then, mut taken) = (Batch::new(), Vec::new(), 0_usize);
        for event in events {
            let effect = handle.effect(event).await?;
            if taken > 0 && batch.len() + effect.batch.len() > CONSUMER_BATCH_OPERATIONS {
                break;
            }
            batch = batch.merge(effect.batch);
            then.extend(effect.then);
            taken += 1;
            if !merges {
                break;
            }
        }
        let Some(last) = taken.checked_sub(1).and_then(|last| events.get(last)) else { return Ok(0) };
        self.write(batch, last.sequence).await?;
        then.into_iter().for_each(|then| then());
        Ok(taken)
    }

    /// Writes a batch together with the cursor.
    async fn write(&mut self, batch: Batch, sequence: u64) -> Result<(), Trouble> {
        let cursor = Cursor { sequence, ..self.cursor };
        let batch = batch.put(CURSORS, &self.key, &cursor);
        self.store.write(batch).await.map_err(|error| Trouble::of_write(&error))?;
        self.cursor = cursor;
        Ok(())
    }

    /// Moves an event to the dead ones. Says whether that worked.
    async fn set_aside(&mut self, event: &LogEvent<Value>, reason: &str) -> Result<bool, Trouble> {
        tracing::error!(consumer = self.key, sequence = event.sequence, reason, "an event is set aside");
        metrics::counter!("consumer_dead_events_total", "consumer" => self.key.clone()).increment(1);
        let cut = |text: &str| text.chars().take(DEAD_EVENT_MAX_CHARS).collect();
        let dead = DeadEvent { event: cut(&event.event.to_string()), reason: cut(reason), time: clock::now() };
        let batch = Batch::new().put(DEAD_EVENTS, &(self.key.clone(), event.sequence), &dead);
        match self.write(batch, event.sequence).await {
            Ok(()) => Ok(true),
            Err(Trouble::Ended) => Err(Trouble::Ended),
            Err(Trouble::Later(reason) | Trouble::Event(reason)) => {
                self.wait(&reason).await;
                Ok(false)
            }
        }
    }

    /// A pause after a failure; longer each time.
    async fn wait(&mut self, reason: &str) {
        tracing::warn!(consumer = self.key, reason, "a consumer waits");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(CONSUMER_PAUSE_MAX);
    }
}
