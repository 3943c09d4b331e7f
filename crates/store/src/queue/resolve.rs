//! What queue operations change. Runs in the writer.

use super::record::{self, Head, Header, Place};
use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::key::Key;
use crate::overlay::Overlay;
use crate::space;

/// One queue's part of a batch.
pub(crate) struct QueueChange<'o, 'e> {
    pub(crate) queue: &'static str,
    pub(crate) overlay: &'o mut Overlay<'e>,
}

impl QueueChange<'_, '_> {
    pub(crate) fn push(
        &mut self,
        body: &[u8],
        order_key: Option<Vec<u8>>,
        due_ms: i64,
        lane: u8,
    ) -> Result<u64, WriteError> {
        let mut head = self.head()?;
        head.last_id += 1;
        let id = head.last_id;
        let (place, position, failures, reason) = (Place::Queued, 0, 0, None);
        let header = Header { place, lane, due_ms, position, failures, order_key, reason };
        self.enqueue(&mut head, id, header, body)?;
        self.put_head(&head)?;
        Ok(id)
    }

    /// Removes a job whose work is done.
    pub(crate) fn complete(&mut self, id: u64) -> Result<(), WriteError> {
        let (header, _) = self.job(id)?;
        let mut head = self.head()?;
        self.overlay.delete(record::job_key(self.queue, id));
        self.leave_line(&mut head, &header)?;
        self.put_head(&head)
    }

    /// Makes a job due again later. It keeps its place at the head of its order key.
    pub(crate) fn retry(&mut self, id: u64, reason: String, due_ms: i64) -> Result<(), WriteError> {
        let (mut header, body) = self.job(id)?;
        self.overlay.delete(record::pending_key(self.queue, &header));
        header.failures = header.failures.saturating_add(1);
        header.reason = Some(reason);
        header.due_ms = due_ms;
        self.put_pending(id, &header);
        self.put_job(id, &header, &body)
    }

    /// Makes a job a dead letter, and lets the next one of its order key go on.
    pub(crate) fn bury(&mut self, id: u64, reason: String) -> Result<(), WriteError> {
        let (mut header, body) = self.job(id)?;
        let mut head = self.head()?;
        self.leave_line(&mut head, &header)?;
        header.failures = header.failures.saturating_add(1);
        header.reason = Some(reason);
        header.place = Place::Dead;
        head.dead += 1;
        self.overlay.put(record::dead_key(self.queue, id), Vec::new());
        self.put_job(id, &header, &body)?;
        self.put_head(&head)
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
        self.put_head(&head)
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
            self.put_pending(id, &header);
        } else {
            head.blocked += 1;
        }
        self.put_job(id, &header, body)
    }

    /// Takes a job out of the line, and lets the next one of its order key move up.
    fn leave_line(&mut self, head: &mut Head, header: &Header) -> Result<(), WriteError> {
        self.overlay.delete(record::pending_key(self.queue, header));
        head.queued = head.queued.saturating_sub(1);
        let Some(key) = &header.order_key else { return Ok(()) };
        self.overlay.delete(record::order_key(self.queue, key, header.position));
        let Some(next) = self.first_of(key)? else { return Ok(()) };
        let (mut next_header, body) = self.job(next)?;
        next_header.place = Place::Queued;
        head.blocked = head.blocked.saturating_sub(1);
        head.queued += 1;
        self.put_pending(next, &next_header);
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

    fn put_pending(&mut self, id: u64, header: &Header) {
        let key = record::pending_key(self.queue, header);
        let mut value = Vec::new();
        id.encode(&mut value);
        self.overlay.put(key, value);
    }

    fn head(&self) -> Result<Head, ReadError> {
        let value = self.overlay.get(&record::head_key(self.queue))?;
        Ok(value.map(|value| codec::decode(self.queue, &value)).transpose()?.unwrap_or_default())
    }

    fn put_head(&mut self, head: &Head) -> Result<(), WriteError> {
        self.overlay.put(record::head_key(self.queue), codec::encode(self.queue, head)?);
        Ok(())
    }
}
