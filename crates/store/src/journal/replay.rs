//! Reading the journal at open.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::record::{self, Found, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{Apply, Segment, UNFINISHED, segment_name, write_zeros};
use crate::error::OpenError;

/// What is there after replaying.
pub(super) struct Replayed {
    pub earlier: Vec<(PathBuf, u64)>,
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
    let count = segments.len();
    for (index, (first, path)) in segments.into_iter().enumerate() {
        let damaged = |reason: String| OpenError::Damaged { path: path.clone(), reason };
        if first != replayed.last_sequence + 1 {
            let last = replayed.last_sequence;
            return Err(damaged(format!("group {first} follows group {last}")));
        }
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let bytes = fs::read(&path).map_err(failed)?;
        let header = SegmentHeader::decode(&bytes).filter(|header| header.first_sequence == first);
        let header = header.ok_or_else(|| damaged("the segment's header is wrong".to_owned()))?;
        if bytes.len() as u64 != header.bytes {
            return Err(damaged(format!("the file has {} bytes instead of {}", bytes.len(), header.bytes)));
        }
        let scanned = scan(&path, &bytes, header, synced, apply)?;
        replayed.last_sequence = scanned.last_sequence;
        if index + 1 == count {
            let current = take_up(&path, &bytes, header, scanned.end).map_err(failed)?;
            replayed.current = Some(current);
        } else {
            replayed.earlier.push((path, scanned.last_sequence));
        }
    }
    if replayed.last_sequence < synced {
        let last = replayed.last_sequence;
        let reason = format!("the journal ends at group {last}, the engine at {synced}");
        return Err(OpenError::Damaged { path: folder.to_owned(), reason });
    }
    Ok(replayed)
}

/// All segments in the order of their first sequences.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let failed = |source| OpenError::Io { path: folder.to_owned(), source };
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == UNFINISHED {
            // A crash while a segment was made: it was never part of the journal.
            fs::remove_file(&path).map_err(failed)?;
            continue;
        }
        let first = name.strip_suffix(".journal").and_then(|number| number.parse().ok());
        match first {
            Some(first) if first > 0 && name == segment_name(first) => segments.push((first, path)),
            _ => {
                let reason = "the file does not belong to the journal".to_owned();
                return Err(OpenError::Damaged { path, reason });
            }
        }
    }
    segments.sort();
    Ok(segments)
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
fn take_up(path: &Path, bytes: &[u8], header: SegmentHeader, end: usize) -> std::io::Result<Segment> {
    let file = File::options().read(true).write(true).open(path)?;
    let torn = bytes.get(end..).unwrap_or_default();
    if let Some(last) = torn.iter().rposition(|byte| *byte != 0) {
        tracing::warn!(path = %path.display(), bytes = last + 1, "cut off a group that was never acknowledged");
        write_zeros(&file, end as u64, (end + last + 1) as u64)?;
        file.sync_all()?;
    }
    Ok(Segment { path: path.to_owned(), file, salt: header.salt, bytes: header.bytes, position: end as u64 })
}
