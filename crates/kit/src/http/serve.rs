//! The accept loop, for TCP and Unix sockets alike: caps, timeouts, least rates, upgrades, and a drain with a
//! deadline.
//!
//! hyper drops the future of a request whose client goes away; handlers have to bear being dropped at any
//! `await` (a batch that was handed to the store is written all the same).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use proto::{Problem, codes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{Body, Pace};
use super::socket::UnixSocket;
use super::watch::{self, Activity, Patience, Watched};
use crate::config::Config;
use crate::limits::{
    CONNECTION_BUFFER_MAX_BYTES, HEAD_MAX_BYTES, REFUSAL_TIMEOUT, REFUSALS_AT_ONCE, SERVICE_CONNECTIONS_MAX,
    SERVICE_IDLE_TIMEOUT,
};
use crate::shutdown::Shutdown;

/// Whatever answers requests: a closure of this form, or [`service`](super::service) round a warp filter.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request. It cannot fail: errors are answers.
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send,
{
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        self(request)
    }
}

/// The address of the client at the other end of a TCP connection; an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddress(pub SocketAddr);

/// What the accept loop allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeOptions {
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a connection may be silent between requests.
    pub idle_timeout: Duration,
    /// How long the client may refuse to take more of an answer.
    pub write_timeout: Duration,
    /// The least rate of bodies; `None` for clients that are trusted.
    pub pace: Option<Pace>,
    /// Connections at once; the next gets 503.
    pub connections_max: usize,
    /// How long requests may still run after the shutdown was asked for.
    pub drain_timeout: Duration,
}

impl ServeOptions {
    /// For clients from anywhere, as `[http]` says.
    pub fn public(config: &Config) -> Self {
        let http = &config.http;
        let window = Duration::from_millis(http.body_rate_window_ms);
        let bytes_per_window = http.body_rate_min_bytes_per_s.saturating_mul(http.body_rate_window_ms) / 1000;
        Self {
            header_timeout: Duration::from_millis(http.header_timeout_ms),
            idle_timeout: Duration::from_millis(http.idle_timeout_ms),
            write_timeout: Duration::from_millis(http.write_timeout_ms),
            pace: Some(Pace { bytes_per_window, window }),
            connections_max: http.connections_max,
            drain_timeout: Duration::from_millis(config.runtime.drain_timeout_ms),
        }
    }

    /// For the processes of this instance.
    pub fn service(config: &Config) -> Self {
        Self {
            header_timeout: Duration::from_millis(config.http.header_timeout_ms),
            idle_timeout: SERVICE_IDLE_TIMEOUT,
            write_timeout: Duration::from_millis(config.http.write_timeout_ms),
            pace: None,
            connections_max: SERVICE_CONNECTIONS_MAX,
            drain_timeout: Duration::from_millis(config.runtime.drain_timeout_ms),
        }
    }

    fn patience(&self) -> Patience {
        Patience { header: self.header_timeout, idle: self.idle_timeout, write: self.write_timeout }
    }
}

/// Serves a TCP listener until shutdown, then drains. Returns when no connection is left.
pub async fn serve_tcp<H: Handler>(listener: TcpListener, handler: H, options: ServeOptions, shutdown: &Shutdown) {
    accept_loop(listener, handler, options, shutdown).await;
}

/// Serves a Unix socket until shutdown, then drains. Only this user and root get in (`SO_PEERCRED`).
pub async fn serve_unix<H: Handler>(socket: UnixSocket, handler: H, options: ServeOptions, shutdown: &Shutdown) {
    accept_loop(socket, handler, options, shutdown).await;
}

/// A stream that a connection may run on.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Where connections come from.
trait Listener: Send + Sync {
    type Stream: Stream;

    /// The next connection; it is turned away with an error when it may not get in.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<RemoteAddress>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<RemoteAddress>)> {
        let (stream, address) = self.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(RemoteAddress(address))))
    }
}

impl Listener for UnixSocket {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Option<RemoteAddress>)> {
        self.accept().await.map(|stream| (stream, None))
    }
}

/// What the connections of one listener share.
struct Shared<H> {
    handler: H,
    options: ServeOptions,
    builder: http1::Builder,
    drain: CancellationToken,
    end: CancellationToken,
}

