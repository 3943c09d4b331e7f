//! The one body type of requests and answers, and the least rate of bodies from outside.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::watch::Busy;
use crate::limits::{LINGER_MAX_BYTES, LINGER_TIMEOUT};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed.
    #[error("the body has more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// It arrived more slowly than allowed.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The connection broke, or the client sent something that is not HTTP.
    #[error("the body broke off: {0}")]
    Broken(String),
}

impl BodyError {
    /// What an error from reading a body was.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(own) = error.downcast_ref::<Self>() {
                return own.clone();
            }
            cause = error.source();
        }
        Self::Broken(error.to_string())
    }
}

/// The least rate of a body, measured over the time spent waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes that have to arrive in each window of waiting.
    pub bytes_per_window: u64,
    /// The window.
    pub window: Duration,
}

/// The body of a request or an answer. Everything that a process sends or receives is one of these.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    permit: Option<OwnedSemaphorePermit>,
    busy: Option<Busy>,
    lingers: bool,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Full<Bytes>),
    Incoming(Incoming),
    Paced(Box<Paced>),
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send + Sync>>),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Kind::Full(Full::new(bytes.into())).into()
    }

    /// Another body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        Kind::Boxed(Box::pin(body.map_err(Into::into))).into()
    }

    /// Pieces as they come.
    pub fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Sync + 'static,
        E: Into<BoxError> + 'static,
    {
        use futures_util::TryStreamExt;
        Self::new(http_body_util::StreamBody::new(stream.map_ok(Frame::data).map_err(Into::into)))
    }

    /// Pieces as they come, whose length is known when it was announced.
    pub(super) fn stream_of<S, E>(length: Option<u64>, stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Sync + 'static,
        E: Into<BoxError> + 'static,
    {
        match length {
            Some(0) => Self::empty(),
            Some(length) => Self::new(Announced { inner: Self::stream(stream), left: length }),
            None => Self::stream(stream),
        }
    }

    /// What a connection receives, without a least rate.
    pub(crate) fn incoming(body: Incoming) -> Self {
        if body.is_end_stream() { Self::empty() } else { Kind::Incoming(body).into() }
    }

    /// What a connection receives, with a least rate.
    pub(crate) fn paced(body: Incoming, pace: Pace) -> Self {
        if body.is_end_stream() { Self::empty() } else { Kind::Paced(Box::new(Paced::new(body, pace))).into() }
    }

    /// When it is dropped before its end, a little of the rest is read and thrown away: closing a socket with
    /// unread bytes resets the connection, and the client may never see the answer that explains it.
    pub(crate) fn lingering(mut self) -> Self {
        self.lingers = true;
        self
    }

    /// Gives the permit back when the body has ended or is dropped.
    pub(crate) fn holding(mut self, permit: OwnedSemaphorePermit) -> Self {
        self.permit = Some(permit);
        self
    }

    /// Tells the connection's watch when the body has ended or is dropped.
    pub(crate) fn watched(mut self, busy: Busy) -> Self {
        self.busy = Some(busy);
        self
    }

    /// Reads at most `limit_bytes` and keeps nothing.
    async fn discard(mut self, limit_bytes: usize) {
        let mut left = limit_bytes;
        while let Some(Ok(frame)) = self.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }

    /// Reads the body to its end, counting.
    ///
    /// # Errors
    /// If it has more than `limit_bytes`, is too slow, or breaks off.
    pub async fn read(self, limit_bytes: usize) -> Result<Bytes, BodyError> {
        let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
        if self.size_hint().lower() > limit {
            return Err(BodyError::TooLarge { limit_bytes: limit });
        }
        match http_body_util::Limited::new(self, limit_bytes).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(BodyError::TooLarge { limit_bytes: limit })
            }
            Err(error) => Err(BodyError::of(&*error)),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.lingers || self.is_end_stream() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let rest = Self::from(std::mem::take(&mut self.kind));
        runtime.spawn(tokio::time::timeout(LINGER_TIMEOUT, rest.discard(LINGER_MAX_BYTES)));
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, permit: None, busy: None, lingers: false }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Body").field("size", &self.size_hint().exact()).finish_non_exhaustive()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = match &mut this.kind {
            Kind::Empty => None,
            Kind::Full(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(|never| match never {}))
            }
            Kind::Incoming(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into)),
            Kind::Paced(body) => ready!(body.poll_frame(cx)),
            Kind::Boxed(body) => ready!(body.as_mut().poll_frame(cx)),
        };
        if frame.is_none() {
            this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(body) => body.is_end_stream(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Paced(body) => body.inner.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(body) => body.size_hint(),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Paced(body) => body.inner.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

/// A body that has to keep a least rate. Only time spent waiting counts: when it is our side that does not
/// read on (a slow disk), the client is not to blame.
struct Paced {
    inner: Incoming,
    pace: Pace,
    /// Bytes that arrived in this window.
    bytes: u64,
    /// Waiting in this window, without the wait going on.
    waited: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(inner: Incoming, pace: Pace) -> Self {
        Self { inner, pace, bytes: 0, waited: Duration::ZERO, waiting_since: None, alarm: None }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if let Some(since) = self.waiting_since.take() {
                self.waited += since.elapsed();
            }
            if let Some(Ok(frame)) = &frame {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.poll_rate(cx)
    }

    /// Nothing has arrived: looks whether this window is over.
    fn poll_rate(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let now = Instant::now();
            let since = *self.waiting_since.get_or_insert(now);
            let due = since + self.pace.window.saturating_sub(self.waited);
            if due <= now {
                if self.bytes < self.pace.bytes_per_window {
                    return Poll::Ready(Some(Err(BodyError::TooSlow.into())));
                }
                (self.bytes, self.waited, self.waiting_since) = (0, Duration::ZERO, Some(now));
                continue;
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if alarm.deadline() != due {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(cx));
        }
    }
}

/// A body whose length was announced in its head.
struct Announced {
    inner: Body,
    left: u64,
}

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = self.left.saturating_sub(length);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Permits are shared by clones of what they guard.
pub(crate) type Permits = Arc<tokio::sync::Semaphore>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn reading_counts_bytes_even_without_a_length() {
        let pieces = (0..4).map(|_| Ok::<_, BoxError>(Bytes::from_static(b"0123456789")));
        let body = Body::stream(futures_util::stream::iter(pieces.clone()));
        assert_eq!(body.read(40).await.unwrap().len(), 40);
        let body = Body::stream(futures_util::stream::iter(pieces));
        assert_eq!(body.read(39).await.unwrap_err(), BodyError::TooLarge { limit_bytes: 39 });
        let error = Body::full("too long").read(3).await.unwrap_err();
        assert_eq!(error, BodyError::TooLarge { limit_bytes: 3 });
    }

    #[tokio::test]
    async fn a_permit_comes_back_at_the_end() {
        let permits: Permits = Arc::new(tokio::sync::Semaphore::new(1));
        let body = Body::full("text").holding(permits.clone().try_acquire_owned().unwrap());
        assert_eq!(permits.available_permits(), 0);
        body.read(10).await.unwrap();
        assert_eq!(permits.available_permits(), 1);
    }
}
