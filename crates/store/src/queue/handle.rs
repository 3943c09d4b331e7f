//! The queue as its workers see it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::leases::Leases;
use super::line::{Line, Next};
use super::{Leased, Queue, QueueShared};
use crate::batch::{Batch, Operation, shorten};
use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::space::{self, Kind};
use crate::store::Store;

/// Leases jobs of one queue. Each worker has its own handle (a clone): it remembers what
/// its worker saw last, so that [`wait`](QueueHandle::wait) misses nothing.
pub struct QueueHandle<J> {
    pub(super) store: Store,
    pub(super) queue: Queue<J>,
    pub(super) shared: Arc<QueueShared>,
    seen: Mutex<Seen>,
}

struct Seen {
    changes: watch::Receiver<u64>,
    next_due: Option<Instant>,
}

impl<J> Clone for QueueHandle<J> {
    fn clone(&self) -> Self {
        Self::new(self.store.clone(), self.queue)
    }
}
impl<J> fmt::Debug for QueueHandle<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueHandle").field("queue", &self.queue.name).finish_non_exhaustive()
    }
}

/// What one pass over the line found.
struct Found {
    jobs: Vec<FoundJob>,
    next_due_ms: Option<i64>,
}

struct FoundJob {
    id: u64,
    lease: u64,
    lane: u8,
    failures: u32,
    body: Vec<u8>,
}

impl<J> QueueHandle<J> {
    pub(crate) fn new(store: Store, queue: Queue<J>) -> Self {
        let shared = store.signals().queue(queue.name);
        let mut changes = shared.changes();
        changes.mark_changed();
        let seen = Mutex::new(Seen { changes, next_due: None });
        Self { store, queue, shared, seen }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes at most `limit` jobs that are due, of one lane or of all, in the order of their times
    /// and then of their pushing. A lease that ran out is given anew.
    ///
    /// A job that cannot be decoded becomes a dead letter: it blocks nothing.
    pub async fn lease(
        &self,
        lane: Option<u8>,
        limit: usize,
        lease_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Leased<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        self.seen().changes.mark_unchanged();
        let found = self.take(lane, limit, lease_ms, now_ms)?;
        self.seen().next_due = found
            .next_due_ms
            .map(|due_ms| Instant::now() + Duration::from_millis(due_ms.abs_diff(now_ms).min(86_400_000)));
        let mut leased = Vec::with_capacity(found.jobs.len());
        for FoundJob { id, lease, lane, failures: attempt, body } in found.jobs {
            let queue = self.queue.name;
            match codec::decode::<J>(queue, &body) {
                Ok(job) => leased.push(Leased { id, job, attempt, lease, lane, queue }),
                Err(error) => self.bury_unreadable(id, lease, &error).await,
            }
        }
        Ok(leased)
    }

    fn take(&self, lane: Option<u8>, limit: usize, lease_ms: i64, now_ms: i64) -> Result<Found, ReadError> {
        let mut found = Found { jobs: Vec::new(), next_due_ms: None };
        let mut leases = self.shared.leases();
        leases.notice_expired(now_ms);
        let mut next_lane = Some(lane.unwrap_or(0));
        while let Some(from) = next_lane.filter(|_| found.jobs.len() < limit) {
            let current = if lane.is_some() { lane } else { self.lane_from(from)? };
            let Some(current) = current else { break };
            self.take_lane(current, limit, lease_ms, now_ms, &mut leases, &mut found)?;
            next_lane = if lane.is_some() { None } else { current.checked_add(1) };
        }
        Ok(found)
    }

    /// The first lane, from this one on, that has jobs.
    pub(super) fn lane_from(&self, lane: u8) -> Result<Option<u8>, ReadError> {
        let start = space::key(Kind::Queue, self.queue.name, &(b'p', lane));
        let end = space::key(Kind::Queue, self.queue.name, &(b'p' + 1));
        let at = start.len() - 1;
        let first = self.store.engine().range(start..end, false).next().transpose()?;
        Ok(first.and_then(|(key, _)| key.get(at).copied()))
    }

    fn take_lane(
        &self,
        lane: u8,
        limit: usize,
        lease_ms: i64,
        now_ms: i64,
        leases: &mut Leases,
        found: &mut Found,
    ) -> Result<(), ReadError> {
        let mut line = Line::new(self.store.engine(), self.queue.name, leases.front(lane));
        while found.jobs.len() < limit {
            let job = match line.next(now_ms)? {
                Next::Job(job) => job,
                Next::Due(due_ms) => {
                    let next = found.next_due_ms.map_or(due_ms, |next| next.min(due_ms));
                    found.next_due_ms = Some(next);
                    break;
                }
                Next::End => break,
            };
            if leases.is_taken(job.id, now_ms) {
                continue;
            }
            // The writer removes index and job together, but a reader may come in between.
            let Some((failures, body)) = line.read(&job)? else { continue };
            let lease = leases.grant(job.id, lease_ms, now_ms, job.taken);
            found.jobs.push(FoundJob { id: job.id, lease, lane, failures, body });
        }
        leases.advance(line.walked);
        Ok(())
    }

    async fn bury_unreadable(&self, id: u64, lease: u64, error: &ReadError) {
        let queue = self.queue.name;
        let reason = shorten(&error.to_string());
        tracing::error!(queue, id, reason, "a job cannot be read and becomes a dead letter");
        let operation = Operation::Bury { queue, id, lease, reason };
        if let Err(error) = self.store.write(Batch::new().with(queue, operation)).await {
            tracing::error!(queue, id, %error, "the dead letter could not be written");
        }
    }

    /// Returns true when something was pushed, ended or became due since this handle's last lease, or
    /// false after the timeout.
    pub async fn wait(&self, timeout: Duration) -> bool {
        let (mut changes, next_due) = {
            let seen = self.seen();
            (seen.changes.clone(), seen.next_due)
        };
        let end = Instant::now() + timeout;
        let due_first = next_due.is_some_and(|due| due <= end);
        let end = next_due.map_or(end, |due| due.min(end));
        match tokio::time::timeout_at(end, changes.changed()).await {
            Ok(_) => true,
            Err(_) => due_first,
        }
    }

    /// Keeps a lease: it runs for its full time again. Fails when somebody else has the job by now.
    pub async fn heartbeat(&self, leased: &Leased<J>, now_ms: i64) -> Result<(), WriteError> {
        if self.shared.leases().extend(leased.id, leased.lease, now_ms) {
            return Ok(());
        }
        Err(WriteError::LeaseLost { queue: self.queue.name, id: leased.id })
    }

    /// Gives a job back undone; that does not count as a failure.
    pub async fn release(&self, leased: &Leased<J>) {
        self.shared.leases().release(leased.id, leased.lease);
        self.shared.changed();
    }

    /// Frees all jobs of the queue, without counting a failure: for the start of the workers. After a
    /// crash of the process all are free already.
    pub async fn release_all_leases(&self) {
        self.shared.leases().release_all();
        self.shared.changed();
    }
}
