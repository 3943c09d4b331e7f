//! One lane's jobs, in the order in which they are leased.

use std::iter::Peekable;
use std::ops::Bound;

use super::chunk::{self, Chunk};
use super::leases::{ChunkRef, Taken};
use super::record::{self, Pointer, Spot};
use crate::engine::{Bytes, Engine, Entries};
use crate::error::ReadError;
use crate::space;

/// Walks along a lane.
pub(super) struct Line<'a> {
    engine: &'a Engine,
    queue: &'static str,
    entries: Peekable<Spots>,
    open: Option<Open>,
    /// Everything before this place was walked over.
    pub(super) walked: Spot,
}

/// A job in line.
pub(super) struct InLine {
    pub id: u64,
    pub taken: Taken,
}

/// A chunk that is being walked over.
struct Open {
    first_id: u64,
    spot: Spot,
    count: u8,
    next: u8,
    done: u64,
    value: Bytes,
}

/// The entries of a lane.
struct Spots {
    queue: &'static str,
    prefix_bytes: usize,
    lane: u8,
    entries: Entries,
}

impl Iterator for Spots {
    type Item = Result<(Spot, Pointer), ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(entry.and_then(|(key, value)| {
            record::read_line(self.queue, self.lane, key.get(self.prefix_bytes..).unwrap_or_default(), &value)
        }))
    }
}

impl<'a> Line<'a> {
    /// From this place on.
    pub(super) fn new(engine: &'a Engine, queue: &'static str, from: Spot) -> Self {
        let prefix = record::lane_prefix(queue, from.lane);
        let end = space::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let start = Bound::Included(record::pending_key(queue, from));
        let entries = engine.range((start, end), false);
        let spots = Spots { queue, prefix_bytes: prefix.len(), lane: from.lane, entries };
        Self { engine, queue, entries: spots.peekable(), open: None, walked: from }
    }

    /// The next job that is due and not done, or when the next one is due.
    pub(super) fn next(&mut self, now_ms: i64) -> Result<Next, ReadError> {
        loop {
            if let Some(job) = self.next_of_chunk() {
                return Ok(Next::Job(job));
            }
            let (spot, pointer) = match self.entries.peek() {
                None => return Ok(Next::End),
                Some(Ok((spot, _))) if spot.due_ms > now_ms => return Ok(Next::Due(spot.due_ms)),
                Some(_) => match self.entries.next().transpose()? {
                    Some(entry) => entry,
                    None => return Ok(Next::End),
                },
            };
            match pointer {
                Pointer::Job(id) => {
                    // In the middle of a chunk, the chunk is where to go on from.
                    if self.open.is_none() {
                        self.walked = spot.next();
                    }
                    return Ok(Next::Job(InLine { id, taken: Taken { spot, chunk: None } }));
                }
                Pointer::Chunk(first_id) => self.open(first_id, spot)?,
            }
        }
    }

    /// The next job of the open chunk, unless a job that once left it comes before.
    fn next_of_chunk(&mut self) -> Option<InLine> {
        let open = self.open.as_mut()?;
        while open.next < open.count && open.done & chunk::bit(u64::from(open.next)) != 0 {
            open.next += 1;
        }
        if open.next >= open.count {
            self.walked = self.walked.max(open.spot.next());
            self.open = None;
            return None;
        }
        let position = open.spot.position + u64::from(open.next);
        if let Some(Ok((spot, Pointer::Job(_)))) = self.entries.peek()
            && *spot < (Spot { position, ..open.spot })
        {
            return None;
        }
        let id = open.first_id + u64::from(open.next);
        let chunk = Some(ChunkRef { first_id: open.first_id, count: open.count });
        open.next += 1;
        let job = InLine { id, taken: Taken { spot: open.spot, chunk } };
        if open.next == open.count {
            self.walked = self.walked.max(open.spot.next());
        }
        Some(job)
    }

    fn open(&mut self, first_id: u64, spot: Spot) -> Result<(), ReadError> {
        // The first job, if it lay by itself at this place, was before.
        self.walked = spot;
        // The writer removes entry and chunk together, but a reader may come in between.
        let Some(value) = self.engine.get(&record::chunk_key(self.queue, first_id))? else { return Ok(()) };
        let done = self.engine.get(&record::done_key(self.queue, first_id))?;
        let done = done.and_then(|value| value.try_into_u64()).unwrap_or(0);
        let count = Chunk::decode(self.queue, &value)?.count;
        self.open = Some(Open { first_id, spot, count, next: 0, done, value });
        Ok(())
    }

    /// How often the job has failed, and its body. `None`: it was done in between.
    pub(super) fn read(&self, job: &InLine) -> Result<Option<(u32, Vec<u8>)>, ReadError> {
        let Some(chunk) = job.taken.chunk else {
            let value = self.engine.get(&record::job_key(self.queue, job.id))?;
            let read =
                value.map(|value| record::split(self.queue, &value).map(|(h, body)| (h.failures, body.to_vec())));
            return read.transpose();
        };
        let Some(open) = &self.open else { return Ok(None) };
        let index = usize::try_from(job.id - chunk.first_id).unwrap_or(usize::MAX);
        let body = Chunk::decode(self.queue, &open.value)?.bodies().nth(index);
        Ok(body.map(|body| (0, body.to_vec())))
    }
}

/// What comes next in a lane.
pub(super) enum Next {
    Job(InLine),
    /// Nothing before this time (milliseconds since 1970).
    Due(i64),
    End,
}
