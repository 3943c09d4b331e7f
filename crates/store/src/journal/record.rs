//! The bytes of a journal segment. All numbers are little-endian.
//!
//! Segment header (40 bytes): magic (8), first sequence (8), salt (8), size of the file (8), CRC32C of these (4), 0 (4).
//! Record, at a multiple of 8: magic (4), length of the payload (4), sequence (8), CRC32C (4), 0 (4), payload.
//! Mark, in place of a record behind the last one: magic (4), 0 (4), sequence (8), CRC32C (4), 0 (4). It says that this
//! group was acknowledged; the next group is written over it. So a last record that is unreadable later on is not
//! taken for one that a crash tore.
//! Payload: for each change the key's length (2), the value's length or `REMOVED` (4), key, value.
//!
//! The CRC of a record covers the segment's random salt, sequence, length and payload. So neither an old segment's
//! bytes nor a record that a client wrote into a text can ever pass for a record of this segment.

use crate::engine::Change;

pub(super) const SEGMENT_HEADER_BYTES: usize = 40;
pub(super) const RECORD_HEADER_BYTES: usize = 24;
const SEGMENT_MAGIC: &[u8; 8] = b"DjSJrn01";
const RECORD_MAGIC: &[u8; 4] = b"DjSr";
const MARK_MAGIC: &[u8; 4] = b"DjSm";
const REMOVED: u32 = u32::MAX;
const ALIGN: usize = 8;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub first_sequence: u64,
    pub salt: u64,
    /// The size of the file: a shorter one was truncated.
    pub bytes: u64,
}

impl SegmentHeader {
    pub(super) fn encode(self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(SEGMENT_MAGIC);
        out[8..16].copy_from_slice(&self.first_sequence.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.bytes.to_le_bytes());
        let crc = crc32c::crc32c(&out[..32]);
        out[32..36].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SEGMENT_HEADER_BYTES] = bytes.first_chunk()?;
        let header = Self { first_sequence: u64_at(bytes, 8)?, salt: u64_at(bytes, 16)?, bytes: u64_at(bytes, 24)? };
        (header.encode() == *bytes).then_some(header)
    }
}

/// What lies at a position of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record that is whole; the next one would be at `end`.
    Record { sequence: u64, payload: &'a [u8], end: usize },
    /// Nothing that is whole.
    Nothing,
}

/// Looks for a record at a position.
pub(super) fn record_at(segment: &[u8], salt: u64, position: usize) -> Found<'_> {
    read_record(segment, salt, position).unwrap_or(Found::Nothing)
}

fn read_record(segment: &[u8], salt: u64, position: usize) -> Option<Found<'_>> {
    let rest = segment.get(position..)?;
    if rest.first_chunk()? != RECORD_MAGIC {
        return None;
    }
    let length = u32_at(rest, 4)? as usize;
    let sequence = u64_at(rest, 8)?;
    let crc = u32_at(rest, 16)?;
    let payload = rest.get(RECORD_HEADER_BYTES..)?.get(..length)?;
    let end = aligned(RECORD_HEADER_BYTES + length);
    let padding = rest.get(RECORD_HEADER_BYTES + length..end)?;
    let padding_is_zero = u32_at(rest, 20)? == 0 && padding.iter().all(|byte| *byte == 0);
    let whole = padding_is_zero && crc == record_crc(salt, sequence, payload);
    whole.then_some(Found::Record { sequence, payload, end: position + end })
}

/// Calls `found` for everything that is whole from a position on: records with their payloads, and marks.
pub(super) fn each<'a>(segment: &'a [u8], salt: u64, position: usize, mut found: impl FnMut(u64, Option<&'a [u8]>)) {
    let mut position = aligned(position);
    while let Some(start) = segment.get(position..).and_then(|rest| rest.first_chunk()) {
        let mut next = position + ALIGN;
        match start {
            RECORD_MAGIC => {
                if let Found::Record { sequence, payload, end } = record_at(segment, salt, position) {
                    found(sequence, Some(payload));
                    next = end;
                }
            }
            MARK_MAGIC => {
                if let Some(sequence) = mark_at(segment, salt, position) {
                    found(sequence, None);
                }
            }
            _ => {}
        }
        position = next;
    }
}

/// The sequence of a whole record, or of a mark, behind a position, above `last`.
pub(super) fn later_record(segment: &[u8], salt: u64, position: usize, last: u64) -> Option<u64> {
    let mut later = None;
    each(segment, salt, position, |sequence, _| {
        if sequence > last {
            later.get_or_insert(sequence);
        }
    });
    later
}

