//! What can go wrong, as values.

use std::io;
use std::path::PathBuf;

/// Why a store could not be opened. Only [`OpenError::Damaged`] may ever lead to a rebuild.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process (or another [`Store`](crate::Store) of this one) has the folder.
    #[error("{} is in use by another process", folder.display())]
    Locked {
        /// The store's folder.
        folder: PathBuf,
    },
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data contradict themselves: something acknowledged may be missing. Nothing was changed.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file or folder concerned.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A newer version wrote the folder. Nothing was changed.
    #[error("{} was written by a newer version (format {found}, this one knows {known})", folder.display())]
    Newer {
        /// The store's folder.
        folder: PathBuf,
        /// The format that it has.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// `sync_file_range` could not be disabled, so that the engine's barriers would not be real.
    #[error("writes would not survive a power cut here: {reason}")]
    NotDurable {
        /// Why.
        reason: String,
    },
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The engine could not read.
    #[error("the store cannot be read: {0}")]
    Engine(String),
    /// A key or a record is not what its table says.
    #[error("a record in {table} cannot be decoded: {reason}")]
    Decode {
        /// Table, log or queue.
        table: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// Why a batch was refused. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An assertion did not hold.
    #[error("operation {index} of the batch, an assertion on {table}, does not hold")]
    Assertion {
        /// Which operation of the batch, counted from 0.
        index: usize,
        /// The table it is about.
        table: &'static str,
    },
    /// A counter would have left its bounds.
    #[error("{counter} would leave its bounds")]
    Bounds {
        /// The counter.
        counter: &'static str,
    },
    /// A lease has run out and somebody else has the job, or it is done already.
    #[error("job {id} of {queue} is no longer leased by this worker")]
    LeaseLost {
        /// The queue.
        queue: &'static str,
        /// The job.
        id: u64,
    },
    /// There is no such job (or it is not dead, for a revival).
    #[error("{queue} has no such job as {id}")]
    NoSuchJob {
        /// The queue.
        queue: &'static str,
        /// The job.
        id: u64,
    },
    /// The queue has as many jobs as it may have: to be tried again later.
    #[error("{queue} has {limit} jobs, as many as it may have")]
    QueueFull {
        /// The queue.
        queue: &'static str,
        /// How many jobs it may have.
        limit: u64,
    },
    /// A consumer acknowledged that the log's definition does not name.
    #[error("{log} has no consumer of that name")]
    UnknownConsumer {
        /// The log.
        log: &'static str,
    },
    /// Something is larger than its limit.
    #[error("{what} has {size}, more than the limit of {limit}")]
    TooLarge {
        /// What: a table's name, or `batch`.
        what: &'static str,
        /// Its size in bytes (or operations, for a batch).
        size: usize,
        /// The limit in the same unit.
        limit: usize,
    },
    /// A value cannot be written as MessagePack.
    #[error("a record for {table} cannot be encoded: {reason}")]
    Encode {
        /// Table, log or queue.
        table: &'static str,
        /// What the encoder said.
        reason: String,
    },
    /// What the batch depends on is not what its table, log or queue says.
    #[error("{0}")]
    Read(String),
    /// The engine failed; the process is about to stop.
    #[error("the store cannot be read: {0}")]
    Engine(String),
    /// There is no room on the disk, or so little that only essential batches are taken.
    #[error("the disk is full")]
    Full,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a backup could not be made, checked or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no backup of a store.
    #[error("{} is not a backup of a store", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version made it.
    #[error("{} was made by a newer version (format {found}, this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format that it has.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// It is not what was written.
    #[error("the backup {} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is something already where it should be restored.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The store, the running one or the restored one, could not do it.
    #[error("{0}")]
    Store(String),
}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Engine(reason) => Self::Engine(reason),
            error @ ReadError::Decode { .. } => Self::Read(error.to_string()),
        }
    }
}
