//! Reading the journal at open.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::record::{self, Found, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{Apply, Kept, Salvaged, Segment, UNFINISHED, segment_name, write_zeros};
use crate::error::OpenError;

/// Segments with their first sequences, in order.
type Segments = Vec<(u64, PathBuf)>;

/// What is there after replaying.
pub(super) struct Replayed {
    pub earlier: Vec<Kept>,
    pub current: Option<Segment>,
    pub last_sequence: u64,
}

/// Reads all segments in order. Sequences must be without a gap from `synced` on.
pub(super) fn replay(folder: &Path, synced: u64, apply: &mut Apply<'_>) -> Result<Replayed, OpenError> {
    let segments = list(folder)?;
    let mut replayed = Replayed { earlier: Vec::new(), current: None, last_sequence: synced };
    let Some((first, path)) = segments.first() else { return Ok(replayed) };
    if *first > synced + 1 {
        let reason = format!("the journal starts at group {first}, the engine ends at {synced}");
        return Err(OpenError::Damaged { path: path.clone(), reason });
    }
    replayed.last_sequence = first - 1;
    for (index, (first, path)) in segments.iter().enumerate() {
        let (first, path) = (*first, path.clone());
        let next = segments.get(index + 1).map(|(first, _)| *first);
        let damaged = |reason: String| OpenError::Damaged { path: path.clone(), reason };
        if first != replayed.last_sequence + 1 {
            let last = replayed.last_sequence;
            return Err(damaged(format!("group {first} follows group {last}")));
        }
        let failed = |source| OpenError::Io { path: path.clone(), source };
        if let Some(next) = next.filter(|next| *next <= synced + 1 && *next > first) {
            // The engine has all of it. It is kept for repairs only, which look at it closely.
            let bytes = fs::metadata(&path).map_err(failed)?.len();
            replayed.last_sequence = next - 1;
            replayed.earlier.push(Kept { path, last_sequence: next - 1, bytes });
            continue;
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let header = SegmentHeader::decode(&bytes).filter(|header| header.first_sequence == first);
        let header = header.ok_or_else(|| damaged("the segment's header is wrong".to_owned()))?;
        if bytes.len() as u64 != header.bytes {
            return Err(damaged(format!("the file has {} bytes instead of {}", bytes.len(), header.bytes)));
        }
        if next.is_none() {
            // A group may have been written, and the process killed before its sync: the engine is about to have it, so
            // it must not vanish from here.
            File::open(&path).and_then(|file| file.sync_all()).map_err(failed)?;
        }
        let scanned = scan(&path, &bytes, header, synced, apply)?;
        replayed.last_sequence = scanned.last_sequence;
        match next {
            Some(_) => {
                let (last_sequence, bytes) = (scanned.last_sequence, header.bytes);
                replayed.earlier.push(Kept { path, last_sequence, bytes });
            }
            None => replayed.current = Some(take_up(&path, &bytes, header, &scanned).map_err(failed)?),
        }
    }
    if replayed.last_sequence < synced {
        let last = replayed.last_sequence;
        let reason = format!("the journal ends at group {last}, the engine at {synced}");
        return Err(OpenError::Damaged { path: folder.to_owned(), reason });
    }
    Ok(replayed)
}

/// Gives the groups above `after`, up to and with `up_to`, to `apply`. The writer may append meanwhile.
pub(super) fn read(folder: &Path, after: u64, up_to: u64, apply: &mut Apply<'_>) -> Result<(), OpenError> {
    let segments = list(folder)?;
    let mut next_sequence = after + 1;
    for (index, (first, path)) in segments.iter().enumerate() {
        let ends_before = segments.get(index + 1).is_some_and(|(next, _)| *next <= next_sequence);
        if ends_before || *first > up_to {
            continue;
        }
        let damaged = |reason: String| OpenError::Damaged { path: path.clone(), reason };
        let bytes = fs::read(path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let header = SegmentHeader::decode(&bytes).filter(|header| header.first_sequence == *first);
        let header = header.ok_or_else(|| damaged("the segment's header is wrong".to_owned()))?;
        let mut position = SEGMENT_HEADER_BYTES;
        while let Found::Record { sequence, payload, end } = record::record_at(&bytes, header.salt, position) {
            position = end;
            if sequence < next_sequence || sequence > up_to {
                continue;
            }
            if sequence != next_sequence {
                return Err(damaged(format!("group {sequence} comes instead of group {next_sequence}")));
            }
            let changes = record::decode_payload(payload);
            apply(sequence, &mut changes.ok_or_else(|| damaged(format!("group {sequence} has no changes")))?)?;
            next_sequence += 1;
        }
    }
    if next_sequence <= up_to {
        let reason = format!("group {next_sequence} is missing");
        return Err(OpenError::Damaged { path: folder.to_owned(), reason });
    }
    Ok(())
}

/// Whatever can be read above `after`. It is complete when no segment is missing, cut or headless, and no group is
/// missing below the last one that is known of.
pub(super) fn salvage(folder: &Path, after: u64, newest: u64) -> Result<Salvaged, OpenError> {
    let (mut groups, mut is_complete, mut last_known) = (Vec::new(), true, after);
    let segments = list_all(folder)?.0;
    for (index, (first, path)) in segments.iter().enumerate() {
        last_known = last_known.max(first - 1);
        if segments.get(index + 1).is_some_and(|(next, _)| *next <= after + 1) {
            continue;
        }
        let bytes = fs::read(path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let header = SegmentHeader::decode(&bytes).filter(|header| header.first_sequence == *first);
        let Some(header) = header.filter(|header| header.bytes == bytes.len() as u64) else {
            is_complete = false;
            continue;
        };
        record::each(&bytes, header.salt, SEGMENT_HEADER_BYTES, |sequence, payload| {
            last_known = last_known.max(sequence);
            if sequence == after + 1 + groups.len() as u64
                && let Some(changes) = payload.and_then(record::decode_payload)
            {
                groups.push((sequence, changes));
            }
        });
    }
    let last = after + groups.len() as u64;
    let has_newest = segments.last().is_some_and(|(first, _)| *first >= newest);
    Ok(Salvaged { is_complete: is_complete && has_newest && last >= last_known, groups })
}

/// All segments in the order of their first sequences.
pub(super) fn list(folder: &Path) -> Result<Segments, OpenError> {
    let (segments, stranger) = list_all(folder)?;
    match stranger {
        Some(path) => {
            let reason = "the file does not belong to the journal".to_owned();
            Err(OpenError::Damaged { path, reason })
        }
        None => Ok(segments),
    }
}

/// All segments, and a file that is none if there is one.
fn list_all(folder: &Path) -> Result<(Segments, Option<PathBuf>), OpenError> {
    let failed = |source| OpenError::Io { path: folder.to_owned(), source };
    let mut stranger = None;
    let mut segments = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((segments, stranger)),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == UNFINISHED {
            continue;
        }
        let first = name.strip_suffix(".journal").and_then(|number| number.parse().ok());
        match first {
            Some(first) if first > 0 && name == segment_name(first) => segments.push((first, path)),
            _ => stranger = Some(path),
        }
    }
    segments.sort();
    Ok((segments, stranger))
}

struct Scanned {
    last_sequence: u64,
    end: usize,
}

/// Applies the whole records of one segment.
fn scan(
    path: &Path,
    bytes: &[u8],
    header: SegmentHeader,
    synced: u64,
    apply: &mut Apply<'_>,
) -> Result<Scanned, OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    let mut scanned = Scanned { last_sequence: header.first_sequence - 1, end: SEGMENT_HEADER_BYTES };
    while let Found::Record { sequence, payload, end } = record::record_at(bytes, header.salt, scanned.end) {
        if sequence != scanned.last_sequence + 1 {
            let last = scanned.last_sequence;
            return Err(damaged(format!("group {sequence} follows group {last}")));
        }
        if sequence > synced {
            let changes = record::decode_payload(payload);
            let mut changes = changes.ok_or_else(|| damaged(format!("group {sequence} has no changes")))?;
            apply(sequence, &mut changes)?;
        }
        scanned = Scanned { last_sequence: sequence, end };
    }
    let last = scanned.last_sequence;
    match record::later_record(bytes, header.salt, scanned.end, last) {
        Some(later) => Err(damaged(format!(
            "group {} is unreadable at byte {}, though group {later} was written after it",
            last + 1,
            scanned.end
        ))),
        None => Ok(scanned),
    }
}

/// Goes on in the last segment. What a crash left behind its last whole record is cut off.
fn take_up(path: &Path, bytes: &[u8], header: SegmentHeader, scanned: &Scanned) -> std::io::Result<Segment> {
    let file = File::options().read(true).write(true).open(path)?;
    let end = scanned.end;
    let is_marked = record::mark_at(bytes, header.salt, end) == Some(scanned.last_sequence);
    let rest = if is_marked { end + RECORD_HEADER_BYTES } else { end };
    let torn = bytes.get(rest..).unwrap_or_default();
    if let Some(last) = torn.iter().rposition(|byte| *byte != 0) {
        tracing::warn!(path = %path.display(), bytes = last + 1, "cut off a group that was never acknowledged");
        write_zeros(&file, rest as u64, (rest + last + 1) as u64)?;
        file.sync_all()?;
    }
    let first_sequence = header.first_sequence;
    Ok(Segment {
        first_sequence,
        path: path.to_owned(),
        file,
        salt: header.salt,
        bytes: header.bytes,
        position: end as u64,
    })
}
