//! The only file that knows sled.
//!
//! As published, sled 0.34.7 calls `sync_file_range` where it should sync: [`durable`](crate::durable)
//! turns that into a real sync. Here: no flusher of its own (it only logs its errors), bounded groups with
//! a collection after each (else memory grows without end), and the leftovers of an interrupted opening removed.

use std::fs;
use std::io;
use std::ops::{Deref, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{OpenError, ReadError};
use crate::journal::{is_full, sync_folder};

/// How long to wait for sled's lock. The caller holds the store's own, so only a sled of this process can
/// have it: one that was dropped, and whose threads are ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Changes after which what they replaced is collected. One collection frees a few bags only: with fewer of them memory
/// and file grow without end.
const COLLECT_EVERY: usize = 16;

/// Cache of an engine that is only made.
const CACHE_WHILE_MADE_BYTES: u64 = 1 << 20;

/// The ordered map on disk.
pub(crate) struct Engine {
    database: sled::Db,
    folder: PathBuf,
    on_damage: OnceLock<Arc<OnDamage>>,
}

/// Bytes as they lie in the engine, shared, not copied.
#[derive(Debug, Clone)]
pub(crate) struct Bytes(sled::IVec);

impl Bytes {
    /// The number that these bytes are.
    pub(crate) fn try_into_u64(&self) -> Option<u64> {
        self.0.as_ref().try_into().ok().map(u64::from_be_bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Why the engine could not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EngineError {
    /// There was no room: what is on the disk is whole.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The system could not read or write.
    #[error("{0}")]
    Io(String),
    /// What it has on the disk cannot be.
    #[error("{0}")]
    Damaged(String),
}

impl From<sled::Error> for EngineError {
    fn from(error: sled::Error) -> Self {
        match &error {
            sled::Error::Io(source) if is_full(source) => Self::Full(error.to_string()),
            // A file that ends too early was truncated.
            sled::Error::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => Self::Io(error.to_string()),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl EngineError {
    /// As an opening says it.
    pub(crate) fn at_open(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Full(reason) => OpenError::Io { path, source: io::Error::new(io::ErrorKind::StorageFull, reason) },
            Self::Io(reason) => OpenError::Io { path, source: io::Error::other(reason) },
            Self::Damaged(reason) => OpenError::Damaged { path, reason },
        }
    }
}

impl From<EngineError> for ReadError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error.to_string())
    }
}

/// What is done when the engine is caught with damage. It does not return where nobody may go on.
pub(crate) type OnDamage = dyn Fn(&str) + Send + Sync;

/// One change: a value, or `None` for no longer.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

impl Engine {
    /// Opens the engine in a folder, or makes one there.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        if !folder.try_exists().map_err(failed)? {
            Self::make(folder)?;
        }
        Self::open_made(folder, cache_bytes)
    }

    /// Makes an engine, which has its name only when it is whole: sled writes its settings in two parts, and a kill in
    /// between would leave an engine that can never be opened.
    fn make(folder: &Path) -> Result<(), OpenError> {
        let unfinished = folder.with_extension("unfinished");
        let failed = |source| OpenError::Io { path: unfinished.clone(), source };
        if unfinished.try_exists().map_err(failed)? {
            fs::remove_dir_all(&unfinished).map_err(failed)?;
        }
        fs::create_dir_all(&unfinished).map_err(failed)?;
        let made = Self::open_made(&unfinished, CACHE_WHILE_MADE_BYTES)?;
        made.flush().map_err(|error| error.at_open(&unfinished))?;
        // sled syncs once more when it ends, and asserts that it could.
        catch_unwind(AssertUnwindSafe(|| drop(made))).map_err(|panic| failed(io::Error::other(panic_text(&*panic))))?;
        fs::rename(&unfinished, folder).map_err(failed)?;
        folder.parent().map_or(Ok(()), sync_folder).map_err(failed)
    }

    fn open_made(folder: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        remove_unfinished_snapshots(folder).map_err(failed)?;
        let config = sled::Config::new().path(folder).cache_capacity(cache_bytes).flush_every_ms(None);
        let damaged = |reason| OpenError::Damaged { path: folder.to_owned(), reason };
        // On bytes it does not expect sled may assert instead of answering.
        let open = || catch_unwind(AssertUnwindSafe(|| config.open()));
        let mut opened = open();
        let patience = Instant::now() + LOCK_PATIENCE;
        while matches!(&opened, Ok(Err(sled::Error::Io(error))) if is_lock(error)) && Instant::now() < patience {
            thread::sleep(Duration::from_millis(5));
            opened = open();
        }
        let database = match opened {
            Ok(Ok(database)) => database,
            Ok(Err(sled::Error::Io(source))) if is_lock(&source) => {
                return Err(OpenError::Locked { folder: folder.to_owned() });
            }
            Ok(Err(sled::Error::Io(source))) if source.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(failed(source));
            }
            Ok(Err(error)) => return Err(damaged(error.to_string())),
            Err(panic) => return Err(damaged(panic_text(&*panic))),
        };
        // sled makes its files, and leaves it to us that they and their names last.
        fs::File::open(folder.join("conf")).and_then(|file| file.sync_all()).map_err(failed)?;
        sync_folder(&folder.join("blobs")).and_then(|()| sync_folder(folder)).map_err(failed)?;
        Ok(Self { database, folder: folder.to_owned(), on_damage: OnceLock::new() })
    }

    /// From now on whoever meets damage calls this first.
    pub(crate) fn on_damage(&self, act: Arc<OnDamage>) {
        // Set once, by the store that opened it.
        let _ = self.on_damage.set(act);
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value = guarded(self.on_damage.get(), || self.database.get(key))?;
        Ok(value.map(Bytes))
    }

    /// Entries in order, or in reverse.
    pub(crate) fn range(&self, range: impl RangeBounds<Vec<u8>>, reverse: bool) -> Entries {
        Entries { entries: self.database.range(range), reverse, on_damage: self.on_damage.get().cloned() }
    }

    /// Applies changes, puts before removals and the last change last. Not synced; a crash in between is mended by
    /// the journal, which has them all. One by one: for each of its batches sled would write and sync twice, to make
    /// atomic what is so already.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<(), EngineError> {
        let Some((last, others)) = changes.split_last() else { return Ok(()) };
        let puts = others.iter().filter(|(_, value)| value.is_some());
        let removals = others.iter().filter(|(_, value)| value.is_none());
        guarded(None, || {
            for (count, (key, value)) in puts.chain(removals).chain([last]).enumerate() {
                match value {
                    Some(value) => self.database.insert(key, value.as_slice()).map(drop)?,
                    None => self.database.remove(key).map(drop)?,
                }
                if count % COLLECT_EVERY == COLLECT_EVERY - 1 {
                    crossbeam_epoch::pin().flush();
                }
            }
            Ok(())
        })?;
        crossbeam_epoch::pin().flush();
        Ok(())
    }

    /// Returns when everything applied is on the disk.
    pub(crate) fn flush(&self) -> Result<(), EngineError> {
        guarded(None, || self.database.flush())?;
        // Blobs are never synced by sled; the limits on values keep leaves from becoming blobs.
        let blobs = fs::read_dir(self.folder.join("blobs")).map(Iterator::count).unwrap_or(0);
        if blobs > 0 {
            return Err(EngineError::Io(format!("{blobs} blobs were written, which are not durable")));
        }
        Ok(())
    }
}

