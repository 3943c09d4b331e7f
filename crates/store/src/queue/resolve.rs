//! What queue operations change. Runs in the writer.

use super::chunk::{self, Chunk};
use super::leases::{ChunkRef, Lease, QueueEffects};
use super::record::{self, Head, Header, Place, Pointer, Spot};
use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::overlay::Overlay;
use crate::space;

/// Dead letters are never dropped silently, so their number has no bound: each time that so many more
/// have come together, the log says so.
const DEAD_REPORTED: u64 = 1_000;

/// One queue's part of a batch.
pub(crate) struct QueueChange<'o, 'e> {
    pub(crate) queue: &'static str,
    pub(crate) overlay: &'o mut Overlay<'e>,
    pub(crate) effects: &'o mut QueueEffects,
    /// The head as the earlier batches of the group left it.
    pub(crate) earlier: Option<Head>,
}

/// A job on its way into the line.
pub(crate) struct Pushed<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) order_key: Option<Vec<u8>>,
    pub(crate) due_ms: i64,
    pub(crate) lane: u8,
    /// Refused when there are so many jobs already.
    pub(crate) limit: Option<u64>,
}

impl QueueChange<'_, '_> {
    pub(crate) fn push(&mut self, pushed: Pushed<'_>) -> Result<u64, WriteError> {
        let Pushed { body, order_key, due_ms, lane, limit } = pushed;
        let mut head = self.head()?;
        if let Some(limit) = limit.filter(|limit| head.queued + head.blocked >= *limit) {
            return Err(WriteError::QueueFull { queue: self.queue, limit });
        }
        head.last_id += 1;
        let id = head.last_id;
        if order_key.is_none() && body.len() <= chunk::BODY_BYTES_MAX {
            self.push_into_chunk(&mut head, due_ms, lane, body);
        } else {
            let (place, position, failures, reason) = (Place::Queued, 0, 0, None);
            let header = Header { place, lane, due_ms, position, failures, order_key, reason };
            self.enqueue(&mut head, id, header, body)?;
        }
        self.put_head(head);
        Ok(id)
    }

    /// Removes a job whose work is done.
    pub(crate) fn complete(&mut self, id: u64, lease: &Lease) -> Result<(), WriteError> {
        let mut head = self.head()?;
        match lease.taken.chunk {
            Some(chunk) => self.leave_chunk(&mut head, id, lease.taken.spot, chunk)?,
            None => {
                let (header, _) = self.job(id)?;
                self.overlay.delete(record::job_key(self.queue, id));
                self.leave_line(&mut head, &header)?;
            }
        }
        self.put_head(head);
        Ok(())
    }

    /// Makes a job due again later. It keeps its place at the head of its order key.
    pub(crate) fn retry(&mut self, id: u64, lease: &Lease, reason: String, due_ms: i64) -> Result<(), WriteError> {
        let (mut header, body) = self.leased_job(id, lease)?;
        match lease.taken.chunk {
            Some(chunk) => {
                let mut head = self.head()?;
                self.leave_chunk(&mut head, id, lease.taken.spot, chunk)?;
                head.queued += 1;
                self.put_head(head);
            }
            None => self.overlay.delete(record::pending_key(self.queue, header.spot())),
        }
        header.failures = header.failures.saturating_add(1);
        header.reason = Some(reason);
        header.due_ms = due_ms;
        self.put_pending(header.spot(), Pointer::Job(id));
        self.put_job(id, &header, &body)
    }

    /// Makes a job a dead letter, and lets the next one of its order key go on.
    pub(crate) fn bury(&mut self, id: u64, lease: &Lease, reason: String) -> Result<(), WriteError> {
        let (mut header, body) = self.leased_job(id, lease)?;
        let mut head = self.head()?;
        match lease.taken.chunk {
            Some(chunk) => self.leave_chunk(&mut head, id, lease.taken.spot, chunk)?,
            None => self.leave_line(&mut head, &header)?,
        }
        header.failures = header.failures.saturating_add(1);
        header.reason = Some(reason);
        header.place = Place::Dead;
        head.dead += 1;
        if head.dead.is_multiple_of(DEAD_REPORTED) {
            tracing::warn!(queue = self.queue, dead = head.dead, "many dead letters wait for an admin");
        }
        self.overlay.put(record::dead_key(self.queue, id), Vec::new());
        self.put_job(id, &header, &body)?;
        self.put_head(head);
        Ok(())
    }

    pub(crate) fn revive(&mut self, id: u64, now_ms: i64) -> Result<(), WriteError> {
        let (mut header, body) = self.job(id)?;
        if header.place != Place::Dead {
            return Err(WriteError::NoSuchJob { queue: self.queue, id });
        }
        let mut head = self.head()?;
        self.overlay.delete(record::dead_key(self.queue, id));
        head.dead = head.dead.saturating_sub(1);
        (header.failures, header.reason, header.due_ms) = (0, None, now_ms);
        self.enqueue(&mut head, id, header, &body)?;
        self.put_head(head);
        Ok(())
    }

    /// Removes a dead letter for good.
    pub(crate) fn drop_dead(&mut self, id: u64) -> Result<(), WriteError> {
        let (header, _) = self.job(id)?;
        if header.place != Place::Dead {
            return Err(WriteError::NoSuchJob { queue: self.queue, id });
        }
        let mut head = self.head()?;
        head.dead = head.dead.saturating_sub(1);
        self.overlay.delete(record::dead_key(self.queue, id));
        self.overlay.delete(record::job_key(self.queue, id));
        self.put_head(head);
        Ok(())
    }

