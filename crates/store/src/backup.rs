//! A backup of one store: the state after one group, as one file.
//!
//! File: magic (8), format (4), 0 (4), lineage (8), epoch (8), sequence (8), then the entries in the order of their keys
//! (key's length (4), value's length (4), key, value), `END` (4), number of entries (8), SHA-256 of everything before.
//! Numbers are little-endian. Restoring gives the history a new lineage: its journal goes on differently.
//!
//! It is made in two steps, since writing goes on meanwhile: a scan of the engine, which sees some of what is
//! written during it and some not, and then the journal from before the scan up to the sequence, over it.

mod file;
mod making;

use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::{Change, Engine, EngineError};
use crate::error::{BackupError, OpenError};
use crate::journal::{Journal, sync_folder};
use crate::recovery::{Places, applied_key, epoch_key, number, synced_key};
use crate::state::{State, StateFile};
use crate::store::Options;

use file::Reader;
pub use making::Scanned;
pub(crate) use making::{Pin, everything, finish, scan};

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The form of the file.
    pub format: u32,
    /// The history that it is of.
    pub lineage: u64,
    /// The epoch of its logs.
    pub epoch: u64,
    /// The last group that it has.
    pub sequence: u64,
    /// How many entries it has.
    pub entries: u64,
    /// The size of the file.
    pub bytes: u64,
    /// SHA-256 of everything before it.
    pub sha256: [u8; 32],
}

/// What a backup says of itself: its first and last bytes are looked at, no more.
///
/// # Errors
/// If it cannot be read, is none, or is cut off.
pub fn read_summary(file: &Path) -> Result<Summary, BackupError> {
    Reader::open(file).map(|reader| reader.summary().clone())
}

/// Restores a backup into a folder that is empty or not there. The restored store has a new lineage.
/// Blocks.
///
/// # Errors
/// If the backup is damaged (nothing is left behind then), or the folder is not empty or cannot be written.
pub fn restore(file: &Path, folder: &Path) -> Result<Summary, BackupError> {
    let failed = |source| BackupError::Io { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(BackupError::NotEmpty { folder: folder.to_owned() });
    }
    let restored = restore_into(file, folder);
    if restored.is_err() {
        // It was empty; half a store is none.
        let _ = fs::remove_dir_all(folder);
    }
    restored
}

fn restore_into(file: &Path, folder: &Path) -> Result<Summary, BackupError> {
    let failed = |source| BackupError::Io { path: folder.to_owned(), source };
    let places = Places::of(folder);
    let engine = Engine::open(&places.engine, Options::default().cache_bytes).map_err(of_open)?;
    let summary = load(file, &engine)?;
    let Summary { epoch, sequence, .. } = summary;
    let own = [(epoch_key(), number(epoch)), (applied_key(), number(sequence)), (synced_key(), number(sequence))];
    engine.apply(&own).map_err(of_engine)?;
    engine.flush().map_err(of_engine)?;
    drop(engine);
    Journal::begin(&places.journal, sequence, Options::default().segment_bytes).map_err(failed)?;
    let state = State { clean: true, ..State::new(epoch, sequence) };
    StateFile::create(folder, state).map_err(of_open)?;
    if let Some(parent) = folder.parent() {
        sync_folder(parent).map_err(failed)?;
    }
    Ok(summary)
}

/// Restores a backup into a scratch folder, compares every entry, and removes the folder. Blocks.
///
/// # Errors
/// As [`restore`]; also if what was restored is not what the backup has.
pub fn verify(file: &Path, scratch: &Path) -> Result<Summary, BackupError> {
    let summary = restore(file, scratch)?;
    let compared = compare(file, scratch);
    // sled's threads may still close their files.
    let _ = fs::remove_dir_all(scratch);
    compared.map(|()| summary)
}

fn compare(file: &Path, folder: &Path) -> Result<(), BackupError> {
    let differs = |reason: &str| BackupError::Damaged { path: file.to_owned(), reason: reason.to_owned() };
    let engine = Engine::open(&Places::of(folder).engine, Options::default().cache_bytes).map_err(of_open)?;
    let mut restored = making::everything(&engine);
    for entry in Reader::open(file)? {
        let (key, value) = entry?;
        let found = restored.next().transpose().map_err(|error| BackupError::Store(error.to_string()))?;
        if found.is_none_or(|(found, content)| *found != *key || *content != *value) {
            return Err(differs("what was restored is not what it has"));
        }
    }
    if restored.next().is_some() { Err(differs("more was restored than it has")) } else { Ok(()) }
}

/// Puts everything of a backup into an empty engine, after all of it was checked.
pub(crate) fn load(file: &Path, engine: &Engine) -> Result<Summary, BackupError> {
    for entry in Reader::open(file)? {
        entry?;
    }
    let mut reader = Reader::open(file)?;
    let mut changes: Vec<Change> = Vec::new();
    for entry in reader.by_ref() {
        let (key, value) = entry?;
        changes.push((key, Some(value)));
        if changes.len() >= crate::limits::GROUP_OPERATIONS {
            engine.apply(&changes).map_err(of_engine)?;
            changes.clear();
        }
    }
    engine.apply(&changes).map_err(of_engine)?;
    Ok(reader.summary().clone())
}

fn of_engine(error: EngineError) -> BackupError {
    BackupError::Store(error.to_string())
}

fn of_open(error: OpenError) -> BackupError {
    match error {
        OpenError::Io { path, source } => BackupError::Io { path, source },
        other => BackupError::Store(other.to_string()),
    }
}

/// Where `file` is written until it is whole.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}
