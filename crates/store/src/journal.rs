//! The journal: what is in it, synced, is acknowledged.
//!
//! Segments are preallocated files, so that a write neither meets a full disk nor changes the file's size.
//! One group is one record, one `write` and one `fdatasync`. Since no group is written before the one before it is
//! synced, only the last record can be torn by a crash; anything else that is wrong is damage.

mod record;
mod replay;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use self::record::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::engine::Change;
use crate::error::OpenError;

/// Why a group could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// There is no room. The journal is as before.
    Full,
    /// There is no room, not even to cut off what was written: nobody may go on from here.
    Stuck(io::Error),
    /// Nobody knows what is on the disk.
    Io(io::Error),
}

/// What is done with each group at open: its sequence and its changes.
pub(crate) type Apply<'a> = dyn FnMut(u64, &mut Vec<Change>) -> Result<(), OpenError> + 'a;

/// The segments of one store, and where the next group goes.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    segment_bytes: u64,
    /// Earlier segments, oldest first.
    earlier: Vec<Kept>,
    current: Segment,
    last_sequence: u64,
    /// The last group that is known to the file as acknowledged.
    marked: u64,
    buffer: Vec<u8>,
}

/// An earlier segment.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    last_sequence: u64,
    bytes: u64,
}

/// What could be read of a damaged journal.
#[derive(Debug)]
pub(crate) struct Salvaged {
    /// Groups without a gap, in order.
    pub groups: Vec<(u64, Vec<Change>)>,
    /// Whether they are all that there can have been.
    pub is_complete: bool,
}

/// What of the journal is kept although the engine has it: for repairs and backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Backups have everything up to this group.
    pub covered: u64,
    /// More than this, in bytes, is not kept for repairs.
    pub bytes: u64,
    /// A backup that is being made needs everything above this group.
    pub pinned: Option<u64>,
}

#[derive(Debug)]
struct Segment {
    first_sequence: u64,
    path: PathBuf,
    file: File,
    salt: u64,
    bytes: u64,
    position: u64,
}

