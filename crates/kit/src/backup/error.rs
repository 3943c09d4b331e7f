//! What is wrong with a backup, each with the file concerned.

use std::io;
use std::path::{Path, PathBuf};

/// Why a backup cannot be made, is not good, or cannot be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such backup.
    #[error("there is no backup {id} in {}", folder.display())]
    NoSuchBackup {
        /// What was asked for.
        id: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder is not a backup of DjStream.
    #[error("{} is not a backup: {reason}", path.display())]
    NotABackup {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// It was made by a later version.
    #[error("{} has the format {format}, and this version knows {known} at most: use the version that made it", path.display())]
    NewerFormat {
        /// The file concerned.
        path: PathBuf,
        /// What it says.
        format: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// A file is not what the backup says of it.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The system refused something.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done: 'cannot read'.
        what: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database could not do it.
    #[error("{}: {reason}", path.display())]
    Store {
        /// The file of the backup.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// There is not enough room.
    #[error("{} has {free_bytes} bytes free, and {needed_bytes} are needed", path.display())]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What would be needed.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
    /// Something still uses the data folder.
    #[error("DjStream is running on {} ({}): stop it first", data.display(), processes.join(", "))]
    Running {
        /// The data folder.
        data: PathBuf,
        /// Which processes.
        processes: Vec<String>,
    },
    /// Another restore was interrupted after it had begun to change the data folder.
    #[error("the restore of {id} was interrupted and has to be finished first: djstreamctl backup restore {id} --yes")]
    Interrupted {
        /// Which backup was being restored.
        id: String,
    },
    /// It was told to end.
    #[error("interrupted: the process was told to end")]
    Stopped,
}

impl Error {
    /// Makes one of what the system said.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    /// Whether the backup itself is at fault, and not this machine.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::NotABackup { .. } | Self::NewerFormat { .. } | Self::Damaged { .. })
    }
}
