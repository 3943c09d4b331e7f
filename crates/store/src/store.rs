//! The store as the rest of the program sees it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::backup::{self, Scanned, Summary};
use crate::batch::Batch;
use crate::codec;
use crate::damage;
use crate::durable;
use crate::engine::{Bytes, Engine, Entries};
use crate::error::{BackupError, OpenError, ReadError, WriteError};
use crate::journal::sync_folder;
use crate::key::Key;
use crate::log::{Log, LogReader};
use crate::queue::{Queue, QueueHandle};
use crate::recovery::{self, Recovered};
use crate::room::Room;
use crate::scan::Scan;
use crate::signals::Signals;
use crate::space::{self, Kind};
use crate::state::{State, StateFile};
use crate::table::{Counter, Table};
use crate::writer::{Command, Writer};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for the engine's cache of leaves, in bytes.
    pub cache_bytes: u64,
    /// Size of a journal segment in bytes. With each new one the engine is synced.
    pub segment_bytes: u64,
    /// How many batches may wait for the writer before `write` itself waits.
    pub queue_batches: usize,
    /// Room on the disk that is kept for when it is nearly full, in bytes; 0 for none: then nothing is refused early.
    pub ballast_bytes: u64,
    /// How much of the journal is kept, beyond what the engine needs, until backups have it ([`Store::covered`]), in
    /// bytes: a damaged engine is made again from a backup and what came after it.
    pub journal_keep_bytes: u64,
    /// Backups of this store, newest first, to repair it from. Those of another history are left alone.
    pub backups: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            segment_bytes: 8 << 20,
            queue_batches: 1024,
            ballast_bytes: 0,
            journal_keep_bytes: 0,
            backups: Vec::new(),
        }
    }
}

/// What a batch was given when it became durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The sequence of the group in the journal.
    pub sequence: u64,
    /// The sequences of the events that the batch appended, in its order.
    pub events: Vec<u64>,
    /// The ids of the jobs that the batch pushed, in its order.
    pub jobs: Vec<u64>,
}

/// How a store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the disk is nearly full: only essential batches are taken.
    pub nearly_full: bool,
    /// What was repaired when it was opened, in sentences.
    pub notes: Vec<String>,
}

/// A writer that stands still at a group boundary, until this is released, dropped or runs out.
#[derive(Debug)]
pub struct Hold {
    /// The last group before it.
    pub sequence: u64,
    pub(crate) release: flume::Sender<oneshot::Sender<()>>,
}

impl Hold {
    /// Lets the writer go on. Whether it stood still until now; it did not if the time had run out.
    pub async fn release(self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.release.send(reply).is_ok() && answer.await.is_ok()
    }
}

/// One service's data. Cloning is cheap; the folder is let go when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Option<flume::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What handles and the writer have in common.
pub(crate) struct Shared {
    pub engine: Engine,
    pub signals: Arc<Signals>,
    pub folder: PathBuf,
    pub room: Room,
    pub state: Arc<Mutex<StateFile>>,
    pub covered: AtomicU64,
    pub journal_bytes: AtomicU64,
    pub journal_keep_bytes: u64,
    /// The group above which a backup that is being made needs the journal; `u64::MAX` for none.
    pub pinned: Arc<AtomicU64>,
    notes: Vec<String>,
    first_state: State,
    _lock: File,
}

impl Shared {
    pub(crate) fn lock_state(&self) -> MutexGuard<'_, StateFile> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("folder", &self.inner.shared.folder).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has stopped the process already.
            let _ = thread.join();
        }
    }
}

