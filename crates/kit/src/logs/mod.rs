//! Event logs between services: the owner's routes, and the consumer at the other end.
//!
//! `GET /internal/logs/{log}?consumer=&after=&epoch=&wait=` gives what came after a sequence, and waits for it;
//! asking after N says that everything up to N is dealt with. A consumer writes its cursor in the same batch as
//! the effect, so each event counts exactly once, in order.
//!
//! `GET /internal/logs/{log}/snapshot?consumer=&after=` gives the present state as events, page by page. Whoever
//! cannot go on with the log (another epoch, a gap, a new consumer) fills itself from there, and then reads the log
//! from where it stood when the snapshot began. [`Rows`] says what a snapshot is made of, [`Projection`] what a
//! consumer has, [`Projections`] shows both to the admin.

mod admin;
mod consumer;
mod cursor;
mod handle;
mod projection;
mod refill;
mod registry;
mod routes;
mod rows;
mod run;
mod subjects;

use proto::Timestamp;
use serde::{Deserialize, Serialize};

pub use consumer::Consumer;
pub use cursor::{DEAD_EVENTS, DeadEvent, position};
pub use handle::{Effect, Entry};
pub use projection::{Kept, Projection, Subject};
pub use registry::{Asked, Listed, Projections};
pub use routes::{routes, routes_with_snapshot};
pub use rows::Rows;

/// What the owner answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage<E> {
    /// New after the owner's store lost something: sequences of another epoch mean nothing.
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

/// A part of the owner's present state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotPage<E> {
    /// As in [`LogPage`].
    pub epoch: u64,
    /// The sequence of the log's last event when this page was asked for: all up to it is in this page and those
    /// after it, as far as it still holds.
    pub sequence: u64,
    /// The sequence of the last event that was gone then.
    pub trimmed: u64,
    /// The state, as the events that lead to it.
    pub events: Vec<E>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests;
