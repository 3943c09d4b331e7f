//! Making a backup while writing goes on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::Writer;
use super::{Summary, unfinished};
use crate::engine::{Bytes, Change, Engine};
use crate::error::{BackupError, ReadError};
use crate::journal::{Journal, sync_folder};
use crate::overlay::Entry;
use crate::recovery::Places;
use crate::space::Kind;
use crate::state::State;
use crate::store::Shared;

/// Keeps the journal above a group, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    pinned: Arc<AtomicU64>,
    after: u64,
}

impl Pin {
    pub(crate) fn new(pinned: Arc<AtomicU64>, after: u64) -> Self {
        Self { pinned, after }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // A later backup may have pinned another group meanwhile.
        let _ = self.pinned.compare_exchange(self.after, u64::MAX, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A scan of the engine: the first half of a backup. The journal is kept for the other half until it is dropped.
#[derive(Debug)]
pub struct Scanned {
    file: PathBuf,
    pin: Pin,
}

impl Drop for Scanned {
    fn drop(&mut self) {
        // Finished or not, nobody needs it any more.
        let _ = fs::remove_file(&self.file);
    }
}

/// Everything that services have written: not what the store keeps of itself.
pub(crate) fn everything(engine: &Engine) -> impl Iterator<Item = Result<(Bytes, Bytes), ReadError>> + use<> {
    let all = (Bound::<Vec<u8>>::Unbounded, Bound::Unbounded);
    engine.range(all, false).filter(|entry| !entry.as_ref().is_ok_and(|(key, _)| is_own(key)))
}

fn is_own(key: &[u8]) -> bool {
    key.first() == Some(&(Kind::Meta as u8))
}

/// Writes what the engine has, in order, beside `file`.
pub(crate) fn scan(shared: &Shared, file: &Path, pin: Pin) -> Result<Scanned, BackupError> {
    let path = {
        let mut name = file.as_os_str().to_owned();
        name.push(".scan");
        PathBuf::from(name)
    };
    let failed = |source| BackupError::Io { path: path.clone(), source };
    let scanned = Scanned { file: path.clone(), pin };
    let mut out = BufWriter::with_capacity(1 << 18, File::create(&path).map_err(failed)?);
    for entry in everything(&shared.engine) {
        let (key, value) = entry.map_err(|error| BackupError::Store(error.to_string()))?;
        put(&mut out, &key, &value).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    Ok(scanned)
}

/// Writes the backup: the scan, with the journal from before it up to `sequence` over it.
pub(crate) fn finish(
    shared: &Shared,
    state: State,
    scanned: &Scanned,
    sequence: u64,
    file: &Path,
) -> Result<Summary, BackupError> {
    let later = changes_since(shared, scanned.pin.after, sequence)?;
    let making = unfinished(file);
    let failed = |source| BackupError::Io { path: making.clone(), source };
    let write = || {
        let mut writer = Writer::create(&making, state.lineage, state.epoch, sequence)?;
        let mut input = BufReader::with_capacity(1 << 18, File::open(&scanned.file)?);
        let mut later = later.into_iter().peekable();
        while let Some((key, value)) = take(&mut input)? {
            while let Some((key, value)) = later.next_if(|(later, _)| *later < key) {
                value.map_or(Ok(()), |value| writer.entry(&key, &value))?;
            }
            match later.next_if(|(later, _)| *later == key) {
                Some((_, None)) => {}
                Some((_, Some(value))) => writer.entry(&key, &value)?,
                None => writer.entry(&key, &value)?,
            }
        }
        for (key, value) in later {
            value.map_or(Ok(()), |value| writer.entry(&key, &value))?;
        }
        writer.finish()
    };
    let summary = write().map_err(failed)?;
    fs::rename(&making, file).map_err(failed)?;
    if let Some(folder) = file.parent() {
        sync_folder(folder).map_err(failed)?;
    }
    Ok(summary)
}

/// The last change of each key in a part of the journal.
fn changes_since(
    shared: &Shared,
    after: u64,
    sequence: u64,
) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, BackupError> {
    let mut later = BTreeMap::new();
    let mut apply = |_: u64, changes: &mut Vec<Change>| {
        later.extend(changes.drain(..).filter(|(key, _)| !is_own(key)));
        Ok(())
    };
    let journal = Places::of(&shared.folder).journal;
    Journal::read(&journal, after, sequence, &mut apply).map_err(|error| BackupError::Store(error.to_string()))?;
    Ok(later)
}

fn put(out: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    // Keys and values have limits far below these types'.
    out.write_all(&(key.len() as u32).to_le_bytes())?;
    out.write_all(&(value.len() as u32).to_le_bytes())?;
    out.write_all(key)?;
    out.write_all(value)
}

fn take(input: &mut impl Read) -> io::Result<Option<Entry>> {
    let mut sizes = [0; 8];
    match input.read_exact(&mut sizes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [a, b, c, d, rest @ ..] = sizes;
    let mut entry = (vec![0; u32::from_le_bytes([a, b, c, d]) as usize], vec![0; u32::from_le_bytes(rest) as usize]);
    input.read_exact(&mut entry.0)?;
    input.read_exact(&mut entry.1)?;
    Ok(Some(entry))
}