impl Store {
    /// Opens the store in a folder, or makes one, and applies what the journal has and the engine has not.
    /// Blocks; takes an exclusive lock of the folder. Also makes sure of [`durable::install`].
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        durable::install()?;
        let lock = lock(folder)?;
        let room = Room::prepare(folder, options.ballast_bytes);
        let Recovered { engine, journal, state, notes } = recovery::recover(folder, &options)?;
        sync_names(folder)?;
        let first_state = state.state();
        let state = Arc::new(Mutex::new(state));
        engine.on_damage(damage::stopper(folder, &state));
        let shared = Arc::new(Shared {
            engine,
            signals: Arc::default(),
            folder: folder.to_owned(),
            room,
            state,
            covered: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(journal.bytes()),
            journal_keep_bytes: options.journal_keep_bytes,
            pinned: Arc::new(AtomicU64::new(u64::MAX)),
            notes,
            first_state,
            _lock: lock,
        });
        let (commands, received) = flume::bounded(options.queue_batches);
        let writer = Writer::new(Arc::clone(&shared), journal, received);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { path: shared.folder.clone(), source })?;
        let inner = Inner { commands: Some(commands), thread: Some(thread), shared };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes a batch durable, all of it or nothing: when this returns it would survive a power cut.
    /// When the future is dropped the batch may or may not be written.
    pub async fn write(&self, mut batch: Batch) -> Result<Written, WriteError> {
        batch.check()?;
        self.ask(|reply| Command::Write { batch, reply }).await?
    }

    /// One record.
    pub fn get<K: Key, V: DeserializeOwned>(&self, table: Table<K, V>, key: &K) -> Result<Option<V>, ReadError> {
        let value = self.engine().get(&space::key(Kind::Table, table.name, key))?;
        value.map(|value| codec::decode(table.name, &value)).transpose()
    }

    /// Whether there is such a record.
    pub fn contains<K: Key, V>(&self, table: Table<K, V>, key: &K) -> Result<bool, ReadError> {
        Ok(self.engine().get(&space::key(Kind::Table, table.name, key))?.is_some())
    }

    /// One counter; 0 if nothing was ever added.
    pub fn count<K: Key>(&self, counter: Counter<K>, key: &K) -> Result<i64, ReadError> {
        Ok(self.number(&space::key(Kind::Counter, counter.name, key))?.cast_signed())
    }

    /// Keys and records of a part of a table. More than a hundred of them belong on the blocking pool.
    /// The iterator sees what is written while it runs.
    pub fn scan<K: Key, V: DeserializeOwned>(
        &self,
        table: Table<K, V>,
        scan: Scan,
    ) -> impl Iterator<Item = Result<(K, V), ReadError>> + Send + use<K, V> {
        let (entries, prefix_bytes) = self.entries(table.name, &scan);
        entries.map(move |entry| {
            let (key, value) = entry?;
            let key = decode_key(table.name, &key, prefix_bytes)?;
            Ok((key, codec::decode(table.name, &value)?))
        })
    }

    /// The same without reading the records.
    pub fn scan_keys<K: Key, V>(
        &self,
        table: Table<K, V>,
        scan: Scan,
    ) -> impl Iterator<Item = Result<K, ReadError>> + Send + use<K, V> {
        let (entries, prefix_bytes) = self.entries(table.name, &scan);
        entries.map(move |entry| decode_key(table.name, &entry?.0, prefix_bytes))
    }

    fn entries(&self, table: &str, scan: &Scan) -> (std::iter::Flatten<std::option::IntoIter<Entries>>, usize) {
        let prefix = space::prefix(Kind::Table, table);
        let bounds = scan.bounds(&prefix);
        let entries = bounds.map(|bounds| self.engine().range(bounds, scan.reverse));
        (entries.into_iter().flatten(), prefix.len())
    }

    /// Reads an event log.
    pub fn log<E>(&self, log: Log<E>) -> LogReader<E> {
        LogReader::new(self.clone(), log)
    }

    /// Works on a queue.
    pub fn queue<J>(&self, queue: Queue<J>) -> QueueHandle<J> {
        QueueHandle::new(self.clone(), queue)
    }

    /// Writes what was accepted, syncs everything, and refuses what comes later. Reading goes on
    /// until the last clone is dropped.
    pub async fn close(&self) {
        let Some(commands) = &self.inner.commands else { return };
        let (reply, answer) = oneshot::channel();
        if commands.send_async(Command::Close { reply }).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Random, new with each restore: what this store's history is a part of.
    pub fn lineage(&self) -> u64 {
        self.inner.shared.first_state.lineage
    }

    /// How it is.
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        Health { nearly_full: shared.room.is_nearly_full(), notes: shared.notes.clone() }
    }

    /// What the journal takes on the disk, in bytes.
    pub fn journal_bytes(&self) -> u64 {
        self.inner.shared.journal_bytes.load(Ordering::Relaxed)
    }

    /// Says that backups have everything up to this group: the journal may forget it.
    pub fn covered(&self, sequence: u64) {
        self.inner.shared.covered.fetch_max(sequence, Ordering::Relaxed);
    }

    /// Stops the writer at a group boundary, for at most `timeout`. Writes wait meanwhile.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn hold(&self, timeout: Duration) -> Result<Hold, WriteError> {
        self.ask(|reply| Command::Hold { timeout, reply }).await
    }

    /// Writes down what the engine has, beside `file`, while writing goes on: the first half of a backup. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written, or the store is closed.
    pub fn backup_scan(&self, file: &Path) -> Result<Scanned, BackupError> {
        let closed = || BackupError::Store(WriteError::Closed.to_string());
        let commands = self.inner.commands.as_ref().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        commands.send(Command::Pin { reply }).map_err(|_| closed())?;
        let pin = answer.blocking_recv().map_err(|_| closed())?;
        backup::scan(&self.inner.shared, file, pin)
    }

    /// The second half: the backup of the state after the group `sequence`, which came after the scan. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written, or the journal cannot be read.
    pub fn backup_finish(&self, scanned: Scanned, sequence: u64, file: &Path) -> Result<Summary, BackupError> {
        backup::finish(&self.inner.shared, self.inner.shared.first_state, &scanned, sequence, file)
    }

    /// Every record as it lies in the store: physical key (kind, name, 0, key) and encoded value. For searches and tests.
    pub fn raw(&self) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), ReadError>> + Send + use<> {
        backup::everything(self.engine()).map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.inner.commands.as_ref().ok_or(WriteError::Closed)?;
        commands.send_async(command(reply)).await.map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.shared.engine
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.inner.shared.signals
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.inner.shared.first_state.epoch
    }

    /// A number stored under a physical key; absent is 0.
    pub(crate) fn number(&self, key: &[u8]) -> Result<u64, ReadError> {
        Ok(self.engine().get(key)?.and_then(|value| value.try_into_u64()).unwrap_or(0))
    }
}

fn decode_key<K: Key>(table: &'static str, key: &Bytes, prefix_bytes: usize) -> Result<K, ReadError> {
    let mut input = key.get(prefix_bytes..).unwrap_or_default();
    let decoded = K::decode(&mut input).filter(|_| input.is_empty());
    decoded.ok_or_else(|| ReadError::Decode { table, reason: "the key has another form".to_owned() })
}

/// Makes the names of the folder and of those around it durable. Always: who made them may have been killed before
/// it could do so. Folders above our own that we may not open are not of our making.
fn sync_names(folder: &Path) -> Result<(), OpenError> {
    let folder = std::path::absolute(folder).map_err(|source| OpenError::Io { path: folder.to_owned(), source })?;
    for folder in folder.ancestors() {
        match sync_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            Err(source) => return Err(OpenError::Io { path: folder.to_owned(), source }),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Takes the folder for this process, or says who may not.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |source: io::Error| OpenError::Io { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let options = File::options().create(true).truncate(false).write(true).open(folder.join("lock"));
    let file = options.map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { folder: folder.to_owned() }),
        Err(error) => Err(failed(error.into())),
    }
}

/// The system's clock, for what nobody said the time of.
pub(crate) fn system_time_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
