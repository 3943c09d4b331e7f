//! A write as a value.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::WriteError;
use crate::key::Key;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, KEY_BYTES_MAX, ORDER_KEY_BYTES_MAX, REASON_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::log::Log;
use crate::queue::{Leased, Push, Queue, RetryPolicy};
use crate::space::{self, Kind};
use crate::table::{Counter, Table};

/// Changes that happen together or not at all, in the order in which they are added: an assertion
/// sees what stands before it in the same batch.
///
/// What is too large or cannot be encoded is remembered, and [`Store::write`](crate::Store::write) says so.
#[derive(Debug, Default)]
#[must_use = "a batch does nothing until it is written"]
pub struct Batch {
    pub(crate) operations: Vec<Operation>,
    pub(crate) now_ms: Option<i64>,
    pub(crate) is_essential: bool,
    bytes: usize,
    refused: Option<WriteError>,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
    Assert { table: &'static str, key: Vec<u8>, expected: Expected },
    Add { counter: &'static str, key: Vec<u8>, delta: i64, bounds: Option<RangeInclusive<i64>> },
    Append { log: &'static str, event: Vec<u8> },
    Acknowledge { log: &'static str, consumers: &'static [&'static str], consumer: String, up_to: u64 },
    Push { queue: &'static str, job: Vec<u8>, order_key: Option<Vec<u8>>, due_ms: i64, lane: u8, limit: Option<u64> },
    Complete { queue: &'static str, id: u64, lease: u64 },
    Retry { queue: &'static str, id: u64, lease: u64, reason: String, due_ms: i64 },
    Bury { queue: &'static str, id: u64, lease: u64, reason: String },
    Revive { queue: &'static str, id: u64, now_ms: i64 },
    Drop { queue: &'static str, id: u64 },
}

#[derive(Debug)]
pub(crate) enum Expected {
    Absent,
    Present,
    /// The encoded value, and how to bring what an older version wrote into the same form.
    Equal(Vec<u8>, fn(&[u8]) -> Option<Vec<u8>>),
}

impl Batch {
    /// A batch without anything in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what time it is: the time (milliseconds since 1970) of the events in this batch.
    /// Without it they get the system's time when they are written.
    pub fn at(mut self, now_ms: i64) -> Self {
        self.now_ms = Some(now_ms);
        self
    }

    /// Has it written even while the disk is nearly full: deleting, logging in, finishing what is under way.
    pub fn essential(mut self) -> Self {
        self.is_essential = true;
        self
    }

    /// Writes a record, whether there was one or not.
    pub fn put<K: Key, V: Serialize>(self, table: Table<K, V>, key: &K, value: &V) -> Self {
        let key = space::key(Kind::Table, table.name, key);
        self.with_value(table.name, value, |value| Operation::Put { key, value })
    }

    /// Removes a record, if there is one.
    pub fn delete<K: Key, V>(self, table: Table<K, V>, key: &K) -> Self {
        let key = space::key(Kind::Table, table.name, key);
        self.with(table.name, Operation::Delete { key })
    }

    /// Refuses the batch if there is such a record.
    pub fn assert_absent<K: Key, V>(self, table: Table<K, V>, key: &K) -> Self {
        self.assert(table, key, Expected::Absent)
    }

    /// Refuses the batch if there is no such record.
    pub fn assert_present<K: Key, V>(self, table: Table<K, V>, key: &K) -> Self {
        self.assert(table, key, Expected::Present)
    }

    /// Refuses the batch unless the record is this one: compare and set. A record that an older
    /// version wrote is compared as this version reads it.
    pub fn assert_equal<K: Key, V: Serialize + DeserializeOwned>(
        mut self,
        table: Table<K, V>,
        key: &K,
        value: &V,
    ) -> Self {
        match codec::encode(table.name, value) {
            Ok(value) => self.assert(table, key, Expected::Equal(value, codec::normalize::<V>)),
            Err(error) => {
                self.refuse(error);
                self
            }
        }
    }

    fn assert<K: Key, V>(self, table: Table<K, V>, key: &K, expected: Expected) -> Self {
        let key = space::key(Kind::Table, table.name, key);
        self.with(table.name, Operation::Assert { table: table.name, key, expected })
    }

    /// Adds to a counter; it stops at the ends of `i64`.
    pub fn add<K: Key>(self, counter: Counter<K>, key: &K, delta: i64) -> Self {
        let key = space::key(Kind::Counter, counter.name, key);
        self.with(counter.name, Operation::Add { counter: counter.name, key, delta, bounds: None })
    }

    /// Adds to a counter, and refuses the batch if the sum is out of bounds: quota, unread ≥ 0.
    pub fn add_bounded<K: Key>(self, counter: Counter<K>, key: &K, delta: i64, bounds: RangeInclusive<i64>) -> Self {
        let key = space::key(Kind::Counter, counter.name, key);
        let bounds = Some(bounds);
        self.with(counter.name, Operation::Add { counter: counter.name, key, delta, bounds })
    }

    /// Appends an event. Its sequence is given by the writer: see [`Written::events`](crate::Written).
    pub fn append<E: Serialize>(self, log: Log<E>, event: &E) -> Self {
        self.with_value(log.name, event, |event| Operation::Append { log: log.name, event })
    }

    /// Puts a job into a queue. Its id is given by the writer: see [`Written::jobs`](crate::Written).
    pub fn push<J: Serialize>(self, queue: Queue<J>, push: Push<'_, J>) -> Self {
        let Push { job, order_key, due_ms, lane } = push;
        let Queue { name: queue, limit, .. } = queue;
        let size = order_key.as_ref().map_or(0, Vec::len);
        let operation = |job| Operation::Push { queue, job, order_key, due_ms, lane, limit };
        let mut batch = self.with_value(queue, job, operation);
        if size > ORDER_KEY_BYTES_MAX {
            batch.refuse(WriteError::TooLarge { what: queue, size, limit: ORDER_KEY_BYTES_MAX });
        }
        batch
    }

    /// Ends a job, in the batch of its effect. Refuses the batch unless the lease is still ours: no effect twice.
    /// The batch is [essential](Self::essential): what was taken on is finished.
    pub fn complete<J>(self, leased: &Leased<J>) -> Self {
        let Leased { queue, id, lease, .. } = *leased;
        self.essential().with(queue, Operation::Complete { queue, id, lease })
    }

    /// Says that the work failed. The job is due again after a delay that doubles with each failure,
    /// and is a dead letter with its reason after `policy.attempts` failures.
    pub fn retry<J>(self, leased: &Leased<J>, reason: &str, policy: RetryPolicy, now_ms: i64) -> Self {
        let Leased { queue, id, lease, attempt, .. } = *leased;
        if attempt.saturating_add(1) >= policy.attempts {
            return self.bury(leased, reason);
        }
        let due_ms = now_ms.saturating_add(policy.delay_ms(attempt));
        let reason = shorten(reason);
        self.with(queue, Operation::Retry { queue, id, lease, reason, due_ms })
    }

    /// Makes the job a dead letter at once: the work can never succeed.
    pub fn bury<J>(self, leased: &Leased<J>, reason: &str) -> Self {
        let Leased { queue, id, lease, .. } = *leased;
        let reason = shorten(reason);
        self.with(queue, Operation::Bury { queue, id, lease, reason })
    }

    /// Appends the other batch's operations to this one's.
    pub fn merge(mut self, other: Batch) -> Self {
        self.bytes += other.bytes;
        self.now_ms = self.now_ms.or(other.now_ms);
        self.is_essential |= other.is_essential;
        self.operations.extend(other.operations);
        if let Some(error) = other.refused {
            self.refuse(error);
        }
        self
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many operations are in it.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first thing that makes this batch impossible, if any.
    pub(crate) fn check(&mut self) -> Result<(), WriteError> {
        let too_large = |size, limit| Err(WriteError::TooLarge { what: "batch", size, limit });
        match self.refused.take() {
            Some(error) => Err(error),
            None if self.len() > BATCH_OPERATIONS_MAX => too_large(self.len(), BATCH_OPERATIONS_MAX),
            None if self.bytes > BATCH_BYTES_MAX => too_large(self.bytes, BATCH_BYTES_MAX),
            None => Ok(()),
        }
    }

    fn refuse(&mut self, error: WriteError) {
        self.refused.get_or_insert(error);
    }

    pub(crate) fn with(mut self, what: &'static str, operation: Operation) -> Self {
        let (key, value) = operation.sizes();
        for (size, limit) in [(key, KEY_BYTES_MAX), (value, VALUE_BYTES_MAX)] {
            if size > limit {
                self.refuse(WriteError::TooLarge { what, size, limit });
            }
        }
        self.bytes += key + value;
        self.operations.push(operation);
        self
    }

    fn with_value<V: Serialize>(
        mut self,
        what: &'static str,
        value: &V,
        operation: impl FnOnce(Vec<u8>) -> Operation,
    ) -> Self {
        match codec::encode(what, value) {
            Ok(bytes) => self.with(what, operation(bytes)),
            Err(error) => {
                self.refuse(error);
                self
            }
        }
    }
}

impl Operation {
    /// The sizes of key and value in bytes.
    fn sizes(&self) -> (usize, usize) {
        match self {
            Self::Put { key, value } => (key.len(), value.len()),
            Self::Delete { key } | Self::Assert { key, .. } | Self::Add { key, .. } => (key.len(), 0),
            Self::Append { event, .. } => (0, event.len()),
            Self::Push { job, .. } => (0, job.len()),
            Self::Retry { reason, .. } | Self::Bury { reason, .. } => (0, reason.len()),
            Self::Acknowledge { .. } | Self::Complete { .. } | Self::Revive { .. } | Self::Drop { .. } => (0, 0),
        }
    }
}

/// Cuts a reason to its limit.
pub(crate) fn shorten(reason: &str) -> String {
    start_of(reason, REASON_BYTES_MAX).to_owned()
}

/// The longest start of a text that has at most so many bytes and ends between two characters.
pub(crate) fn start_of(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
