//! What waits to be written to one connection: bounded, and shared with those who publish.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::frame::Protocol;

pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    limit_bytes: usize,
    resp3: AtomicBool,
    ready: Notify,
    room: Notify,
    cut: CancellationToken,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// Bytes in `frames` and of what is being written.
    bytes: usize,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            queue: Mutex::default(),
            limit_bytes,
            resp3: AtomicBool::new(false),
            ready: Notify::new(),
            room: Notify::new(),
            cut: CancellationToken::new(),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        if self.resp3.load(Ordering::Relaxed) { Protocol::Resp3 } else { Protocol::Resp2 }
    }

    pub(crate) fn set_protocol(&self, protocol: Protocol) {
        self.resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    /// Adds a reply. It is never refused: the connection reads no further command before there is
    /// room again, see [`Self::wait_for_room`].
    pub(crate) fn reply(&self, bytes: Bytes) {
        let mut queue = self.lock();
        queue.bytes += bytes.len();
        queue.frames.push_back(bytes);
        drop(queue);
        self.ready.notify_one();
    }

    /// Adds a published message, or cuts the connection when it would wait behind too much.
    pub(crate) fn deliver(&self, bytes: Bytes) -> bool {
        if self.cut.is_cancelled() {
            return false;
        }
        let mut queue = self.lock();
        if queue.bytes + bytes.len() > self.limit_bytes {
            drop(queue);
            self.cut.cancel();
            return false;
        }
        queue.bytes += bytes.len();
        queue.frames.push_back(bytes);
        drop(queue);
        self.ready.notify_one();
        true
    }

    /// Moves what waits, up to about `most_bytes`, into `out`. `None` after [`Self::close`], when
    /// nothing is left.
    pub(crate) async fn take(&self, out: &mut Vec<u8>, most_bytes: usize) -> Option<()> {
        loop {
            {
                let mut queue = self.lock();
                while out.len() < most_bytes {
                    let Some(frame) = queue.frames.pop_front() else { break };
                    out.extend_from_slice(&frame);
                }
                if !out.is_empty() {
                    return Some(());
                }
                if queue.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Says that so many bytes have left.
    pub(crate) fn written(&self, bytes: usize) {
        self.lock().bytes -= bytes;
        self.room.notify_one();
    }

    /// Returns when less than half of what may wait does.
    pub(crate) async fn wait_for_room(&self) {
        while self.lock().bytes > self.limit_bytes / 2 {
            self.room.notified().await;
        }
    }

    /// Lets the writer end when everything is written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// Returns when the connection has to be cut.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
