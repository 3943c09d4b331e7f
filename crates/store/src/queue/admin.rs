//! The queue as its admin sees it.

use std::ops::Bound;

use serde::de::DeserializeOwned;

use super::chunk::{self, Chunk};
use super::handle::QueueHandle;
use super::record::{self, Head, Header, Place, Pointer, Spot};
use super::{JobState, JobView, QueueDepth};
use crate::batch::{Batch, Operation};
use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::space::{self, Kind};

impl<J> QueueHandle<J> {
    /// The first jobs by id, in every state.
    pub fn list(&self, limit: usize) -> Result<Vec<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        self.page(None, 0, limit)
    }

    /// The first dead letters by id.
    pub fn dead(&self, limit: usize) -> Result<Vec<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        self.page(Some(JobState::Dead), 0, limit)
    }

    /// The first jobs after an id, of one state or of all. Looking for the few that are queued or blocked walks
    /// over all that are not: it belongs on the blocking pool.
    pub fn page(&self, state: Option<JobState>, after: u64, limit: usize) -> Result<Vec<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        match state {
            Some(JobState::Dead) => self.views(self.ids(b'x', after), state, limit),
            Some(JobState::Leased) => {
                let ids = self.shared.leases().ids_after(after);
                self.views(ids.into_iter().map(Ok), state, limit)
            }
            // Only jobs with an order key are blocked, and those lie by themselves.
            Some(JobState::Blocked) => self.views(self.ids(b'j', after), state, limit),
            Some(JobState::Queued) | None => self.views(self.all_ids(after)?, state, limit),
        }
    }

    /// One job by its id, if it is not done.
    pub fn job(&self, id: u64) -> Result<Option<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        let queue = self.queue.name;
        if let Some(value) = self.store.engine().get(&record::job_key(queue, id))? {
            let (header, body) = record::split(queue, &value)?;
            return Ok(Some(self.view(id, header, body)));
        }
        let Some(first_id) = self.first_id(id)? else { return Ok(None) };
        let Some(value) = self.store.engine().get(&record::chunk_key(queue, first_id))? else { return Ok(None) };
        if self.done(first_id)? & chunk::bit(id - first_id) != 0 {
            return Ok(None);
        }
        let job = Chunk::decode(queue, &value)?.job(id - first_id);
        Ok(job.map(|(header, body)| self.view(id, header, body)))
    }

    fn views(
        &self,
        ids: impl Iterator<Item = Result<u64, ReadError>>,
        state: Option<JobState>,
        limit: usize,
    ) -> Result<Vec<JobView<J>>, ReadError>
    where
        J: DeserializeOwned,
    {
        // One that ended in between is left out.
        let views = ids.map(|id| self.job(id?)).filter_map(Result::transpose);
        let wanted = |view: &Result<JobView<J>, _>| {
            view.as_ref().map_or(true, |view| state.is_none_or(|state| view.state == state))
        };
        views.filter(wanted).take(limit).collect()
    }

    fn view(&self, id: u64, header: Header, body: &[u8]) -> JobView<J>
    where
        J: DeserializeOwned,
    {
        let state = match header.place {
            Place::Dead => JobState::Dead,
            Place::Blocked => JobState::Blocked,
            Place::Queued if self.shared.leases().contains(id) => JobState::Leased,
            Place::Queued => JobState::Queued,
        };
        JobView {
            id,
            job: codec::decode(self.queue.name, body).ok(),
            state,
            lane: header.lane,
            attempt: header.failures,
            due_ms: header.due_ms,
            reason: header.reason,
        }
    }

    /// The ids at the ends of the keys of one kind.
    fn ids(&self, kind: u8, after: u64) -> impl Iterator<Item = Result<u64, ReadError>> + use<J> {
        let start = space::key(Kind::Queue, self.queue.name, &(kind, after.saturating_add(1)));
        let end = space::key(Kind::Queue, self.queue.name, &(kind + 1));
        self.store.engine().range(start..end, false).map(|entry| entry.map(|(key, _)| last_id(&key)))
    }

    /// The jobs that lie by themselves and those in chunks, side by side.
    fn all_ids(&self, after: u64) -> Result<impl Iterator<Item = Result<u64, ReadError>>, ReadError> {
        let begun = self.first_id(after)?.map(Ok);
        let chunks = begun.into_iter().chain(self.ids(b'k', after));
        let mut in_chunks = chunks
            .flat_map(|first_id| match first_id.and_then(|first_id| self.ids_of_chunk(first_id)) {
                Ok(ids) => ids.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
            .filter(move |id| id.as_ref().map_or(true, |id| *id > after))
            .peekable();
        let mut alone = self.ids(b'j', after).peekable();
        Ok(std::iter::from_fn(move || match (alone.peek(), in_chunks.peek()) {
            (Some(Ok(single)), Some(Ok(in_chunk))) if in_chunk < single => in_chunks.next(),
            (Some(_), _) => alone.next(),
            (None, _) => in_chunks.next(),
        }))
    }

    /// The jobs of a chunk that are not done.
    fn ids_of_chunk(&self, first_id: u64) -> Result<Vec<u64>, ReadError> {
        let value = self.store.engine().get(&record::chunk_key(self.queue.name, first_id))?;
        let Some(value) = value else { return Ok(Vec::new()) };
        let count = u64::from(Chunk::decode(self.queue.name, &value)?.count);
        let done = self.done(first_id)?;
        Ok((0..count).filter(|index| done & chunk::bit(*index) == 0).map(|index| first_id + index).collect())
    }

    fn done(&self, first_id: u64) -> Result<u64, ReadError> {
        self.store.number(&record::done_key(self.queue.name, first_id))
    }

    /// The first id of the chunk that would have this job.
    fn first_id(&self, id: u64) -> Result<Option<u64>, ReadError> {
        let start = record::chunk_key(self.queue.name, 0);
        let end = record::chunk_key(self.queue.name, id.saturating_add(1));
        let last = self.store.engine().range(start..end, true).next().transpose()?;
        Ok(last.map(|(key, _)| last_id(&key)))
    }

    /// Makes a dead letter a fresh job again, last in its order, with no failures.
    pub async fn revive(&self, id: u64, now_ms: i64) -> Result<(), WriteError> {
        let queue = self.queue.name;
        let operation = Operation::Revive { queue, id, now_ms };
        self.store.write(Batch::new().with(queue, operation)).await.map(|_| ())
    }

    /// Removes a dead letter for good.
    pub async fn drop_dead(&self, id: u64) -> Result<(), WriteError> {
        let queue = self.queue.name;
        self.store.write(Batch::new().with(queue, Operation::Drop { queue, id })).await.map(|_| ())
    }

    /// How many jobs there are. What is delayed is seen by the system's clock.
    pub fn depth(&self) -> Result<QueueDepth, ReadError> {
        let queue = self.queue.name;
        let value = self.store.engine().get(&record::head_key(queue))?;
        let head: Head = value.map(|value| codec::decode(queue, &value)).transpose()?.unwrap_or_default();
        let leased = self.shared.leases().len() as u64;
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
            let from = Spot { lane, due_ms: now_ms.saturating_add(1), position: 0 };
            let prefix = record::lane_prefix(queue, lane);
            let end = space::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
            let range = (Bound::Included(record::pending_key(queue, from)), end);
            for entry in self.store.engine().range(range, false) {
                let (key, value) = entry?;
                let key = key.get(prefix.len()..).unwrap_or_default();
                delayed += match record::read_line(queue, lane, key, &value)? {
                    (_, Pointer::Job(_)) => 1,
                    (_, Pointer::Chunk(first_id)) => self.ids_of_chunk(first_id)?.len() as u64,
                };
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