impl Journal {
    /// Opens the journal and hands every group past `synced` to `apply`, in order. A torn tail is cut off.
    pub(crate) fn open(
        folder: &Path,
        segment_bytes: u64,
        synced: u64,
        apply: &mut Apply<'_>,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        // Who gave its name to a segment may have been killed before the name was durable: nothing is acknowledged in
        // what a power cut could take away with its name. The same holds for the folder itself.
        sync_folder(folder).and_then(|()| folder.parent().map_or(Ok(()), sync_folder)).map_err(failed)?;
        // A crash while a segment was made: it was never part of the journal.
        match fs::remove_file(folder.join(UNFINISHED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let replayed = replay::replay(folder, synced, apply)?;
        let last_sequence = replayed.last_sequence;
        let current = match replayed.current {
            Some(current) => current,
            None => Segment::create(folder, last_sequence + 1, segment_bytes).map_err(failed)?,
        };
        let (folder, earlier, buffer) = (folder.to_owned(), replayed.earlier, Vec::new());
        Ok(Self { folder, segment_bytes, earlier, current, last_sequence, marked: 0, buffer })
    }

    /// Begins a journal whose first group follows `last_sequence`, in a folder without one.
    pub(crate) fn begin(folder: &Path, last_sequence: u64, segment_bytes: u64) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        Segment::create(folder, last_sequence + 1, segment_bytes).map(drop)
    }

    /// The first group that the journal in a folder has, or will have. Nothing if there is no journal.
    pub(crate) fn first_sequence(folder: &Path) -> Result<Option<u64>, OpenError> {
        if Self::is_missing(folder) {
            return Ok(None);
        }
        Ok(replay::list(folder)?.first().map(|(first, _)| *first))
    }

    /// Gives the groups above `after`, up to and with `up_to`, to `apply`, while the writer may go on.
    pub(crate) fn read(folder: &Path, after: u64, up_to: u64, apply: &mut Apply<'_>) -> Result<(), OpenError> {
        replay::read(folder, after, up_to, apply)
    }

    /// Whether there is not a single file of a journal.
    pub(crate) fn is_missing(folder: &Path) -> bool {
        match fs::read_dir(folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// The first group of the newest segment.
    pub(crate) fn segment(&self) -> u64 {
        self.current.first_sequence
    }

    /// The sequence of the last group.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Reads what can be read above `after` of a journal that is damaged, and that had a segment which began with `newest`.
    pub(crate) fn salvage(folder: &Path, after: u64, newest: u64) -> Result<Salvaged, OpenError> {
        replay::salvage(folder, after, newest)
    }

    /// What all segments take, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.current.bytes + self.earlier.iter().map(|segment| segment.bytes).sum::<u64>()
    }

    /// Notes in the file that the last group was acknowledged, where there is room for that. It is not synced, and takes
    /// no place: the next group lies there.
    pub(crate) fn mark(&mut self) -> io::Result<()> {
        let Segment { position, bytes, salt, .. } = self.current;
        if self.marked == self.last_sequence || position + RECORD_HEADER_BYTES as u64 > bytes {
            return Ok(());
        }
        self.current.file.write_all_at(&record::encode_mark(salt, self.last_sequence), position)?;
        self.marked = self.last_sequence;
        Ok(())
    }

    /// Whether the current segment has room for one more group.
    pub(crate) fn has_room_for(&self, changes: &[Change]) -> bool {
        self.current.position + record::record_bytes(changes) as u64 <= self.current.bytes
    }

    /// Appends a group and returns its sequence when it is synced.
    pub(crate) fn append(&mut self, changes: &[Change]) -> Result<u64, AppendError> {
        let sequence = self.last_sequence + 1;
        record::encode_record(self.current.salt, sequence, changes, &mut self.buffer);
        match self.current.write(&self.buffer) {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                // What was written of it could be whole: it was not acknowledged, so it must not be found.
                return Err(match self.current.cut() {
                    Ok(()) => AppendError::Full,
                    Err(error) if is_full(&error) => AppendError::Stuck(error),
                    Err(error) => AppendError::Io(error),
                });
            }
            Err(error) => return Err(AppendError::Io(error)),
        }
        self.current.position += self.buffer.len() as u64;
        self.last_sequence = sequence;
        Ok(sequence)
    }

    /// Starts a new segment, large enough for this group.
    pub(crate) fn roll(&mut self, changes: &[Change]) -> Result<(), AppendError> {
        let needed = (SEGMENT_HEADER_BYTES + record::record_bytes(changes)) as u64;
        let bytes = self.segment_bytes.max(needed);
        match Segment::create(&self.folder, self.last_sequence + 1, bytes) {
            Ok(segment) => {
                let before = std::mem::replace(&mut self.current, segment);
                // One without a record had the same name: the new one took its place.
                if before.path != self.current.path {
                    let (path, last_sequence, bytes) = (before.path, self.last_sequence, before.bytes);
                    self.earlier.push(Kept { path, last_sequence, bytes });
                }
                Ok(())
            }
            Err(error) if is_full(&error) => Err(AppendError::Full),
            Err(error) => Err(AppendError::Io(error)),
        }
    }

    /// Removes the oldest segments: those that the engine has synced and nobody needs any more.
    pub(crate) fn remove_before(&mut self, synced: u64, keep: Keep) -> io::Result<()> {
        let mut kept_bytes: u64 = self.earlier.iter().map(|segment| segment.bytes).sum();
        let mut removed = 0;
        for segment in &self.earlier {
            let Kept { last_sequence, bytes, .. } = *segment;
            let is_needed = last_sequence > synced || keep.pinned.is_some_and(|pinned| last_sequence > pinned);
            if is_needed || (last_sequence > keep.covered && kept_bytes <= keep.bytes) {
                break;
            }
            fs::remove_file(&segment.path)?;
            kept_bytes -= bytes;
            removed += 1;
        }
        self.earlier.drain(..removed);
        if removed == 0 { Ok(()) } else { sync_folder(&self.folder) }
    }
}

impl Segment {
    /// Makes a segment whose room is really there. It gets its name when it is whole.
    fn create(folder: &Path, first_sequence: u64, bytes: u64) -> io::Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        let path = folder.join(segment_name(first_sequence));
        let (file, salt) = Self::prepare(&unfinished, first_sequence, bytes).inspect_err(|_| {
            // It takes room, where there may be none.
            let _ = fs::remove_file(&unfinished);
        })?;
        fs::rename(&unfinished, &path)?;
        sync_folder(folder)?;
        Ok(Self { first_sequence, path, file, salt, bytes, position: SEGMENT_HEADER_BYTES as u64 })
    }

    fn prepare(path: &Path, first_sequence: u64, bytes: u64) -> io::Result<(File, u64)> {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(path)?;
        allocate(&file, bytes)?;
        let salt = rand::random();
        file.write_all_at(&SegmentHeader { first_sequence, salt, bytes }.encode(), 0)?;
        file.sync_all()?;
        Ok((file, salt))
    }

    fn write(&self, record: &[u8]) -> io::Result<()> {
        self.file.write_all_at(record, self.position)?;
        self.file.sync_data()
    }

    /// Makes sure that there is no whole record at the end.
    fn cut(&self) -> io::Result<()> {
        let left = usize::try_from(self.bytes - self.position).unwrap_or(usize::MAX);
        self.write(&[0; RECORD_HEADER_BYTES][..left.min(RECORD_HEADER_BYTES)])
    }
}

/// The name of a segment that is being made.
const UNFINISHED: &str = "unfinished";

fn segment_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.journal")
}

/// Reserves room in a file; on a file system that cannot, zeros are written.
pub(crate) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, 0, bytes),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut at = from;
    while at < to {
        let part = usize::try_from(to - at).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Whether there was no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
