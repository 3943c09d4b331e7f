//! From events as they arrive to the batches that they lead to.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use proto::{Problem, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{Batch, WriteError};

use super::projection::Subject;
use crate::limits::{CONSUMER_BATCH_OPERATIONS, CONSUMER_GROUP_EVENTS};

/// One event with its place and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<E> {
    /// Its place in the log; of an event of a snapshot, where the log stood then.
    pub sequence: u64,
    /// When the owner wrote it; of an event of a snapshot, when it was read.
    pub time: Timestamp,
    /// What happened.
    pub event: E,
    /// It says how things are, not that they happened just now: nobody is to be told.
    pub snapshot: bool,
}

/// An event as it has arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) sequence: u64,
    pub(super) time: Timestamp,
    pub(super) event: Value,
    pub(super) snapshot: bool,
}

impl Arrived {
    fn read<E: DeserializeOwned>(&self) -> Result<Entry<E>, Trouble> {
        let event =
            E::deserialize(&self.event).map_err(|error| Trouble::Event(format!("it cannot be read: {error}")))?;
        Ok(Entry { sequence: self.sequence, time: self.time, event, snapshot: self.snapshot })
    }
}

/// What an event leads to: a batch, written together with the cursor, and perhaps something to do once that is
/// durable (a live message, say; it may be lost in a crash).
#[derive(Default)]
pub struct Effect {
    pub(super) batch: Batch,
    pub(super) then: Vec<Box<dyn FnOnce() + Send>>,
}

impl Effect {
    /// Calls `then` after the batch has become durable.
    pub fn then(batch: Batch, then: impl FnOnce() + Send + 'static) -> Self {
        Self { batch, then: vec![Box::new(then)] }
    }

    fn merge(mut self, other: Self) -> Self {
        self.then.extend(other.then);
        Self { batch: self.batch.merge(other.batch), then: self.then }
    }
}

impl From<Batch> for Effect {
    fn from(batch: Batch) -> Self {
        Self { batch, then: Vec::new() }
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Effect").field("operations", &self.batch.len()).finish_non_exhaustive()
    }
}

/// Why a group of events could not be applied.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing is wrong with the events: try again.
    Later(String),
    /// The first of them cannot be dealt with.
    Event(String),
    /// The process ends.
    Ended,
}

impl Trouble {
    fn of(problem: &Problem) -> Self {
        match problem.status {
            429 | 503 | 507 => Self::Later(problem.to_string()),
            _ => Self::Event(problem.to_string()),
        }
    }

    pub(super) fn of_write(error: &WriteError) -> Self {
        match error {
            WriteError::Closed => Self::Ended,
            WriteError::Full | WriteError::QueueFull { .. } | WriteError::Read(_) => Self::Later(error.to_string()),
            _ => Self::Event(error.to_string()),
        }
    }
}

/// Which events may share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Merging {
    /// None.
    #[default]
    Nothing,
    /// Those that follow each other and are about different subjects.
    BySubject,
    /// All that follow each other.
    Everything,
}

/// What events lead to, whatever their type.
pub(super) trait Handle: Sync {
    /// What the first of these events lead to, as many as go into one batch, and how many those are.
    fn effect(
        &self,
        events: &[Arrived],
        merging: Merging,
    ) -> impl Future<Output = Result<(Effect, usize), Trouble>> + Send;
}

/// A handler that is asked event by event.
pub(super) struct OneByOne<E, F> {
    pub(super) handle: F,
    pub(super) subject: Option<fn(&E) -> Option<Subject>>,
}

impl<E, F, Fut, R, X> Handle for OneByOne<E, F>
where
    E: DeserializeOwned + Send,
    F: Fn(Entry<E>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, X>> + Send,
    R: Into<Effect>,
    X: Into<Problem>,
{
    async fn effect(&self, events: &[Arrived], merging: Merging) -> Result<(Effect, usize), Trouble> {
        let (mut all, mut taken, mut ids) = (Effect::default(), 0_usize, HashSet::new());
        for event in events {
            let entry = event.read()?;
            if merging == Merging::BySubject {
                // What is about more than one subject stands alone.
                let subject = self.subject.and_then(|subject| subject(&entry.event));
                let fits = subject.as_ref().map_or(taken == 0, |subject| ids.insert(subject.id().to_vec()));
                if !fits {
                    break;
                }
            }
            let alone = merging == Merging::Nothing || (merging == Merging::BySubject && ids.is_empty());
            let effect: Effect = (self.handle)(entry).await.map_err(|failure| Trouble::of(&failure.into()))?.into();
            if taken > 0 && all.batch.len() + effect.batch.len() > CONSUMER_BATCH_OPERATIONS {
                break;
            }
            all = all.merge(effect);
            taken += 1;
            if alone {
                break;
            }
        }
        Ok((all, taken))
    }
}

/// A handler that takes several events at once.
pub(super) struct Together<E, F> {
    pub(super) handle: F,
    pub(super) marker: PhantomData<fn() -> E>,
}

impl<E, F, Fut, R, X> Handle for Together<E, F>
where
    E: DeserializeOwned + Send,
    F: Fn(Vec<Entry<E>>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, X>> + Send,
    R: Into<Effect>,
    X: Into<Problem>,
{
    async fn effect(&self, events: &[Arrived], merging: Merging) -> Result<(Effect, usize), Trouble> {
        let most = if merging == Merging::Nothing { 1 } else { CONSUMER_GROUP_EVENTS };
        let entries = events.iter().take(most).map(Arrived::read).collect::<Result<Vec<_>, _>>()?;
        let taken = entries.len();
        let effect = (self.handle)(entries).await.map_err(|failure| Trouble::of(&failure.into()))?;
        Ok((effect.into(), taken))
    }
}
