//! Repairs that lose nothing acknowledged. What is damaged is set aside, never removed.
//!
//! | damaged | made again from |
//! |---|---|
//! | engine | the newest backup that the journal continues, or nothing if the journal goes back to the first group; then the journal |
//! | journal | the engine, if what the engine has not is whole in the journal or there is no such thing |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::backup;
use crate::engine::{Change, Engine, EngineError};
use crate::error::OpenError;
use crate::journal::{Journal, Salvaged, sync_folder};
use crate::recovery::{Places, Seen, applied_key, epoch_key, number, sync_engine};
use crate::state::{Found, State, StateFile};
use crate::store::Options;

/// Repairs a store, and says how, or gives the damage back that is beyond repair.
pub(crate) fn repair(
    places: &Places<'_>,
    options: &Options,
    state: Option<State>,
    damage: OpenError,
) -> Result<String, OpenError> {
    let engine_is_known_bad = state.is_some_and(|state| state.damaged);
    if !engine_is_known_bad {
        match look_at_engine(places, options, state) {
            Ok(applied) => return journal(places, options, state, applied, damage),
            Err(OpenError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    engine(places, options, state, damage)
}

/// Up to which group an engine has everything, if it is whole as far as can be seen.
fn look_at_engine(places: &Places<'_>, options: &Options, state: Option<State>) -> Result<u64, OpenError> {
    let engine = Engine::open(&places.engine, options.cache_bytes)?;
    Ok(Seen::of(&engine, places, state)?.applied)
}

/// A new engine, from a backup and the journal.
pub(crate) fn engine(
    places: &Places<'_>,
    options: &Options,
    state: Option<State>,
    damage: OpenError,
) -> Result<String, OpenError> {
    let Some(first) = Journal::first_sequence(&places.journal)? else { return Err(damage) };
    let mut bases: Vec<Base<'_>> = Vec::new();
    for file in &options.backups {
        // What cannot be read, or is of another history, is none; the next one may be.
        let Ok(summary) = backup::read_summary(file) else { continue };
        let continues = summary.sequence + 1 >= first && state.is_some_and(|it| it.lineage == summary.lineage);
        if continues {
            bases.push(Base::Backup(file));
        }
    }
    if first == 1 {
        bases.push(Base::Nothing);
    }
    for base in bases {
        match build(places, options, state, &base) {
            Ok(last) => {
                let aside = set_aside(places, "engine")?;
                return Ok(format!(
                    "The database was damaged ({damage}). It was made again from {base}, up to group {last}: nothing is \
                     lost. The damaged one lies in {}.",
                    aside.display()
                ));
            }
            Err(error @ OpenError::Damaged { .. }) => tracing::error!(%error, %base, "not to be repaired from this"),
            Err(other) => return Err(other),
        }
    }
    Err(damage)
}

/// What a new engine begins with.
enum Base<'a> {
    Backup(&'a Path),
    Nothing,
}

impl std::fmt::Display for Base<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Backup(file) => write!(out, "the backup {} and the journal", file.display()),
            Self::Nothing => write!(out, "the journal"),
        }
    }
}

/// The folder in which the new engine is made.
fn new_engine(places: &Places<'_>) -> PathBuf {
    places.folder.join("engine-new")
}

