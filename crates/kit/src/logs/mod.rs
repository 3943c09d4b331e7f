//! Event logs between services: the owner's route, and the consumer at the other end.
//!
//! `GET /internal/logs/{log}?consumer=&after=&epoch=&wait=` gives what came after a sequence, and waits for it;
//! asking after N says that everything up to N is dealt with. A consumer writes its cursor in the same batch as
//! the effect, so each event counts exactly once, in order.

mod consumer;
mod routes;

use proto::Timestamp;
use serde::{Deserialize, Serialize};

pub use consumer::{Consumer, DEAD_EVENTS, DeadEvent, Effect, Entry};
pub use routes::routes;

/// What the owner answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage<E> {
    /// New after the owner's data were restored: sequences of another epoch mean nothing.
    pub epoch: u64,
    /// The sequence of the last event there is.
    pub head: u64,
    /// The sequence of the last event that is gone.
    pub trimmed: u64,
    /// The events, in order.
    pub events: Vec<LogEvent<E>>,
}

/// One event on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEvent<E> {
    /// Its place in the log.
    pub sequence: u64,
    /// When it was written.
    pub time: Timestamp,
    /// What happened.
    pub event: E,
}

#[cfg(test)]
mod tests;
