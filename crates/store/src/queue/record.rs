//! How a queue lies in the key space.
//!
//! | key | value |
//! |---|---|
//! | `h` | [`Head`]: the next numbers and the counts |
//! | `j` id | the job: [`Header`] and body |
//! | `k` first id | some jobs that were never tried and have no order key: see [`chunk`](super::chunk) |
//! | `d` first id | the bits of those of them that are done, if any |
//! | `p` lane, due, position | id: what may be leased, in the order in which it will be |
//! | `p` lane, due, position, `k` | first id: a chunk, from the place of its first job on |
//! | `o` order key, position | id: everything with an order key; only the first of each key is in `p` |
//! | `x` id | a dead letter |

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::key::Key;
use crate::space::{self, Kind};

/// What marks the entry of a chunk.
const CHUNK: u8 = b'k';

/// Numbers of one queue, changed in the batch of what they count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Head {
    /// The last id given.
    pub last_id: u64,
    /// The last position given.
    pub last_position: u64,
    /// Jobs in line, leased ones too.
    pub queued: u64,
    /// Jobs behind another one of their order key.
    pub blocked: u64,
    /// Dead letters.
    pub dead: u64,
    /// The first id of the chunk begun last; 0 for none.
    pub chunk: u64,
}

impl Head {
    /// The same MessagePack map as the codec's, written by hand: it is written with every batch.
    pub(super) fn encode(&self) -> Vec<u8> {
        let fields = [
            ("last_id", self.last_id),
            ("last_position", self.last_position),
            ("queued", self.queued),
            ("blocked", self.blocked),
            ("dead", self.dead),
            ("chunk", self.chunk),
        ];
        let mut out = Vec::with_capacity(112);
        out.push(FIXMAP | fields.len() as u8);
        for (name, number) in fields {
            out.push(FIXSTR | name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            out.push(UINT64);
            out.extend_from_slice(&number.to_be_bytes());
        }
        out
    }
}

/// Marks of MessagePack: a map of at most 15 fields, a text of at most 31 bytes, a number of 8 bytes.
const FIXMAP: u8 = 0x80;
const FIXSTR: u8 = 0xA0;
const UINT64: u8 = 0xCF;

/// A place in line. Within a lane, places sort as they are leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub lane: u8,
    pub due_ms: i64,
    pub position: u64,
}

impl Spot {
    /// The first place after this one.
    pub(super) fn next(self) -> Self {
        Self { position: self.position.saturating_add(1), ..self }
    }
}

/// What an entry in line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    /// The job of that id.
    Job(u64),
    /// The chunk whose first job has that id.
    Chunk(u64),
}

impl Pointer {
    fn id(self) -> u64 {
        match self {
            Self::Job(id) | Self::Chunk(id) => id,
        }
    }

    /// The value of the entry.
    pub(super) fn value(self) -> Vec<u8> {
        self.id().to_be_bytes().to_vec()
    }
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    Queued,
    Blocked,
    Dead,
}

/// What the queue knows of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Header {
    pub place: Place,
    pub lane: u8,
    pub due_ms: i64,
    /// Its place among jobs due at the same time; new when it is revived.
    pub position: u64,
    #[serde(default)]
    pub failures: u32,
    #[serde(default)]
    pub order_key: Option<Vec<u8>>,
    #[serde(default)]
    pub reason: Option<String>,
}

impl Header {
    /// Where the job is in line, if it is in line.
    pub(super) fn spot(&self) -> Spot {
        Spot { lane: self.lane, due_ms: self.due_ms, position: self.position }
    }
}

pub(super) fn head_key(queue: &str) -> Vec<u8> {
    space::key(Kind::Queue, queue, &b'h')
}
pub(super) fn job_key(queue: &str, id: u64) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'j', id))
}
pub(super) fn chunk_key(queue: &str, first_id: u64) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'k', first_id))
}
pub(super) fn done_key(queue: &str, first_id: u64) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'd', first_id))
}
pub(super) fn lane_prefix(queue: &str, lane: u8) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'p', lane))
}
/// The key of the first entry at a place.
pub(super) fn pending_key(queue: &str, spot: Spot) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'p', spot.lane, spot.due_ms, spot.position))
}
/// The key of an entry in line. At the same place, the first job of a chunk may lie by itself: it comes before.
pub(super) fn line_key(queue: &str, spot: Spot, pointer: Pointer) -> Vec<u8> {
    let mut key = pending_key(queue, spot);
    if matches!(pointer, Pointer::Chunk(_)) {
        key.push(CHUNK);
    }
    key
}
pub(super) fn order_key(queue: &str, key: &[u8], position: u64) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'o', key.to_vec(), position))
}
pub(super) fn dead_key(queue: &str, id: u64) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'x', id))
}

/// A job's value: the header's length (u16), the header, the body.
pub(super) fn join(queue: &'static str, header: &Header, body: &[u8]) -> Result<Vec<u8>, WriteError> {
    let header = codec::encode(queue, header)?;
    let length = u16::try_from(header.len()).map_err(|_| WriteError::TooLarge {
        what: queue,
        size: header.len(),
        limit: usize::from(u16::MAX),
    })?;
    Ok([&length.to_be_bytes(), header.as_slice(), body].concat())
}

pub(super) fn split<'a>(queue: &'static str, value: &'a [u8]) -> Result<(Header, &'a [u8]), ReadError> {
    let short = || ReadError::Decode { table: queue, reason: "the job is too short".to_owned() };
    let (length, rest) = value.split_first_chunk().ok_or_else(short)?;
    let (header, body) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(short)?;
    Ok((codec::decode(queue, header)?, body))
}

/// The id that an index entry points at.
pub(super) fn read_id(queue: &'static str, value: &[u8]) -> Result<u64, ReadError> {
    let wrong = || ReadError::Decode { table: queue, reason: "the id is not 8 bytes".to_owned() };
    Ok(u64::from_be_bytes(value.try_into().map_err(|_| wrong())?))
}

/// Reads an entry in line: what its key has after the prefix of its lane, and its value.
pub(super) fn read_line(
    queue: &'static str,
    lane: u8,
    mut key: &[u8],
    value: &[u8],
) -> Result<(Spot, Pointer), ReadError> {
    let wrong = || ReadError::Decode { table: queue, reason: "an entry in line has another form".to_owned() };
    let (due_ms, position) = <(i64, u64)>::decode(&mut key).ok_or_else(wrong)?;
    let id = read_id(queue, value)?;
    let pointer = match key {
        [] => Pointer::Job(id),
        [CHUNK] => Pointer::Chunk(id),
        _ => return Err(wrong()),
    };
    Ok((Spot { lane, due_ms, position }, pointer))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = Head { last_id: 1, last_position: u64::MAX, queued: 300, blocked: 70_000, dead: 0, chunk: 1 << 40 };
        assert_eq!(codec::decode::<Head>("queue", &head.encode()).unwrap(), head);
    }
}