/// The bytes that say that a group was acknowledged.
pub(super) fn encode_mark(salt: u64, sequence: u64) -> [u8; RECORD_HEADER_BYTES] {
    let mut out = [0; RECORD_HEADER_BYTES];
    out[..4].copy_from_slice(MARK_MAGIC);
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    out[16..20].copy_from_slice(&record_crc(salt, sequence, MARK_MAGIC).to_le_bytes());
    out
}

/// The group that a mark at a position speaks of.
pub(super) fn mark_at(segment: &[u8], salt: u64, position: usize) -> Option<u64> {
    let bytes: &[u8; RECORD_HEADER_BYTES] = segment.get(position..)?.first_chunk()?;
    let sequence = u64_at(bytes, 8)?;
    (encode_mark(salt, sequence) == *bytes).then_some(sequence)
}

fn record_crc(salt: u64, sequence: u64, payload: &[u8]) -> u32 {
    let mut head = [0; 24];
    head[..8].copy_from_slice(&salt.to_le_bytes());
    head[8..16].copy_from_slice(&sequence.to_le_bytes());
    head[16..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// How many bytes the record of these changes takes.
pub(super) fn record_bytes(changes: &[Change]) -> usize {
    let change = |(key, value): &Change| 6 + key.len() + value.as_ref().map_or(0, Vec::len);
    aligned(RECORD_HEADER_BYTES + changes.iter().map(change).sum::<usize>())
}

/// Writes the record of these changes into an empty buffer.
pub(super) fn encode_record(salt: u64, sequence: u64, changes: &[Change], out: &mut Vec<u8>) {
    out.clear();
    out.resize(RECORD_HEADER_BYTES, 0);
    for (key, value) in changes {
        // Keys and values have limits far below these types'.
        out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        let length = value.as_ref().map_or(REMOVED, |value| value.len() as u32);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let length = (out.len() - RECORD_HEADER_BYTES) as u32;
    let crc = record_crc(salt, sequence, &out[RECORD_HEADER_BYTES..]);
    out[..4].copy_from_slice(RECORD_MAGIC);
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    out[16..20].copy_from_slice(&crc.to_le_bytes());
    out.resize(aligned(out.len()), 0);
}

/// The changes of a payload; `None` if it is none (its CRC was right, so another program wrote it).
pub(super) fn decode_payload(mut payload: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while !payload.is_empty() {
        let (head, rest) = payload.split_first_chunk::<6>()?;
        let key_bytes = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let value_bytes = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let (key, rest) = rest.split_at_checked(key_bytes)?;
        let removed = value_bytes == REMOVED;
        let (value, rest) = rest.split_at_checked(if removed { 0 } else { value_bytes as usize })?;
        changes.push((key.to_vec(), (!removed).then(|| value.to_vec())));
        payload = rest;
    }
    Some(changes)
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn changes() -> Vec<Change> {
        vec![(b"a".to_vec(), Some(b"one".to_vec())), (b"b".to_vec(), None), (vec![], Some(vec![]))]
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut record = Vec::new();
        encode_record(5, 9, &changes(), &mut record);
        assert_eq!(record.len(), record_bytes(&changes()));
        let Found::Record { sequence, payload, end } = record_at(&record, 5, 0) else { panic!("no record") };
        assert_eq!((sequence, end), (9, record.len()));
        assert_eq!(decode_payload(payload).unwrap(), changes());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut record = Vec::new();
        encode_record(5, 9, &changes(), &mut record);
        for bit in 0..record.len() * 8 {
            record[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(record_at(&record, 5, 0), Found::Nothing, "bit {bit}");
            record[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(record_at(&record, 6, 0), Found::Nothing, "another segment's record");
    }

    #[test]
    fn a_mark_tells_that_the_record_before_it_was_whole() {
        let mut segment = Vec::new();
        encode_record(5, 9, &changes(), &mut segment);
        let end = segment.len();
        segment.extend(encode_mark(5, 9));
        assert_eq!(mark_at(&segment, 5, end), Some(9));
        assert_eq!((mark_at(&segment, 6, end), mark_at(&segment, 5, 0)), (None, None));
        assert_eq!(later_record(&segment, 5, end, 9), None);
        segment[30] ^= 1;
        assert_eq!((record_at(&segment, 5, 0), later_record(&segment, 5, 0, 8)), (Found::Nothing, Some(9)));
    }

    #[test]
    fn every_flipped_bit_of_a_segment_header_is_noticed() {
        let header = SegmentHeader { first_sequence: 3, salt: 77, bytes: 4096 };
        let mut bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