async fn accept_loop<L: Listener, H: Handler>(listener: L, handler: H, options: ServeOptions, shutdown: &Shutdown) {
    let places = Arc::new(Semaphore::new(options.connections_max));
    let refusals = Arc::new(Semaphore::new(REFUSALS_AT_ONCE));
    let (drain, end, tasks) = (shutdown.token(), CancellationToken::new(), TaskTracker::new());
    let shared = Arc::new(Shared { handler, options, builder: builder(), drain: drain.clone(), end: end.clone() });
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            accepted = listener.next() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => match places.clone().try_acquire_owned() {
                Ok(place) => drop(tasks.spawn(connection(stream, remote, shared.clone(), place))),
                Err(_) => refuse(stream, &refusals),
            },
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(options.drain_timeout, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections are cut at the end of the drain");
        end.cancel();
        tasks.wait().await;
    }
}

/// Without descriptors or memory, accepting again at once would only spin.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied) {
        tracing::error!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    builder.max_buf_size(CONNECTION_BUFFER_MAX_BYTES).max_header_size(HEAD_MAX_BYTES);
    builder
}

/// The whole answer to a connection over the cap.
fn refusal() -> Vec<u8> {
    let problem = Problem::new(codes::OVERLOADED, "Too many connections are open.");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Tells a connection over the cap that there is no place, without reading its request.
fn refuse<S: Stream>(mut stream: S, refusals: &Arc<Semaphore>) {
    metrics::counter!("http_connections_refused_total").increment(1);
    let Ok(turn) = refusals.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _turn = turn;
        let goodbye = async {
            stream.write_all(&refusal()).await?;
            stream.shutdown().await?;
            // Closing with unread bytes would reset the connection before the answer is read.
            let mut unread = [0_u8; 1024];
            while stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, goodbye).await;
    });
}

async fn connection<S: Stream, H: Handler>(
    stream: S,
    remote: Option<RemoteAddress>,
    shared: Arc<Shared<H>>,
    place: OwnedSemaphorePermit,
) {
    let activity = Activity::new();
    let io = TokioIo::new(Watched::new(stream, activity.clone(), place));
    let service = service_fn(|request| answer(request, remote, &shared, &activity));
    let connection = std::pin::pin!(shared.builder.serve_connection(io, service).with_upgrades());
    let patience = shared.options.patience();
    let overdue = std::pin::pin!(watch::overdue(&activity, &patience));
    run(connection, overdue, &activity, &shared.drain, &shared.end).await;
}

/// Runs a connection to its end, however it comes.
async fn run<C, E>(
    mut connection: std::pin::Pin<&mut C>,
    mut overdue: std::pin::Pin<&mut impl Future<Output = &'static str>>,
    activity: &Activity,
    drain: &CancellationToken,
    end: &CancellationToken,
) where
    C: Future<Output = Result<(), E>> + Graceful,
    E: std::fmt::Display,
{
    let mut draining = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            reason = overdue.as_mut() => {
                tracing::debug!(reason, "a connection is cut");
                return;
            }
            () = drain.cancelled(), if !draining => {
                if activity.is_idle() {
                    return;
                }
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = end.cancelled() => return,
        }
    }
}

/// A connection that can be told to end after the request that it is at.
trait Graceful {
    fn graceful_shutdown(self: std::pin::Pin<&mut Self>);
}

impl<I, S> Graceful for http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<super::BoxError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn graceful_shutdown(self: std::pin::Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn answer<H: Handler>(
    request: Request<Incoming>,
    remote: Option<RemoteAddress>,
    shared: &Shared<H>,
    activity: &Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let busy = activity.begin();
    let started = Instant::now();
    let mut request = request.map(|body| match shared.options.pace {
        Some(pace) => Body::paced(body, pace).lingering(),
        None => Body::incoming(body).lingering(),
    });
    if let Some(remote) = remote {
        request.extensions_mut().insert(remote);
    }
    let handled = AssertUnwindSafe(shared.handler.handle(request)).catch_unwind().await;
    let response = handled.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        super::reply::problem_body(&Problem::new(codes::INTERNAL, "The server has a defect here."))
    });
    count(response.status(), started.elapsed());
    Ok(response.map(|body| body.watched(busy)))
}

fn count(status: StatusCode, elapsed: Duration) {
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("http_requests_total", "status" => class).increment(1);
    metrics::histogram!("http_request_duration_seconds").record(elapsed.as_secs_f64());
}

#[cfg(test)]
mod tests;
