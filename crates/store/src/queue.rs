//! Work queues, used inside the process that owns the store.
//!
//! Jobs are durable, leases are not: they live in memory, since the store is open in one process only.
//! So leasing costs no write, and after a crash every job is simply free again, without counting as failed.

mod admin;
mod chunk;
mod handle;
mod leases;
mod line;
mod record;
mod resolve;
#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use crate::space::check_name;

pub use handle::QueueHandle;
pub(crate) use leases::{Lease, QueueEffects, QueueShared};
pub(crate) use resolve::{Pushed, QueueChange};

/// A queue of jobs of type `J` (MessagePack maps with named fields).
pub struct Queue<J> {
    pub(crate) name: &'static str,
    pub(crate) limit: Option<u64>,
    marker: PhantomData<fn() -> J>,
}

impl<J> Queue<J> {
    /// Names a queue. The name is part of every stored key: it never changes.
    pub const fn new(name: &'static str) -> Self {
        Self { name: check_name(name), limit: None, marker: PhantomData }
    }

    /// The same queue for those who can be told to come back later: their push is refused with
    /// [`WriteError::QueueFull`](crate::WriteError::QueueFull) while it has so many jobs (dead letters aside).
    ///
    /// Jobs that follow from a job are pushed without a limit: refused, they would keep their place in the
    /// full queue, and it could not get empty.
    pub const fn bounded(self, jobs_max: u64) -> Self {
        Self { limit: Some(jobs_max), ..self }
    }

    /// How many jobs, dead letters aside, it may have: see [`Queue::bounded`].
    pub const fn limit(self) -> Option<u64> {
        self.limit
    }

    /// The queue's name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<J> Clone for Queue<J> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<J> Copy for Queue<J> {}
impl<J> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.name)
    }
}

/// A job on its way into a queue.
#[derive(Debug, Clone)]
pub struct Push<'a, J> {
    /// What is to be done.
    pub job: &'a J,
    /// Jobs with the same key are done one at a time, in the order in which they were pushed.
    pub order_key: Option<Vec<u8>>,
    /// Not before this time (milliseconds since 1970); 0 for at once.
    pub due_ms: i64,
    /// Lanes are leased from separately, so that short work need not wait behind long work.
    pub lane: u8,
}

impl<'a, J> Push<'a, J> {
    /// A job for lane 0, due at once, in no particular order.
    pub fn new(job: &'a J) -> Self {
        Self { job, order_key: None, due_ms: 0, lane: 0 }
    }
}

/// A job that a worker has, until its lease runs out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leased<J> {
    /// The job's id in its queue. It never returns.
    pub id: u64,
    /// What is to be done.
    pub job: J,
    /// How often the work itself has failed so far.
    pub attempt: u32,
    /// Which lease this is: another worker's lease of the same job has another number.
    pub lease: u64,
    /// The job's lane.
    pub lane: u8,
    pub(crate) queue: &'static str,
}

/// When to try again, and when to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After this many failures the job is a dead letter.
    pub attempts: u32,
    /// The delay after the first failure in milliseconds. It doubles with each further one.
    pub first_delay_ms: i64,
    /// The longest delay in milliseconds.
    pub max_delay_ms: i64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, first_delay_ms: 1_000, max_delay_ms: 300_000 }
    }
}

impl RetryPolicy {
    /// The delay after a failure that `failures` others came before, in milliseconds: between half
    /// and all of the doubled one, at random, so that what failed together is not repeated together.
    pub fn delay_ms(&self, failures: u32) -> i64 {
        let doubled = 1_i64.checked_shl(failures.min(62)).unwrap_or(i64::MAX);
        let longest = self.first_delay_ms.saturating_mul(doubled).min(self.max_delay_ms).max(0);
        rand::random_range(longest / 2..=longest)
    }
}

/// What a job is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// For its time, or for a worker.
    Queued,
    /// For an earlier one with the same order key.
    Blocked,
    /// A worker has it.
    Leased,
    /// It is a dead letter: for somebody to revive it.
    Dead,
}

/// A job as the admin sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobView<J> {
    /// The job's id in its queue.
    pub id: u64,
    /// What is to be done; `None` if this version cannot read it.
    pub job: Option<J>,
    /// What it is waiting for.
    pub state: JobState,
    /// Its lane.
    pub lane: u8,
    /// How often the work has failed.
    pub attempt: u32,
    /// When it is due, milliseconds since 1970.
    pub due_ms: i64,
    /// Why it failed last.
    pub reason: Option<String>,
}

/// How many jobs a queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Due, and free to be leased, or blocked by an earlier one with the same order key.
    pub ready: u64,
    /// Not due yet.
    pub delayed: u64,
    /// With a worker.
    pub leased: u64,
    /// Dead letters. Their number has no bound, since none is dropped without somebody saying so.
    pub dead: u64,
}
