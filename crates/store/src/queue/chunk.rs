//! Fresh jobs that follow each other, several in one value: one entry of the engine for some thirty jobs.
//!
//! Form (1 byte, `FORM`), lane (1), due (8), position of the first (8), count (1); then for each job its length (2)
//! and its body. Numbers are big-endian. Ids and positions go up by one from job to job. A job that fails
//! leaves its chunk and lies by itself from then on, so a chunk holds only what was never tried, or is done.

use super::record::{Header, Place, Spot};
use crate::error::ReadError;
use crate::limits::VALUE_BYTES_MAX;

const FORM: u8 = 1;
const HEADER_BYTES: usize = 19;
const COUNT_AT: usize = HEADER_BYTES - 1;
/// What is done is noted in the bits of a `u64`.
const JOBS_MAX: u8 = 64;
/// A longer job lies by itself.
pub(super) const BODY_BYTES_MAX: usize = 1024;

/// A chunk as it lies in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    /// The place of its first job.
    pub spot: Spot,
    /// How many jobs it has, done ones too.
    pub count: u8,
    bodies: &'a [u8],
}

/// The value of a chunk with one job.
pub(super) fn begin(spot: Spot, body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(VALUE_BYTES_MAX.min(32 * (body.len() + 2)));
    value.extend_from_slice(&[FORM, spot.lane]);
    value.extend_from_slice(&spot.due_ms.to_be_bytes());
    value.extend_from_slice(&spot.position.to_be_bytes());
    value.push(1);
    push_body(&mut value, body);
    value
}

/// Adds a job, if it is the next one of this chunk and there is room.
pub(super) fn append(value: &mut Vec<u8>, index: u64, spot: Spot, body: &[u8]) -> bool {
    let Some(chunk) = Chunk::read(value) else { return false };
    let next = Spot { position: chunk.spot.position + u64::from(chunk.count), ..chunk.spot };
    let fits = chunk.count < JOBS_MAX && value.len() + 2 + body.len() <= VALUE_BYTES_MAX;
    let follows = index == u64::from(chunk.count) && spot == next;
    if fits && follows {
        value[COUNT_AT] += 1;
        push_body(value, body);
    }
    fits && follows
}

fn push_body(value: &mut Vec<u8>, body: &[u8]) {
    // Bodies are at most `BODY_BYTES_MAX`.
    value.extend_from_slice(&(body.len() as u16).to_be_bytes());
    value.extend_from_slice(body);
}

impl<'a> Chunk<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let (header, bodies) = value.split_first_chunk::<HEADER_BYTES>()?;
        let due_ms = i64::from_be_bytes(*header[2..].first_chunk()?);
        let position = u64::from_be_bytes(*header[10..].first_chunk()?);
        let spot = Spot { lane: header[1], due_ms, position };
        (header[0] == FORM).then_some(Self { spot, count: header[COUNT_AT], bodies })
    }

    /// Reads a stored value.
    pub(super) fn decode(queue: &'static str, value: &'a [u8]) -> Result<Self, ReadError> {
        let wrong = || ReadError::Decode { table: queue, reason: "the jobs have another form".to_owned() };
        Self::read(value).filter(|chunk| chunk.bodies().count() == usize::from(chunk.count)).ok_or_else(wrong)
    }

    /// One job, as it would lie by itself.
    pub(super) fn job(self, index: u64) -> Option<(Header, &'a [u8])> {
        let body = self.bodies().nth(usize::try_from(index).ok()?)?;
        let Spot { lane, due_ms, position } = self.spot;
        let position = position + index;
        let (place, failures, order_key, reason) = (Place::Queued, 0, None, None);
        Some((Header { place, lane, due_ms, position, failures, order_key, reason }, body))
    }

    /// The jobs' bodies in order.
    pub(super) fn bodies(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.bodies;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let (body, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some(body)
        })
    }
}

/// The bit of a job.
pub(super) fn bit(index: u64) -> u64 {
    1_u64.checked_shl(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0)
}

/// The bits of a chunk whose jobs are all done.
pub(super) fn all_done(count: u8) -> u64 {
    bit(u64::from(count)).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot = Spot { lane: 3, due_ms: -5, position: 40 };

    fn next(index: u64) -> Spot {
        Spot { position: 40 + index, ..SPOT }
    }

    #[test]
    fn what_is_appended_is_read() {
        let mut value = begin(SPOT, b"one");
        assert!(append(&mut value, 1, next(1), b""));
        assert!(append(&mut value, 2, next(2), &[7; BODY_BYTES_MAX]));
        let read = Chunk::decode("queue", &value).map(|chunk| (chunk.spot, chunk.count, chunk.bodies().collect()));
        let bodies: Vec<&[u8]> = vec![b"one", b"", &[7; BODY_BYTES_MAX]];
        assert_eq!(read.ok(), Some((SPOT, 3, bodies)));
        value.pop();
        assert!(Chunk::decode("queue", &value).is_err(), "cut off");
    }

    #[test]
    fn only_the_next_job_is_appended() {
        let mut value = begin(SPOT, b"one");
        let before = value.clone();
        assert!(!append(&mut value, 2, next(1), b"an id was given in between"));
        assert!(!append(&mut value, 1, next(2), b"a position was given in between"));
        assert!(!append(&mut value, 1, Spot { lane: 4, ..next(1) }, b"another lane"));
        assert!(!append(&mut value, 1, Spot { due_ms: 0, ..next(1) }, b"another time"));
        assert_eq!(value, before);
    }

    #[test]
    fn a_chunk_has_its_limits() {
        for body in [&[0_u8; 1][..], &[0; 200], &[0; BODY_BYTES_MAX]] {
            let mut value = begin(SPOT, body);
            let mut count = 1;
            while append(&mut value, count, next(count), body) {
                count += 1;
            }
            assert!(count <= 64 && value.len() <= VALUE_BYTES_MAX);
            assert!(count == 64 || value.len() + body.len() + 2 > VALUE_BYTES_MAX);
        }
        assert_eq!((all_done(64), all_done(1), bit(64)), (u64::MAX, 1, 0));
    }
}
