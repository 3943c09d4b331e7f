//! From what a batch asks for to the puts and removals that do it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::{Batch, Expected, Operation};
use crate::engine::Engine;
use crate::error::{ReadError, WriteError};
use crate::limits::TRIM_EVENTS;
use crate::log;
use crate::overlay::{Changes, Overlay};
use crate::queue::{Lease, Pushed, QueueChange, QueueEffects};
use crate::signals::Signals;

/// What batches do besides changing records.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The last sequence of each log that grew.
    pub heads: BTreeMap<&'static str, u64>,
    /// Queues that changed, and how.
    pub queues: BTreeMap<&'static str, QueueEffects>,
}

/// Batches that are made durable together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub changes: Changes,
    pub effects: Effects,
}

/// What one batch was given: the sequences of its events and the ids of its jobs, in order.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub events: Vec<u64>,
    pub jobs: Vec<u64>,
}

impl Group {
    /// Adds a batch, or says why it cannot be; then the group is as before.
    pub(crate) fn add(
        &mut self,
        engine: &Engine,
        signals: &Arc<Signals>,
        batch: Batch,
        system_time_ms: i64,
    ) -> Result<Given, WriteError> {
        let mut resolver = Resolver {
            overlay: Overlay::new(engine, &self.changes),
            earlier: &self.effects,
            signals,
            now_ms: batch.now_ms.unwrap_or(system_time_ms),
            effects: Effects::default(),
            given: Given::default(),
        };
        for (index, operation) in batch.operations.into_iter().enumerate() {
            resolver.operation(index, operation)?;
        }
        let Resolver { overlay, effects, given, .. } = resolver;
        let changes = overlay.into_changes();
        self.changes.extend(changes);
        self.effects.heads.extend(effects.heads);
        for (queue, later) in effects.queues {
            self.effects.queues.entry(queue).or_default().extend(later);
        }
        Ok(given)
    }
}

struct Resolver<'a> {
    overlay: Overlay<'a>,
    earlier: &'a Effects,
    signals: &'a Signals,
    now_ms: i64,
    effects: Effects,
    given: Given,
}

impl<'a> Resolver<'a> {
    fn operation(&mut self, index: usize, operation: Operation) -> Result<(), WriteError> {
        match operation {
            Operation::Put { key, value } => self.overlay.put(key, value),
            Operation::Delete { key } => self.overlay.delete(key),
            Operation::Assert { table, key, expected } => {
                if !self.holds(&key, &expected)? {
                    return Err(WriteError::Assertion { index, table });
                }
            }
            Operation::Add { counter, key, delta, bounds } => {
                let sum = number(self.overlay.get(&key)?.as_deref()).cast_signed();
                let sum = sum.saturating_add(delta);
                if bounds.is_some_and(|bounds| !bounds.contains(&sum)) {
                    return Err(WriteError::Bounds { counter });
                }
                match sum {
                    0 => self.overlay.delete(key),
                    _ => self.overlay.put(key, sum.to_be_bytes().to_vec()),
                }
            }
            Operation::Append { log, event } => self.append(log, &event)?,
            Operation::Acknowledge { log, consumers, consumer, up_to } => {
                self.acknowledge(log, consumers, &consumer, up_to)?;
            }
            Operation::Push { queue, job, order_key, due_ms, lane, limit } => {
                let pushed = Pushed { body: &job, order_key, due_ms, lane, limit };
                let id = self.queue(queue).push(pushed)?;
                self.given.jobs.push(id);
            }
            Operation::Complete { queue, id, lease } => {
                let lease = self.end_lease(queue, id, lease)?;
                self.queue(queue).complete(id, &lease)?;
            }
            Operation::Retry { queue, id, lease, reason, due_ms } => {
                let lease = self.end_lease(queue, id, lease)?;
                self.queue(queue).retry(id, &lease, reason, due_ms)?;
            }
            Operation::Bury { queue, id, lease, reason } => {
                let lease = self.end_lease(queue, id, lease)?;
                self.queue(queue).bury(id, &lease, reason)?;
            }
            Operation::Revive { queue, id, now_ms } => self.queue(queue).revive(id, now_ms)?,
            Operation::Drop { queue, id } => self.queue(queue).drop_dead(id)?,
        }
        Ok(())
    }

    fn holds(&self, key: &[u8], expected: &Expected) -> Result<bool, ReadError> {
        Ok(match expected {
            Expected::Absent => !self.overlay.contains(key)?,
            Expected::Present => self.overlay.contains(key)?,
            Expected::Equal(value, normalize) => self
                .overlay
                .get(key)?
                .is_some_and(|stored| stored == *value || normalize(&stored).as_ref() == Some(value)),
        })
    }

    fn append(&mut self, log: &'static str, event: &[u8]) -> Result<(), ReadError> {
        let sequence = number(self.overlay.get(&log::head_key(log))?.as_deref()) + 1;
        let value = [&self.now_ms.to_be_bytes(), event].concat();
        self.overlay.put(log::event_key(log, sequence), value);
        self.overlay.put(log::head_key(log), sequence.to_be_bytes().to_vec());
        self.effects.heads.insert(log, sequence);
        self.given.events.push(sequence);
        Ok(())
    }

    /// Moves a cursor on, and removes some of what every consumer has behind it.
    fn acknowledge(
        &mut self,
        log: &'static str,
        consumers: &[&str],
        consumer: &str,
        up_to: u64,
    ) -> Result<(), ReadError> {
        let key = log::cursor_key(log, consumer);
        let cursor = number(self.overlay.get(&key)?.as_deref()).max(up_to);
        self.overlay.put(key, cursor.to_be_bytes().to_vec());
        let mut slowest = cursor;
        for other in consumers {
            let at = self.overlay.get(&log::cursor_key(log, other))?;
            slowest = slowest.min(number(at.as_deref()));
        }
        let trimmed_key = log::trimmed_key(log);
        let trimmed = number(self.overlay.get(&trimmed_key)?.as_deref());
        let end = slowest.min(trimmed.saturating_add(TRIM_EVENTS as u64));
        if end > trimmed {
            for sequence in trimmed + 1..=end {
                self.overlay.delete(log::event_key(log, sequence));
            }
            self.overlay.put(trimmed_key, end.to_be_bytes().to_vec());
        }
        Ok(())
    }

    fn queue(&mut self, queue: &'static str) -> QueueChange<'_, 'a> {
        let effects = self.effects.queues.entry(queue).or_default();
        let earlier = self.earlier.queues.get(queue).and_then(|queue| queue.head);
        QueueChange { queue, overlay: &mut self.overlay, effects, earlier }
    }

    /// Only the present lease may end a job, and only once: also within this group.
    fn end_lease(&mut self, queue: &'static str, id: u64, lease: u64) -> Result<Lease, WriteError> {
        let ended_in = |effects: &Effects| effects.queues.get(queue).is_some_and(|queue| queue.ended.contains(&id));
        let held = self.signals.queue(queue).leases().held(id, lease);
        match held {
            Some(lease) if !ended_in(self.earlier) && !ended_in(&self.effects) => {
                self.effects.queues.entry(queue).or_default().ended.insert(id);
                Ok(lease)
            }
            _ => Err(WriteError::LeaseLost { queue, id }),
        }
    }
}

/// A stored number; absent is 0.
fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}
