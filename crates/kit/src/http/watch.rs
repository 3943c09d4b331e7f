//! Watches one connection: heads that do not come to an end, silence, and answers that nobody reads.
//!
//! hyper's own header timeout is its idle timeout too, and it cuts neither a stalled body nor a stalled
//! answer; so the socket is wrapped, notes what happens, and a timer beside it decides.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

/// Between two requests.
const IDLE: u8 = 0;
/// Part of a head has arrived (or the connection is new).
const HEAD: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;

/// How long a connection may stay in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

/// What one connection does at the moment.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    phase: AtomicU8,
    /// When the phase began, in milliseconds since `start`.
    since_ms: AtomicU64,
    /// When the socket refused to take more, in milliseconds since `start` plus one; 0 = it takes.
    blocked_ms: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            phase: AtomicU8::new(HEAD),
            since_ms: AtomicU64::new(0),
            blocked_ms: AtomicU64::new(0),
        })
    }

    /// A request's head is complete. The guard ends with the answer's body.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.enter(BUSY);
        Busy(self.clone())
    }

    /// Whether no request is being received or answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == IDLE
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self, phase: u8) {
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    fn received(&self) {
        if self.is_idle() {
            self.enter(HEAD);
        }
    }

    fn wrote(&self, blocked: bool) {
        if blocked != (self.blocked_ms.load(Ordering::Relaxed) != 0) {
            self.blocked_ms.store(if blocked { self.now_ms() + 1 } else { 0 }, Ordering::Relaxed);
        }
    }

    /// When patience ends if nothing happens, and why.
    fn due(&self, patience: &Patience) -> (Option<Duration>, &'static str) {
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        let blocked = self.blocked_ms.load(Ordering::Relaxed);
        if blocked != 0 {
            return (Some(Duration::from_millis(blocked - 1) + patience.write), "the answer is not read");
        }
        match self.phase.load(Ordering::Relaxed) {
            HEAD => (Some(since + patience.header), "the head of a request does not end"),
            IDLE => (Some(since + patience.idle), "idle"),
            _ => (None, "busy"),
        }
    }
}

/// Returns, with the reason, when patience with a connection is at an end.
pub(crate) async fn overdue(activity: &Activity, patience: &Patience) -> &'static str {
    // Whatever begins while this sleeps is noticed at the latest a quarter of the shortest patience later.
    let step = patience.header.min(patience.idle).min(patience.write) / 4 + Duration::from_millis(1);
    loop {
        let now = activity.start.elapsed();
        let (due, reason) = activity.due(patience);
        match due {
            Some(due) if due <= now => return reason,
            Some(due) => tokio::time::sleep((due - now).min(step) + Duration::from_millis(1)).await,
            None => tokio::time::sleep(step).await,
        }
    }
}

/// A request is being answered; dropped at the end of the answer's body.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(IDLE);
    }
}

/// A socket whose activity is noted, and which holds its place under the cap of connections: also when it
/// has become a websocket.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    _place: OwnedSemaphorePermit,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, place: OwnedSemaphorePermit) -> Self {
        Self { stream, activity, _place: place }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if result.is_ready() && buffer.filled().len() > before {
            self.activity.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.wrote(result.is_pending());
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.activity.wrote(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
