//! Event logs: how one service tells the others what happened.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::batch::{Batch, Operation};
use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::space::{self, Kind, check_name};
use crate::store::Store;

/// An event log, with the consumers that it waits for: it is trimmed to the slowest of them.
/// Without named consumers it is never trimmed.
pub struct Log<E> {
    pub(crate) name: &'static str,
    pub(crate) consumers: &'static [&'static str],
    marker: PhantomData<fn() -> E>,
}

impl<E> Log<E> {
    /// Names a log and its consumers. The names are part of stored keys: they never change.
    pub const fn new(name: &'static str, consumers: &'static [&'static str]) -> Self {
        let mut at = 0;
        while at < consumers.len() {
            check_name(consumers[at]);
            at += 1;
        }
        Self { name: check_name(name), consumers, marker: PhantomData }
    }

    /// The log's name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<E> Clone for Log<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E> Copy for Log<E> {}
impl<E> fmt::Debug for Log<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.name)
    }
}

/// The key of one event.
pub(crate) fn event_key(log: &str, sequence: u64) -> Vec<u8> {
    space::key(Kind::Log, log, &(b'e', sequence))
}
/// The key of the last sequence given.
pub(crate) fn head_key(log: &str) -> Vec<u8> {
    space::key(Kind::Log, log, &b'h')
}
/// The key of the last sequence trimmed.
pub(crate) fn trimmed_key(log: &str) -> Vec<u8> {
    space::key(Kind::Log, log, &b't')
}
/// The key of a consumer's cursor: the last sequence that it has dealt with.
pub(crate) fn cursor_key(log: &str, consumer: &str) -> Vec<u8> {
    space::key(Kind::Log, log, &(b'c', consumer.to_owned()))
}

/// Reads a log, and waits for it to grow.
pub struct LogReader<E> {
    store: Store,
    log: Log<E>,
    head: watch::Receiver<u64>,
}

impl<E> Clone for LogReader<E> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), log: self.log, head: self.head.clone() }
    }
}
impl<E> fmt::Debug for LogReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("log", &self.log.name).finish_non_exhaustive()
    }
}

impl<E> LogReader<E> {
    pub(crate) fn new(store: Store, log: Log<E>) -> Self {
        let head = store.signals().log(log.name, store.engine());
        Self { store, log, head }
    }

    /// Random, made with the store: a consumer that sees another one starts anew from a snapshot.
    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    /// The sequence of the last event, 0 before the first.
    pub fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// The sequence of the last event that was trimmed: who asks for what comes after an earlier one
    /// has missed something, and starts anew from a snapshot.
    pub fn trimmed(&self) -> Result<u64, ReadError> {
        self.store.number(&trimmed_key(self.log.name))
    }

    /// At most `limit` events after a sequence: (sequence, time in milliseconds, event).
    pub fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, i64, E)>, ReadError>
    where
        E: DeserializeOwned,
    {
        // Not what comes after it: the group of that may be half applied.
        let head = self.head();
        if after >= head {
            return Ok(Vec::new());
        }
        let start = event_key(self.log.name, after.saturating_add(1));
        let end = event_key(self.log.name, head.saturating_add(1));
        let mut events = Vec::new();
        for entry in self.store.engine().range(start..end, false).take(limit) {
            let (key, value) = entry?;
            let sequence = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            let (Some(sequence), Some((time, event))) = (sequence, value.split_first_chunk()) else {
                let reason = "the entry is too short".to_owned();
                return Err(ReadError::Decode { table: self.log.name, reason });
            };
            let event = codec::decode(self.log.name, event)?;
            events.push((sequence, i64::from_be_bytes(*time), event));
        }
        Ok(events)
    }

    /// Returns when there are events after that sequence (true), or after the timeout (false).
    pub async fn wait(&self, after: u64, timeout: Duration) -> bool {
        let mut head = self.head.clone();
        let grown = head.wait_for(|head| *head > after);
        matches!(tokio::time::timeout(timeout, grown).await, Ok(Ok(_)))
    }

    /// Says that a consumer has dealt with everything up to that sequence. It never goes back, and
    /// what all consumers have behind them is trimmed, some thousands at a time.
    pub async fn acknowledge(&self, consumer: &str, up_to: u64) -> Result<(), WriteError> {
        let Log { name: log, consumers, .. } = self.log;
        if !consumers.contains(&consumer) {
            return Err(WriteError::UnknownConsumer { log });
        }
        let up_to = up_to.min(self.head());
        if up_to <= self.store.number(&cursor_key(log, consumer))? {
            return Ok(());
        }
        let consumer = consumer.to_owned();
        let operation = Operation::Acknowledge { log, consumers, consumer, up_to };
        self.store.write(Batch::new().with(log, operation)).await.map(|_| ())
    }

    /// How far each of the named consumers is.
    pub fn cursors(&self) -> Result<Vec<(String, u64)>, ReadError> {
        let cursor = |name: &&str| {
            let at = self.store.number(&cursor_key(self.log.name, name))?;
            Ok(((*name).to_owned(), at))
        };
        self.log.consumers.iter().map(cursor).collect()
    }
}
