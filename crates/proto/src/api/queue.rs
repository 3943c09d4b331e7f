//! Work queues, as the admin sees them: `/api/admin/queues…`.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// An item of `GET /api/admin/queues/{service}/{queue}/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedJob {
    /// Its number, which never returns in its queue.
    pub id: u64,
    /// What it is waiting for.
    pub state: QueuedState,
    /// Its lane: lanes are worked on beside each other.
    pub lane: u8,
    /// How often the work has failed.
    pub attempt: u32,
    /// When it is due; absent if it was at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// What is to be done, as JSON; absent if this version cannot read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a job is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueuedState {
    /// For its time, or for a worker.
    Queued,
    /// For an earlier one that must be done before.
    Blocked,
    /// A worker has it.
    Leased,
    /// For somebody to try it again, or to drop it.
    Dead,
}

/// The query of `GET /api/admin/queues/{service}/{queue}/jobs`, beside `limit` and `pageToken`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedQuery {
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<QueuedState>,
}