/// What the engine answers. On bytes that it does not expect it may assert instead.
fn guarded<T>(
    on_damage: Option<&Arc<OnDamage>>,
    call: impl FnOnce() -> Result<T, sled::Error>,
) -> Result<T, EngineError> {
    let answer = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer.map_err(EngineError::from),
        Err(panic) => Err(EngineError::Damaged(panic_text(&*panic))),
    };
    if let (Err(EngineError::Damaged(reason)), Some(act)) = (&answer, on_damage) {
        act(reason);
    }
    answer
}

/// Reads a range.
pub(crate) struct Entries {
    entries: sled::Iter,
    reverse: bool,
    on_damage: Option<Arc<OnDamage>>,
}

impl Iterator for Entries {
    type Item = Result<(Bytes, Bytes), ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        let (entries, reverse) = (&mut self.entries, self.reverse);
        let mut next = || if reverse { entries.next_back() } else { entries.next() };
        let entry = guarded(self.on_damage.as_ref(), || next().transpose()).transpose()?;
        Some(entry.map(|(key, value)| (Bytes(key), Bytes(value))).map_err(ReadError::from))
    }
}

/// A kill while sled opens leaves `snap.….generating`, and every later opening would fail on it.
fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled says by text only that another process has the lock.
fn is_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the engine gave up: {}", text.unwrap_or("without a reason"))
}
