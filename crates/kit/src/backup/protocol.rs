//! What the gateway asks the services while it makes a backup. Steps that may take long are started by a call and
//! waited for by others: a call between services lasts seconds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::manifest::{MediaSummary, StoreFile};

/// The path of a store's part, in every service that has one: `POST` a [`StoreAsk`], `GET` a [`StorePart`].
pub const STORE_PATH: &str = "/internal/backup";
/// The path of the media folder's part, in video: `POST` a [`MediaAsk`], `GET` a [`MediaPart`].
pub const MEDIA_PATH: &str = "/internal/backup/media";

/// `POST /internal/backup`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum StoreAsk {
    /// Begin: scan the store into `folder`. What was under way before is dropped.
    Scan {
        /// The backup's name.
        id: String,
        /// The unfinished backup.
        folder: PathBuf,
    },
    /// Stop writing at the next group boundary, at most so long.
    Hold {
        /// The backup's name.
        id: String,
        /// After this the store goes on by itself, in milliseconds.
        timeout_ms: u64,
    },
    /// Go on.
    Release {
        /// The backup's name.
        id: String,
    },
    /// Finish the file as of this sequence.
    Finish {
        /// The backup's name.
        id: String,
        /// The last write that belongs to the backup.
        sequence: u64,
    },
    /// Forget the backup.
    Drop {
        /// The backup's name.
        id: String,
    },
    /// Two verified backups have everything up to here.
    Covered {
        /// Of which history the sequence is.
        lineage: u64,
        /// The last write that both have.
        sequence: u64,
    },
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is under way.
    #[default]
    Idle,
    /// Works.
    Working,
    /// The first half is done: a store is scanned, media files are held.
    Ready,
    /// All is done.
    Done,
    /// It did not work.
    Failed,
}

/// `GET /internal/backup?wait=`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorePart {
    /// Which backup.
    pub id: String,
    /// How far it is.
    pub phase: Phase,
    /// Why it failed.
    pub error: Option<String>,
    /// Where the store was held, while it is.
    pub held_at: Option<u64>,
    /// After a release: whether it had held until then.
    pub held: bool,
    /// The finished file.
    pub store: Option<StoreFile>,
    /// The store's lineage.
    pub lineage: u64,
    /// What the store's journal takes now.
    pub journal_bytes: u64,
}

/// `POST /internal/backup/media`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum MediaAsk {
    /// Let removals of files wait, at most so long.
    Pause {
        /// The backup's name.
        id: String,
        /// After this they go on by themselves, in milliseconds.
        timeout_ms: u64,
    },
    /// Take the files into the backup. Removals go on as soon as all are held.
    Take {
        /// The backup's name.
        id: String,
        /// The unfinished backup.
        folder: PathBuf,
        /// The newest earlier backup.
        earlier: Option<PathBuf>,
    },
    /// Forget the backup; removals go on.
    Drop {
        /// The backup's name.
        id: String,
    },
}

/// `GET /internal/backup/media?wait=`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct MediaPart {
    /// Which backup.
    pub id: String,
    /// How far it is.
    pub phase: Phase,
    /// Why it failed.
    pub error: Option<String>,
    /// What was taken.
    pub media: Option<MediaSummary>,
}

/// `?wait=`: how long a part may go on before the answer, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Wait {
    /// Seconds.
    #[serde(default)]
    pub wait: u64,
}
