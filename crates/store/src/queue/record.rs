//! How a queue lies in the key space.
//!
//! | key | value |
//! |---|---|
//! | `h` | [`Head`]: the next numbers and the counts |
//! | `j` id | the job: [`Header`] and body |
//! | `p` lane, due, position | id: what may be leased, in the order in which it will be |
//! | `o` order key, position | id: everything with an order key; only the first of each key is in `p` |
//! | `x` id | a dead letter |

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::{ReadError, WriteError};
use crate::space::{self, Kind};

/// Numbers of one queue, changed in the batch of what they count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    /// The last id given.
    pub last_id: u64,
    /// The last position given.
    pub last_position: u64,
    /// Jobs in `p`, leased ones too.
    pub queued: u64,
    /// Jobs behind another one of their order key.
    pub blocked: u64,
    /// Dead letters.
    pub dead: u64,
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
pub(super) struct Header {
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

pub(super) fn head_key(queue: &str) -> Vec<u8> {
    space::key(Kind::Queue, queue, &b'h')
}
pub(super) fn job_key(queue: &str, id: u64) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'j', id))
}
pub(super) fn pending_key(queue: &str, header: &Header) -> Vec<u8> {
    space::key(Kind::Queue, queue, &(b'p', header.lane, header.due_ms, header.position))
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
