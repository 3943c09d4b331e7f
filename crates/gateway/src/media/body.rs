//! The bytes of a file as an answer's body.
//!
//! What is in the page cache is read at once, without a thread (`preadv2` with `RWF_NOWAIT`); what is not, and
//! what lies on a file system that knows no such reading, is read on the blocking pool. Buffers come back.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use crate::limits::{GRANT_TTL, READ_BUFFERS_KEPT, READ_BYTES};

/// Buffers for the next reads.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Mutex<Vec<Box<[u8]>>>,
}

impl Pool {
    fn take(self: &Arc<Self>) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice());
        Buffer { bytes, length: 0, pool: self.clone() }
    }
}

/// Bytes that were read. The buffer goes back to its pool when the last of them is sent.
struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < READ_BUFFERS_KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Says whether the bytes may still be sent.
pub(crate) type MayGoOn = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// A part of a file.
pub(crate) struct FileBody {
    file: Arc<File>,
    at: u64,
    left: u64,
    pool: Arc<Pool>,
    /// Whether the file system can say that a read would have to wait.
    nowait: bool,
    reading: Option<JoinHandle<io::Result<Buffer>>>,
    right: Right,
}

/// The right to the bytes, asked for again now and then.
struct Right {
    may_go_on: MayGoOn,
    asked: Instant,
    asking: Option<JoinHandle<bool>>,
}

impl Right {
    /// Ready when it is known that the right still holds.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.asking.is_none() {
            if self.asked.elapsed() < GRANT_TTL {
                return Poll::Ready(Ok(()));
            }
            self.asking = Some(tokio::spawn((self.may_go_on)()));
        }
        let Some(asking) = &mut self.asking else { return Poll::Ready(Ok(())) };
        let holds = ready!(Pin::new(asking).poll(cx)).unwrap_or(false);
        (self.asking, self.asked) = (None, Instant::now());
        if holds { Poll::Ready(Ok(())) } else { Poll::Ready(Err(io::Error::other("the right to this file has ended"))) }
    }
}

impl FileBody {
    /// `length` bytes of `file` from `start` on, as long as `may_go_on` says yes.
    pub(crate) fn new(file: File, start: u64, length: u64, pool: Arc<Pool>, may_go_on: MayGoOn) -> Self {
        let right = Right { may_go_on, asked: Instant::now(), asking: None };
        Self { file: Arc::new(file), at: start, left: length, pool, nowait: true, reading: None, right }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Buffer>> {
        if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            return Poll::Ready(read.unwrap_or_else(|_| Err(io::Error::other("a read was interrupted"))));
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut buffer = self.pool.take();
        if self.nowait {
            match read_cached(&self.file, &mut buffer.bytes[..wanted], self.at) {
                Ok(length) => {
                    buffer.length = length;
                    return Poll::Ready(Ok(buffer));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.nowait = false,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        let (file, at) = (self.file.clone(), self.at);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            buffer.length = file.read_at(&mut buffer.bytes[..wanted], at)?;
            Ok(buffer)
        }));
        self.poll_read(cx)
    }
}

fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT)
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        ready!(this.right.poll(cx))?;
        let buffer = ready!(this.poll_read(cx))?;
        if buffer.length == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        this.at += buffer.length as u64;
        this.left -= buffer.length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(buffer)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body_util::BodyExt;

    use super::*;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7 % 251) as u8).collect()
    }

    fn body(folder: &std::path::Path, bytes: &[u8], start: u64, length: u64, nowait: bool) -> FileBody {
        let path = folder.join("file");
        std::fs::write(&path, bytes).unwrap();
        let always: MayGoOn = Box::new(|| Box::pin(async { true }));
        let mut body = FileBody::new(File::open(&path).unwrap(), start, length, Arc::default(), always);
        body.nowait = nowait;
        body
    }

    #[tokio::test]
    async fn the_bytes_asked_for_arrive_either_way() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = pattern(3 * READ_BYTES + 17);
        for nowait in [true, false] {
            for (start, length) in [(0, bytes.len()), (1, 1), (READ_BYTES - 1, READ_BYTES + 2), (5, 0)] {
                let body = body(folder.path(), &bytes, start as u64, length as u64, nowait);
                let sent = body.collect().await.unwrap().to_bytes();
                assert_eq!(sent, bytes[start..start + length], "{start} {length} {nowait}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_breaks_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let body = body(folder.path(), &pattern(100), 0, 200, true);
        assert_eq!(body.collect().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_right_that_ends_ends_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let mut body = body(folder.path(), &pattern(1000), 0, 1000, true);
        body.right.may_go_on = Box::new(|| Box::pin(async { false }));
        body.right.asked = Instant::now().checked_sub(GRANT_TTL).unwrap();
        assert!(body.collect().await.is_err());
    }

    #[test]
    fn buffers_come_back() {
        let pool = Arc::new(Pool::default());
        drop(Bytes::from_owner(pool.take()));
        assert_eq!(pool.free.lock().unwrap().len(), 1);
        let again = pool.take();
        assert!(pool.free.lock().unwrap().is_empty() && again.bytes.len() == READ_BYTES);
    }
}
