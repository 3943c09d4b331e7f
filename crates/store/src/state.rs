//! What a store knows of itself outside the engine: in `state`, two slots of which the newer whole one holds.
//!
//! Slot (at 0 and at 4096): magic (8), serial (8), format (4), flags (4), lineage (8), epoch (8), synced (8), segment (8),
//! zeros, CRC32C of all before (4): 512 bytes whatever a later format adds, so that a version that does not know it can
//! still read its number. Numbers are little-endian. Writing one slot leaves the other as it was: a torn write loses nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::OpenError;
use crate::journal::sync_folder;

/// The format that this version writes. Format 1 had no `state`.
pub(crate) const FORMAT: u32 = 2;

const NAME: &str = "state";
const MAGIC: &[u8; 8] = b"DjSState";
const SLOT_BYTES: usize = 512;
const CRC_AT: usize = SLOT_BYTES - 4;
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const FILE_BYTES: u64 = 8192;
const FLAG_DAMAGED: u32 = 1;
const FLAG_CLEAN: u32 = 2;

/// The content of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The form of everything in the folder.
    pub format: u32,
    /// Random, new with each restore: backups of another lineage hold another history.
    pub lineage: u64,
    /// The epoch of the logs.
    pub epoch: u64,
    /// Up to which group the engine was synced: one that has seen less has lost something.
    pub synced: u64,
    /// The first group of a segment that was there: one that ends before it has lost its last segment.
    pub segment: u64,
    /// Whether the engine was caught giving what cannot be.
    pub damaged: bool,
    /// Whether the store was closed in order: there is nothing that only the journal has.
    pub clean: bool,
}

impl State {
    /// Of a new history, or of one whose logs have an epoch already.
    pub(crate) fn new(epoch: u64, synced: u64) -> Self {
        Self { format: FORMAT, lineage: rand::random(), epoch, synced, segment: 0, damaged: false, clean: false }
    }
}

/// The file, and which slot is the older one.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: File,
    serial: u64,
    state: State,
}

/// What was found in a folder.
pub(crate) enum Found {
    /// It is there.
    Whole(StateFile),
    /// There is none: a new folder, or one of format 1.
    Missing,
    /// Neither slot can be read.
    Unreadable,
}

impl StateFile {
    /// Reads the state of a folder. A newer format is refused.
    pub(crate) fn find(folder: &Path) -> Result<Found, OpenError> {
        let path = folder.join(NAME);
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(failed(error)),
        };
        let mut slots = Vec::new();
        for offset in SLOT_OFFSETS {
            let mut bytes = [0; SLOT_BYTES];
            match file.read_exact_at(&mut bytes, offset) {
                Ok(()) => slots.extend(decode(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let Some((serial, state)) = slots.into_iter().max_by_key(|(serial, _)| *serial) else {
            return Ok(Found::Unreadable);
        };
        if state.format > FORMAT {
            return Err(OpenError::Newer { folder: folder.to_owned(), found: state.format, known: FORMAT });
        }
        Ok(Found::Whole(Self { file, serial, state }))
    }

    /// Makes the file of a folder that has none, or an unreadable one.
    pub(crate) fn create(folder: &Path, state: State) -> Result<Self, OpenError> {
        let path = folder.join(NAME);
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let create = || {
            let file = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
            file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
            let made = Self { file, serial: 0, state };
            made.file.write_all_at(&encode(0, state), SLOT_OFFSETS[0])?;
            made.file.sync_all()?;
            sync_folder(folder)?;
            Ok(made)
        };
        create().map_err(failed)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Writes another state, durably.
    pub(crate) fn set(&mut self, state: State) -> io::Result<()> {
        let serial = self.serial + 1;
        let offset = SLOT_OFFSETS[usize::from(serial % 2 == 1)];
        self.file.write_all_at(&encode(serial, state), offset)?;
        self.file.sync_data()?;
        (self.serial, self.state) = (serial, state);
        Ok(())
    }
}

fn encode(serial: u64, state: State) -> [u8; SLOT_BYTES] {
    let mut out = [0; SLOT_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&serial.to_le_bytes());
    out[16..20].copy_from_slice(&state.format.to_le_bytes());
    let flags = u32::from(state.damaged) * FLAG_DAMAGED + u32::from(state.clean) * FLAG_CLEAN;
    out[20..24].copy_from_slice(&flags.to_le_bytes());
    out[24..32].copy_from_slice(&state.lineage.to_le_bytes());
    out[32..40].copy_from_slice(&state.epoch.to_le_bytes());
    out[40..48].copy_from_slice(&state.synced.to_le_bytes());
    out[48..56].copy_from_slice(&state.segment.to_le_bytes());
    let crc = crc32c::crc32c(&out[..CRC_AT]);
    out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<(u64, State)> {
    let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let u64_at = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    if !bytes.starts_with(MAGIC) || u32_at(CRC_AT)? != crc32c::crc32c(&bytes[..CRC_AT]) {
        return None;
    }
    let state = State {
        format: u32_at(16)?,
        damaged: u32_at(20)? & FLAG_DAMAGED != 0,
        clean: u32_at(20)? & FLAG_CLEAN != 0,
        lineage: u64_at(24)?,
        epoch: u64_at(32)?,
        synced: u64_at(40)?,
        segment: u64_at(48)?,
    };
    Some((u64_at(8)?, state))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STATE: State =
        State { format: FORMAT, lineage: 1, epoch: 2, synced: 3, segment: 4, damaged: false, clean: true };

    fn found(folder: &Path) -> Option<State> {
        match StateFile::find(folder).unwrap() {
            Found::Whole(file) => Some(file.state()),
            Found::Missing | Found::Unreadable => None,
        }
    }

    #[test]
    fn the_newest_whole_slot_holds() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(StateFile::find(folder.path()).unwrap(), Found::Missing));
        let mut file = StateFile::create(folder.path(), STATE).unwrap();
        for synced in 4..9 {
            file.set(State { synced, ..STATE }).unwrap();
            assert_eq!(found(folder.path()).unwrap().synced, synced);
        }
        // Any bit of the newest slot: the one before it holds.
        let whole = std::fs::read(folder.path().join(NAME)).unwrap();
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = whole.clone();
            bytes[SLOT_OFFSETS[1] as usize + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(folder.path().join(NAME), &bytes).unwrap();
            assert!((7..=8).contains(&found(folder.path()).unwrap().synced), "bit {bit}");
        }
        std::fs::write(folder.path().join(NAME), b"short").unwrap();
        assert!(matches!(StateFile::find(folder.path()).unwrap(), Found::Unreadable));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        StateFile::create(folder.path(), State { format: FORMAT + 1, ..STATE }).unwrap();
        let refused = StateFile::find(folder.path()).err().unwrap();
        assert!(matches!(refused, OpenError::Newer { found, known, .. } if (found, known) == (FORMAT + 1, FORMAT)));
    }
}
