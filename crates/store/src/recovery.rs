//! Opening: what the journal has past the engine's last sync is applied again.

use std::path::Path;

use crate::engine::{Change, Engine, EngineError};
use crate::error::OpenError;
use crate::journal::Journal;
use crate::space::{self, Kind};

/// A store ready to be written to.
pub(crate) struct Recovered {
    pub epoch: u64,
    pub journal: Journal,
}

/// The key of the random number made with the store.
fn epoch_key() -> Vec<u8> {
    space::key(Kind::Meta, "epoch", &())
}

/// The key of the last group applied: in the same engine batch as the group's last part.
pub(crate) fn applied_key() -> Vec<u8> {
    space::key(Kind::Meta, "applied", &())
}

/// The key of the last group known to be synced in the engine: only what comes after is replayed.
fn synced_key() -> Vec<u8> {
    space::key(Kind::Meta, "synced", &())
}

fn number(sequence: u64) -> Option<Vec<u8>> {
    Some(sequence.to_be_bytes().to_vec())
}

/// Syncs the engine, and notes, durably, up to which group it is synced: the journal may forget those.
pub(crate) fn sync_engine(engine: &Engine, applied: u64) -> Result<(), EngineError> {
    engine.flush()?;
    engine.apply(&[(synced_key(), number(applied))])?;
    // Without the note an opening would look in the journal for what was removed from it.
    engine.flush()
}

/// Brings engine and journal together. Whatever does not fit is [`OpenError::Damaged`]: nothing
/// acknowledged is dropped silently.
pub(crate) fn recover(engine: &Engine, journal_folder: &Path, segment_bytes: u64) -> Result<Recovered, OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: journal_folder.to_owned(), reason };
    let read = |key: Vec<u8>| {
        let value = engine.get(&key).map_err(|error| damaged(error.to_string()))?;
        Ok(value.and_then(|value| value.try_into_u64()))
    };
    let synced = read(synced_key())?.unwrap_or(0);
    let applied = read(applied_key())?.unwrap_or(0);
    let epoch = read(epoch_key())?;
    // The first segment was there before the epoch was, and there has been one ever since.
    if epoch.is_some() && Journal::is_missing(journal_folder) {
        return Err(damaged("it has no segment any more".to_owned()));
    }
    let mut replayed = 0_u64;
    let mut apply = |sequence: u64, changes: &mut Vec<Change>| {
        changes.push((applied_key(), number(sequence)));
        replayed += 1;
        engine.apply(changes).map_err(|error| damaged(error.to_string()))
    };
    let journal = Journal::open(journal_folder, segment_bytes, synced, &mut apply)?;
    if applied > journal.last_sequence() {
        let last = journal.last_sequence();
        return Err(damaged(format!("the journal ends at group {last}, but the engine has seen group {applied}")));
    }
    if replayed > 0 {
        tracing::info!(groups = replayed, folder = %journal_folder.display(), "replayed the journal");
        let failed = |error: EngineError| damaged(error.to_string());
        sync_engine(engine, journal.last_sequence()).map_err(failed)?;
    }
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => {
            let epoch = rand::random();
            engine.apply(&[(epoch_key(), number(epoch))]).map_err(|error| damaged(error.to_string()))?;
            engine.flush().map_err(|error| damaged(error.to_string()))?;
            epoch
        }
    };
    Ok(Recovered { epoch, journal })
}
