//! What a consumer writes down about itself, in the store that its effects go to.

use proto::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Store, Table, Texts};

/// How far each consumer of this store has come, by `consumer/service/log`.
pub(super) const CURSORS: Table<String, Cursor> = Table::new("consumer-cursors");

/// Which projections are to be filled anew because somebody asked for it, and since when.
pub(super) const REFILLS: Table<String, Timestamp> = Table::new("consumer-refills");

/// Events that a consumer could not deal with, by `consumer/service/log` and sequence.
pub const DEAD_EVENTS: Table<(String, u64), DeadEvent> = Table::new("consumer-dead-events");

/// The same events as they arrived, as JSON.
pub(super) const DEAD_EVENT_TEXTS: Texts<(String, u64)> = Texts::new("consumer-dead-event-texts");

/// Events of a snapshot that were set aside are numbered from here on: they have no place in the log.
pub(super) const OF_SNAPSHOT: u64 = 1 << 63;

/// How much of an event and of the reason is kept in the record: both fit into 7 KiB, whatever the characters.
pub(super) const DEAD_EVENT_MAX_CHARS: usize = 800;

/// Where a consumer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) epoch: Option<u64>,
    pub(super) sequence: u64,
    /// Subjects that the owner's snapshot had not, too many to be removed without being asked.
    #[serde(default)]
    pub(super) held: u64,
}

/// An event that was set aside, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEvent {
    /// The event as JSON, cut when it is long.
    pub event: String,
    /// The last failure.
    pub reason: String,
    /// When it was set aside.
    pub time: Timestamp,
    /// Somebody asked for it to be tried again.
    #[serde(default)]
    pub retry: bool,
}

/// How far a consumer of this store has come in the epoch that it knows; for tests and tools.
pub fn position(store: &Store, consumer: &str, service: &str, log: &str) -> Option<u64> {
    let cursor = store.get(CURSORS, &key(consumer, service, log)).ok()??;
    Some(cursor.sequence)
}

pub(super) fn key(consumer: &str, service: &str, log: &str) -> String {
    format!("{consumer}/{service}/{log}")
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(DEAD_EVENT_MAX_CHARS).collect()
}