/// Makes the new engine, and says the last group that it has.
fn build(places: &Places<'_>, options: &Options, state: Option<State>, base: &Base<'_>) -> Result<u64, OpenError> {
    let folder = new_engine(places);
    let failed = |source| OpenError::Io { path: folder.clone(), source };
    remove_folder(&folder).map_err(failed)?;
    let at_open = |error: EngineError| error.at_open(&folder);
    let engine = Engine::open(&folder, options.cache_bytes)?;
    let begin = match base {
        Base::Nothing => 0,
        Base::Backup(file) => {
            let loaded = backup::load(file, &engine);
            let loaded =
                loaded.map_err(|error| OpenError::Damaged { path: file.to_path_buf(), reason: error.to_string() });
            loaded?.sequence
        }
    };
    let mut apply = |sequence: u64, changes: &mut Vec<Change>| {
        changes.push((applied_key(), number(sequence)));
        engine.apply(changes).map_err(at_open)
    };
    let journal = Journal::open(&places.journal, options.segment_bytes, begin, &mut apply)?;
    let last = journal.last_sequence();
    if let Some(state) = state.filter(|state| state.synced > last) {
        let reason = format!("it ends at group {last}, though group {} was there", state.synced);
        return Err(OpenError::Damaged { path: places.journal.clone(), reason });
    }
    let state = state.unwrap_or_else(|| State::new(rand::random(), 0));
    engine.apply(&[(epoch_key(), number(state.epoch)), (applied_key(), number(last))]).map_err(at_open)?;
    let mut file = match StateFile::find(places.folder)? {
        Found::Whole(file) => file,
        Found::Missing | Found::Unreadable => StateFile::create(places.folder, state)?,
    };
    let synced = sync_engine(&engine, &mut file, last, journal.segment());
    synced.map_err(|error| error.at_open(places, &folder))?;
    drop(engine);
    Ok(last)
}

/// Moves the new engine into its place, and the damaged one out of it.
fn set_aside(places: &Places<'_>, what: &str) -> Result<PathBuf, OpenError> {
    let failed = |source| OpenError::Io { path: places.folder.to_owned(), source };
    let aside = aside(places).map_err(failed)?;
    let is_engine = what == "engine";
    let act = || {
        move_aside(&places.folder.join(what), &aside.join(what))?;
        if is_engine {
            fs::rename(new_engine(places), &places.engine)?;
        }
        sync_folder(&aside)?;
        sync_folder(places.folder)
    };
    act().map_err(failed)?;
    if is_engine && let Found::Whole(mut file) = StateFile::find(places.folder)? {
        file.set(State { damaged: false, ..file.state() }).map_err(failed)?;
    }
    Ok(aside)
}

/// The folder for what is set aside now. Only the last one is kept: a damaged store must not fill the disk.
fn aside(places: &Places<'_>) -> io::Result<PathBuf> {
    for entry in fs::read_dir(places.folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("set-aside-") {
            remove_folder(&entry.path())?;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = places.folder.join(format!("set-aside-{now}"));
    fs::create_dir(&aside)?;
    Ok(aside)
}

fn move_aside(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new journal, if the engine and what can still be read of the old one have everything.
fn journal(
    places: &Places<'_>,
    options: &Options,
    state: Option<State>,
    applied: u64,
    damage: OpenError,
) -> Result<String, OpenError> {
    let newest = state.map_or(0, |state| state.segment);
    let salvaged = Journal::salvage(&places.journal, applied, newest)?;
    let closed_in_order = state.is_some_and(|state| state.clean && state.synced == applied);
    let Salvaged { groups, is_complete } = salvaged;
    if !closed_in_order && !is_complete {
        // Something that was acknowledged may be in what cannot be read: people decide.
        return Err(damage);
    }
    let failed = |error: EngineError| error.at_open(&places.engine);
    let engine = Engine::open(&places.engine, options.cache_bytes)?;
    let mut last = applied;
    for (sequence, mut changes) in groups {
        changes.push((applied_key(), number(sequence)));
        engine.apply(&changes).map_err(failed)?;
        last = sequence;
    }
    let of_folder = |source| OpenError::Io { path: places.folder.to_owned(), source };
    let mut file = match StateFile::find(places.folder)? {
        Found::Whole(file) => file,
        Found::Missing | Found::Unreadable => return Err(damage),
    };
    let synced = sync_engine(&engine, &mut file, last, last + 1);
    synced.map_err(|error| error.at_open(places, &places.engine))?;
    drop(engine);
    let aside = set_aside(places, "journal")?;
    Journal::begin(&places.journal, last, options.segment_bytes).map_err(of_folder)?;
    Ok(format!(
        "The journal was damaged ({damage}). The database has all of it, up to group {last}: nothing is lost. The \
         damaged one lies in {}.",
        aside.display()
    ))
}
