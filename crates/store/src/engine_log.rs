//! Looks through the engine's log for what sled would pass over in silence: at open it takes the first message of a
//! segment that it cannot read for the end of that segment, and older versions of what stood there answer.
//!
//! Segment (512 KiB): CRC32 (4, inverted), LSN (8), the LSN that was durable then (8), messages. Message: CRC32 of
//! body and rest of the header (4, inverted), kind (1), and as numbers of 1 to 9 bytes the length of the body, the
//! segment's number, the page; body.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SEGMENT_BYTES: u64 = 512 << 10;
const HEADER_BYTES: usize = 20;
/// Nothing begins in the last bytes of a segment.
const MESSAGE_HEADER_BYTES_MAX: usize = 32;
const KIND_CAP: u8 = 2;

struct Header {
    lsn: u64,
    stable: u64,
}

/// The first thing in an engine's log that was durable and cannot be read, since its last snapshot; `None` if all can.
/// A segment that was being written anew when the machine stopped looks the same: it is damage for sure only in an
/// engine that was closed in order.
pub(crate) fn first_damage(folder: &Path) -> io::Result<Option<String>> {
    let file = File::open(folder.join("db"))?;
    let from = last_snapshot(folder)? / SEGMENT_BYTES * SEGMENT_BYTES;
    let mut headers = Vec::new();
    let mut at = 0;
    let bytes = file.metadata()?.len();
    while at + HEADER_BYTES as u64 <= bytes {
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, at)?;
        match decode_header(&header) {
            Some(header) => headers.push((at, header)),
            None if header.iter().all(|byte| *byte == 0) => {}
            None => return Ok(Some(format!("the segment at byte {at} has no header"))),
        }
        at += SEGMENT_BYTES;
    }
    let stable = headers.iter().map(|(_, header)| header.stable).max().unwrap_or(0);
    let mut segment = Vec::new();
    for (at, header) in headers {
        if header.lsn >= from && header.lsn + SEGMENT_BYTES <= stable {
            segment.resize(usize::try_from(SEGMENT_BYTES.min(bytes - at)).unwrap_or(0), 0);
            file.read_exact_at(&mut segment, at)?;
            if let Some(position) = unreadable(&segment, header.lsn / SEGMENT_BYTES) {
                return Ok(Some(format!("byte {} is unreadable", at + position as u64)));
            }
        }
    }
    Ok(None)
}

/// The LSN in the name of the newest snapshot.
fn last_snapshot(folder: &Path) -> io::Result<u64> {
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let lsn = name.to_str().and_then(|name| u64::from_str_radix(name.strip_prefix("snap.")?, 16).ok());
        last = last.max(lsn.unwrap_or(0));
    }
    Ok(last)
}

fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
    let crc = u32::from_le_bytes(*bytes.first_chunk()?) ^ u32::MAX;
    let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?) ^ (u64::MAX >> 1));
    let (lsn, stable) = (number(4)?, number(12)?);
    // Before the first sync it is -1.
    let stable = if stable > u64::MAX >> 1 { 0 } else { stable };
    (crc == crc32fast::hash(&bytes[4..])).then_some(Header { lsn, stable })
}

/// Where the messages of a full segment end too early.
fn unreadable(segment: &[u8], number: u64) -> Option<usize> {
    let mut at = HEADER_BYTES;
    while at + MESSAGE_HEADER_BYTES_MAX <= segment.len().max(usize::try_from(SEGMENT_BYTES).unwrap_or(0)) {
        match message(segment, at, number) {
            Some((KIND_CAP, _)) => return None,
            Some((_, end)) => at = end,
            None => return Some(at),
        }
    }
    None
}

/// The kind of a message that is whole, and where it ends.
fn message(segment: &[u8], at: usize, number: u64) -> Option<(u8, usize)> {
    let mut rest = segment.get(at..)?;
    let crc = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?) ^ u32::MAX;
    let kind = *rest.split_off_first()?;
    let length = usize::try_from(decode_number(&mut rest)?).ok()?;
    let of = decode_number(&mut rest)?;
    decode_number(&mut rest)?;
    let body_at = segment.len() - rest.len();
    let body = rest.get(..length)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(&segment[at + 4..body_at]);
    (kind != 0 && of == number && hasher.finalize() == crc).then_some((kind, body_at + length))
}

fn decode_number(rest: &mut &[u8]) -> Option<u64> {
    Some(match *rest.split_off_first()? {
        small @ 0..=240 => u64::from(small),
        first @ 241..=248 => 240 + 256 * (u64::from(first) - 241) + u64::from(*rest.split_off_first()?),
        249 => 2288 + 256 * u64::from(*rest.split_off_first()?) + u64::from(*rest.split_off_first()?),
        first => {
            let mut bytes = [0; 8];
            let length = usize::from(first - 247);
            bytes[..length].copy_from_slice(rest.split_off(..length)?);
            u64::from_le_bytes(bytes)
        }
    })
}
