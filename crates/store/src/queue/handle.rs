//! The queue as its workers and its admin see it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::leases::Leases;
use super::record::{self, Head, Place};
use super::{JobState, JobView, Leased, Queue, QueueDepth, QueueShared};
use crate::batch::{Batch, Operation, shorten};
use crate::codec;
use crate::engine::Engine;
use crate::error::{ReadError, WriteError};
use crate::key::Key;
use crate::space::{self, Kind};
use crate::store::Store;

/// Leases jobs of one queue. Each worker has its own handle (a clone): it remembers what
/// its worker saw last, so that [`wait`](QueueHandle::wait) misses nothing.
pub struct QueueHandle<J> {
    store: Store,
    queue: Queue<J>,
    shared: Arc<QueueShared>,
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

/// What one pass over the index found.
struct Found {
    jobs: Vec<(u64, u64, record::Header, Vec<u8>)>,
    next_due_ms: Option<i64>,
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
        for (id, lease, header, body) in found.jobs {
            let queue = self.queue.name;
            match codec::decode::<J>(queue, &body) {
                Ok(job) => {
                    let (attempt, lane) = (header.failures, header.lane);
                    leased.push(Leased { id, job, attempt, lease, lane, queue });
                }
                Err(error) => self.bury_unreadable(id, lease, &error).await,
            }
        }
        Ok(leased)
    }

    fn take(&self, lane: Option<u8>, limit: usize, lease_ms: i64, now_ms: i64) -> Result<Found, ReadError> {
        let mut found = Found { jobs: Vec::new(), next_due_ms: None };
        let mut leases = self.shared.leases();
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
    fn lane_from(&self, lane: u8) -> Result<Option<u8>, ReadError> {
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
        let queue = self.queue.name;
        let engine = self.store.engine();
        let prefix = space::key(Kind::Queue, queue, &(b'p', lane));
        let end = space::after_prefix(&prefix);
        let end = end.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (std::ops::Bound::Included(prefix.clone()), end);
        for entry in engine.range(range, false) {
            let (key, value) = entry?;
            let due_ms = i64::decode(&mut &key[prefix.len()..]).unwrap_or(i64::MIN);
            if due_ms > now_ms {
                let next = found.next_due_ms.map_or(due_ms, |next| next.min(due_ms));
                found.next_due_ms = Some(next);
                break;
            }
            let id = record::read_id(queue, &value)?;
            if leases.by_id.get(&id).is_some_and(|lease| lease.expires_ms > now_ms) {
                continue;
            }
            // The writer removes index and job together, but a reader may come in between.
            let Some(job) = engine.get(&record::job_key(queue, id))? else { continue };
            let (header, body) = record::split(queue, &job)?;
            let lease = leases.grant(id, lease_ms, now_ms);
            found.jobs.push((id, lease, header, body.to_vec()));
            if found.jobs.len() >= limit {
                break;
            }
        }
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
        let mut leases = self.shared.leases();
        match leases.by_id.get_mut(&leased.id) {
            Some(lease) if lease.token == leased.lease => {
                lease.expires_ms = now_ms.saturating_add(lease.lease_ms);
                Ok(())
            }
            _ => Err(WriteError::LeaseLost { queue: self.queue.name, id: leased.id }),
        }
    }

    /// Gives a job back undone; that does not count as a failure.
    pub async fn release(&self, leased: &Leased<J>) {
        {
            let mut leases = self.shared.leases();
            if leases.is_held(leased.id, leased.lease) {
                leases.by_id.remove(&leased.id);
            }
        }
        self.shared.changed();
    }

    /// Frees all jobs of the queue, without counting a failure: for the start of the workers. After a
    /// crash of the process all are free already.
    pub async fn release_all_leases(&self) {
        self.shared.leases().by_id.clear();
        self.shared.changed();
    }

    /// The first jobs by id, in every state.
    pub fn list(&self, limit: usize) -> Result<Vec<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        let prefix = space::key(Kind::Queue, self.queue.name, &b'j');
        let end = space::key(Kind::Queue, self.queue.name, &(b'j' + 1));
        let entries = self.store.engine().range(prefix..end, false).take(limit);
        entries.map(|entry| entry.and_then(|(key, value)| self.view(&key, &value))).collect()
    }

    /// The first dead letters by id.
    pub fn dead(&self, limit: usize) -> Result<Vec<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        let engine: &Engine = self.store.engine();
        let prefix = space::key(Kind::Queue, self.queue.name, &b'x');
        let end = space::key(Kind::Queue, self.queue.name, &(b'x' + 1));
        let mut views = Vec::new();
        for entry in engine.range(prefix..end, false).take(limit) {
            let (index, _) = entry?;
            let key = record::job_key(self.queue.name, last_id(&index));
            if let Some(value) = engine.get(&key)? {
                views.push(self.view(&key, &value)?);
            }
        }
        Ok(views)
    }

    /// One job by its id, if it is not done.
    pub fn job(&self, id: u64) -> Result<Option<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        let key = record::job_key(self.queue.name, id);
        let value = self.store.engine().get(&key)?;
        value.map(|value| self.view(&key, &value)).transpose()
    }

    fn view(&self, key: &[u8], value: &[u8]) -> Result<JobView<J>, ReadError>
    where
        J: DeserializeOwned,
    {
        let id = last_id(key);
        let (header, body) = record::split(self.queue.name, value)?;
        let state = match header.place {
            Place::Dead => JobState::Dead,
            Place::Blocked => JobState::Blocked,
            Place::Queued if self.shared.leases().by_id.contains_key(&id) => JobState::Leased,
            Place::Queued => JobState::Queued,
        };
        Ok(JobView {
            id,
            job: codec::decode(self.queue.name, body).ok(),
            state,
            lane: header.lane,
            attempt: header.failures,
            due_ms: header.due_ms,
            reason: header.reason,
        })
    }

    /// Makes a dead letter a fresh job again, last in its order, with no failures.
    pub async fn revive(&self, id: u64, now_ms: i64) -> Result<(), WriteError> {
        let queue = self.queue.name;
        let operation = Operation::Revive { queue, id, now_ms };
        self.store.write(Batch::new().with(queue, operation)).await.map(|_| ())
    }

    /// How many jobs there are. What is delayed is seen by the system's clock.
    pub fn depth(&self) -> Result<QueueDepth, ReadError> {
        let queue = self.queue.name;
        let value = self.store.engine().get(&record::head_key(queue))?;
        let head: Head = value.map(|value| codec::decode(queue, &value)).transpose()?.unwrap_or_default();
        let leased = self.shared.leases().by_id.len() as u64;
        let delayed = self.delayed(crate::store::system_time_ms())?;
        let ready = (head.queued + head.blocked).saturating_sub(leased + delayed);
        Ok(QueueDepth { ready, delayed, leased, dead: head.dead })
    }

    fn delayed(&self, now_ms: i64) -> Result<u64, ReadError> {
        let queue = self.queue.name;
        let mut delayed = 0;
        let mut next_lane = Some(0);
        while let Some(lane) = next_lane {
            let Some(lane) = self.lane_from(lane)? else { break };
            let start = space::key(Kind::Queue, queue, &(b'p', lane, now_ms.saturating_add(1)));
            let end = space::after_prefix(&space::key(Kind::Queue, queue, &(b'p', lane)));
            let end = end.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
            let range = (std::ops::Bound::Included(start), end);
            for entry in self.store.engine().range(range, false) {
                entry?;
                delayed += 1;
            }
            next_lane = lane.checked_add(1);
        }
        Ok(delayed)
    }
}

/// The id at the end of a key.
fn last_id(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
