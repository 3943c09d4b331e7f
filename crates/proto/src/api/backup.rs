//! Backups, for admins.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Whether a backup can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupState {
    /// It was restored into a scratch folder and compared.
    Verified,
    /// The last verification found something wrong.
    Damaged,
    /// What it says of itself cannot be read.
    Unreadable,
}

/// An item of `GET /api/admin/backups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Its name: the time, and something random.
    pub id: String,
    /// Its folder.
    pub path: String,
    /// Whether it can be relied on.
    pub state: BackupState,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was begun: everything acknowledged before is in it.
    pub created_at: Option<Timestamp>,
    /// When it was last verified.
    pub verified_at: Option<Timestamp>,
    /// The version that made it.
    pub version: String,
    /// Records in all stores.
    pub entries: u64,
    /// Bytes of the stores' files.
    pub store_bytes: u64,
    /// Media files.
    pub media_files: u64,
    /// Their bytes, most of them shared with the media themselves or with earlier backups.
    pub media_bytes: u64,
    /// Media bytes that were copied for this one.
    pub media_copied_bytes: u64,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupProgress {
    /// Which backup.
    pub id: String,
    /// What is done with it, in words.
    pub step: String,
    /// Since when.
    pub started_at: Timestamp,
}

/// One that did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupFailure {
    /// Which backup.
    pub id: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// `GET /api/admin/backups`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backups {
    /// The newest first.
    pub items: Vec<Backup>,
    /// Where they are.
    pub folder: String,
    /// What is going on at this moment.
    pub running: Option<BackupProgress>,
    /// The last one that did not work since the server started; nothing once one has worked.
    pub last_failure: Option<BackupFailure>,
    /// When the timer makes the next one; nothing when it never does.
    pub next_at: Option<Timestamp>,
    /// `[backup] interval_hours`
    pub interval_hours: u64,
    /// `[backup] keep`
    pub keep: u64,
}
