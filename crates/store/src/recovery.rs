//! Opening: what the journal has past the engine's last sync is applied again. What is damaged is repaired where
//! nothing acknowledged is lost by it, and refused by name where something would be.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::engine::{Change, Engine, EngineError};
use crate::engine_log;
use crate::error::OpenError;
use crate::journal::Journal;
use crate::repair;
use crate::space::{self, Kind};
use crate::state::{FORMAT, Found, State, StateFile};
use crate::store::Options;

/// A store ready to be written to.
pub(crate) struct Recovered {
    pub engine: Engine,
    pub journal: Journal,
    pub state: StateFile,
    /// What was repaired, in sentences.
    pub notes: Vec<String>,
}

/// The key of the random number made with the store: as in `state`, for a version that does not know that file.
pub(crate) fn epoch_key() -> Vec<u8> {
    space::key(Kind::Meta, "epoch", &())
}

/// The key of the last group applied: in the same engine batch as the group's last part.
pub(crate) fn applied_key() -> Vec<u8> {
    space::key(Kind::Meta, "applied", &())
}

/// The key of the last group known to be synced in the engine: only what comes after is replayed.
pub(crate) fn synced_key() -> Vec<u8> {
    space::key(Kind::Meta, "synced", &())
}

pub(crate) fn number(sequence: u64) -> Option<Vec<u8>> {
    Some(sequence.to_be_bytes().to_vec())
}

/// Why the engine and what stands around it could not be synced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    State(#[from] std::io::Error),
}

impl SyncError {
    /// As an opening says it.
    pub(crate) fn at_open(self, places: &Places<'_>, engine: &Path) -> OpenError {
        match self {
            Self::Engine(error) => error.at_open(engine),
            Self::State(source) => OpenError::Io { path: places.folder.to_owned(), source },
        }
    }
}

/// Syncs the engine, and notes, durably, up to which group it is synced: the journal may forget those.
pub(crate) fn sync_engine(engine: &Engine, state: &mut StateFile, applied: u64, segment: u64) -> Result<(), SyncError> {
    engine.flush()?;
    state.set(State { synced: applied, segment, ..state.state() })?;
    engine.apply(&[(synced_key(), number(applied))])?;
    // Without the note an opening would look in the journal for what was removed from it.
    engine.flush()?;
    Ok(())
}

/// Where things lie in a store's folder.
pub(crate) struct Places<'a> {
    pub folder: &'a Path,
    pub engine: PathBuf,
    pub journal: PathBuf,
}

impl<'a> Places<'a> {
    pub(crate) fn of(folder: &'a Path) -> Self {
        Self { folder, engine: folder.join("engine"), journal: folder.join("journal") }
    }
}

/// Brings engine, journal and state together.
pub(crate) fn recover(folder: &Path, options: &Options) -> Result<Recovered, OpenError> {
    let places = Places::of(folder);
    let (_, known) = read_state(folder)?;
    let mut notes = Vec::new();
    if let Some(damage) = damage_in_log(&places)? {
        let was_clean = known.is_some_and(|state| state.clean);
        tracing::warn!(%damage, was_clean, "the engine's log has a gap");
        match repair::engine(&places, options, known, damage) {
            Ok(note) if was_clean => notes.push(note),
            // After a crash it may have been a segment that was being written anew: no damage, and no harm.
            Ok(_) => {}
            Err(OpenError::Damaged { .. }) if !was_clean => {}
            Err(other) => return Err(other),
        }
    }
    let (found, known) = read_state(folder)?;
    let damage = if known.is_some_and(|state| state.damaged) {
        OpenError::Damaged { path: places.engine.clone(), reason: "it was caught with damage".to_owned() }
    } else {
        match open(&places, options, found) {
            Err(damage @ OpenError::Damaged { .. }) => damage,
            Err(other) => return Err(other),
            Ok(recovered) => return Ok(Recovered { notes, ..recovered }),
        }
    };
    tracing::error!(%damage, "a damaged store is being repaired");
    let note = repair::repair(&places, options, known, damage)?;
    tracing::warn!(note, folder = %folder.display(), "the store was repaired");
    let (found, _) = read_state(folder)?;
    let recovered = open(&places, options, found)?;
    notes.push(note);
    Ok(Recovered { notes, ..recovered })
}

fn read_state(folder: &Path) -> Result<(Option<StateFile>, Option<State>), OpenError> {
    Ok(match StateFile::find(folder)? {
        Found::Whole(file) => {
            let state = file.state();
            (Some(file), Some(state))
        }
        Found::Missing | Found::Unreadable => (None, None),
    })
}