    /// Puts a fresh job without an order key at the end of the line: into the group's last chunk if it goes on from
    /// there. A chunk of an earlier group is never written again.
    fn push_into_chunk(&mut self, head: &mut Head, due_ms: i64, lane: u8, body: &[u8]) {
        head.last_position += 1;
        head.queued += 1;
        let spot = Spot { lane, due_ms, position: head.last_position };
        if head.chunk != 0 {
            let index = head.last_id - head.chunk;
            let last = self.overlay.changed(&record::chunk_key(self.queue, head.chunk));
            if last.is_some_and(|value| chunk::append(value, index, spot, body)) {
                return;
            }
        }
        head.chunk = head.last_id;
        self.overlay.put(record::chunk_key(self.queue, head.chunk), chunk::begin(spot, body));
        self.put_pending(spot, Pointer::Chunk(head.chunk));
    }

    /// Takes a job out of its chunk, and the chunk out of the line with its last job.
    fn leave_chunk(&mut self, head: &mut Head, id: u64, spot: Spot, chunk: ChunkRef) -> Result<(), WriteError> {
        let ChunkRef { first_id, count } = chunk;
        let done_key = record::done_key(self.queue, first_id);
        let done = self.overlay.get(&done_key)?.map(|value| record::read_id(self.queue, &value)).transpose()?;
        let done = done.unwrap_or(0) | chunk::bit(id - first_id);
        head.queued = head.queued.saturating_sub(1);
        if done == chunk::all_done(count) {
            self.overlay.delete(done_key);
            self.overlay.delete(record::chunk_key(self.queue, first_id));
            self.overlay.delete(record::line_key(self.queue, spot, Pointer::Chunk(first_id)));
        } else {
            self.overlay.put(done_key, done.to_be_bytes().to_vec());
        }
        Ok(())
    }

    /// A leased job as it would lie by itself.
    fn leased_job(&self, id: u64, lease: &Lease) -> Result<(Header, Vec<u8>), WriteError> {
        let Some(ChunkRef { first_id, .. }) = lease.taken.chunk else { return self.job(id) };
        let missing = WriteError::NoSuchJob { queue: self.queue, id };
        let value = self.overlay.get(&record::chunk_key(self.queue, first_id))?;
        let value = value.ok_or_else(|| missing.clone())?;
        let chunk = Chunk::decode(self.queue, &value)?;
        let (header, body) = chunk.job(id - first_id).ok_or(missing)?;
        Ok((header, body.to_vec()))
    }

    /// Puts a job at the end of the line: behind those of its order key, or among what may be leased.
    fn enqueue(&mut self, head: &mut Head, id: u64, mut header: Header, body: &[u8]) -> Result<(), WriteError> {
        head.last_position += 1;
        header.position = head.last_position;
        header.place = Place::Queued;
        if let Some(key) = header.order_key.clone() {
            if self.first_of(&key)?.is_some() {
                header.place = Place::Blocked;
            }
            let index = record::order_key(self.queue, &key, header.position);
            self.overlay.put(index, id.to_be_bytes().to_vec());
        }
        if header.place == Place::Queued {
            head.queued += 1;
            self.put_pending(header.spot(), Pointer::Job(id));
        } else {
            head.blocked += 1;
        }
        self.put_job(id, &header, body)
    }

    /// Takes a job out of the line, and lets the next one of its order key move up.
    fn leave_line(&mut self, head: &mut Head, header: &Header) -> Result<(), WriteError> {
        self.overlay.delete(record::pending_key(self.queue, header.spot()));
        head.queued = head.queued.saturating_sub(1);
        let Some(key) = &header.order_key else { return Ok(()) };
        self.overlay.delete(record::order_key(self.queue, key, header.position));
        let Some(next) = self.first_of(key)? else { return Ok(()) };
        let (mut next_header, body) = self.job(next)?;
        next_header.place = Place::Queued;
        head.blocked = head.blocked.saturating_sub(1);
        head.queued += 1;
        self.put_pending(next_header.spot(), Pointer::Job(next));
        self.put_job(next, &next_header, &body)
    }

    /// The first job of an order key.
    fn first_of(&self, key: &[u8]) -> Result<Option<u64>, ReadError> {
        let mut start = record::order_key(self.queue, key, 0);
        start.truncate(start.len() - size_of::<u64>());
        let Some(end) = space::after_prefix(&start) else { return Ok(None) };
        let first = self.overlay.first(start, &end)?;
        first.map(|(_, id)| record::read_id(self.queue, &id)).transpose()
    }

    fn job(&self, id: u64) -> Result<(Header, Vec<u8>), WriteError> {
        let value = self.overlay.get(&record::job_key(self.queue, id))?;
        let value = value.ok_or(WriteError::NoSuchJob { queue: self.queue, id })?;
        let (header, body) = record::split(self.queue, &value)?;
        Ok((header, body.to_vec()))
    }

    fn put_job(&mut self, id: u64, header: &Header, body: &[u8]) -> Result<(), WriteError> {
        let value = record::join(self.queue, header, body)?;
        self.overlay.put(record::job_key(self.queue, id), value);
        Ok(())
    }

    fn put_pending(&mut self, spot: Spot, pointer: Pointer) {
        self.overlay.put(record::line_key(self.queue, spot, pointer), pointer.value());
        self.effects.queued(spot);
    }

    fn head(&self) -> Result<Head, ReadError> {
        if let Some(head) = self.effects.head.or(self.earlier) {
            return Ok(head);
        }
        let value = self.overlay.get(&record::head_key(self.queue))?;
        Ok(value.map(|value| codec::decode(self.queue, &value)).transpose()?.unwrap_or_default())
    }

    fn put_head(&mut self, head: Head) {
        self.overlay.put(record::head_key(self.queue), head.encode());
        self.effects.head = Some(head);
    }
}