/// What sled would pass over in silence.
fn damage_in_log(places: &Places<'_>) -> Result<Option<OpenError>, OpenError> {
    match engine_log::first_damage(&places.engine) {
        Ok(None) => Ok(None),
        Ok(Some(reason)) => Ok(Some(OpenError::Damaged { path: places.engine.join("db"), reason })),
        // No engine, or half of one: opening it says so.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
        Err(source) => Err(OpenError::Io { path: places.engine.clone(), source }),
    }
}

/// What is whole is opened. Whatever does not fit is [`OpenError::Damaged`]: nothing acknowledged is dropped silently.
fn open(places: &Places<'_>, options: &Options, found: Option<StateFile>) -> Result<Recovered, OpenError> {
    let engine = Engine::open(&places.engine, options.cache_bytes)?;
    let seen = Seen::of(&engine, places, found.as_ref().map(StateFile::state))?;
    let damaged = |reason: String| OpenError::Damaged { path: places.journal.clone(), reason };
    // The first segment was there before the epoch was, and there has been one ever since.
    if seen.epoch.is_some() && Journal::is_missing(&places.journal) {
        return Err(damaged("it has no segment any more".to_owned()));
    }
    let failed = |error: EngineError| error.at_open(&places.engine);
    let mut replayed = 0_u64;
    let mut apply = |sequence: u64, changes: &mut Vec<Change>| {
        changes.push((applied_key(), number(sequence)));
        replayed += 1;
        engine.apply(changes).map_err(failed)
    };
    let journal = Journal::open(&places.journal, options.segment_bytes, seen.synced, &mut apply)?;
    let last = journal.last_sequence();
    if let Some(state) = found.as_ref().map(StateFile::state).filter(|it| it.segment > journal.segment()) {
        return Err(damaged(format!("the segment that begins with group {} is missing", state.segment)));
    }
    if seen.applied > last {
        let applied = seen.applied;
        return Err(damaged(format!("the journal ends at group {last}, but the engine has seen group {applied}")));
    }
    let epoch = seen.epoch.unwrap_or_else(rand::random);
    if !seen.has_epoch {
        engine.apply(&[(epoch_key(), number(epoch))]).map_err(failed)?;
    }
    let mut state = match found {
        Some(state) => state,
        // A new folder, or the step from format 1: everything else is as it was.
        None => {
            engine.flush().map_err(failed)?;
            StateFile::create(places.folder, State::new(epoch, seen.synced))?
        }
    };
    let of_state = |source| OpenError::Io { path: places.folder.to_owned(), source };
    if replayed > 0 {
        tracing::info!(groups = replayed, folder = %places.journal.display(), "replayed the journal");
        let synced = sync_engine(&engine, &mut state, last, journal.segment());
        synced.map_err(|error| error.at_open(places, &places.engine))?;
    }
    let now = State { format: FORMAT, clean: false, ..state.state() };
    if now != state.state() {
        state.set(now).map_err(of_state)?;
    }
    Ok(Recovered { engine, journal, state, notes: Vec::new() })
}

/// What the engine says of itself.
pub(crate) struct Seen {
    pub synced: u64,
    pub applied: u64,
    pub epoch: Option<u64>,
    /// Whether the engine itself knows the epoch.
    pub has_epoch: bool,
}

impl Seen {
    /// Reads it, and holds it against what is known from outside the engine.
    pub(crate) fn of(engine: &Engine, places: &Places<'_>, state: Option<State>) -> Result<Self, OpenError> {
        let read = |key: Vec<u8>| {
            let value = engine.get(&key).map_err(|error| error.at_open(&places.engine))?;
            Ok::<_, OpenError>(value.and_then(|value| value.try_into_u64()))
        };
        let synced = read(synced_key())?.unwrap_or(0);
        let applied = read(applied_key())?.unwrap_or(0);
        let own_epoch = read(epoch_key())?;
        let epoch = own_epoch.or(state.map(|state| state.epoch));
        let noted = state.map_or(0, |state| state.synced);
        // sled takes the first bytes that it cannot read for the end of its log, and forgets what comes after.
        if noted > applied {
            let reason = format!("it has seen group {applied}, though group {noted} was synced");
            return Err(OpenError::Damaged { path: places.engine.clone(), reason });
        }
        // The engine's own note is the younger one, and may have been lost in a crash.
        let synced = synced.max(noted);
        Ok(Self { synced, applied, epoch, has_epoch: own_epoch.is_some() })
    }
}
