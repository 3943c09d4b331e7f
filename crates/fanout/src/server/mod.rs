//! The server: connections, and who of them is subscribed to what.

mod connection;
mod hub;
mod listener;
mod outbox;
mod session;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::Limits;

pub(crate) use hub::{Hub, Kind};
pub use listener::Listener;
pub(crate) use session::Session;

/// How long accepting rests after it failed, as it does without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A fan-out. Clones are the same one, so that it can serve several listeners.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// What all connections of a server see.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) hub: Hub,
    pub(crate) started: Instant,
    pub(crate) connected: AtomicUsize,
    pub(crate) accepted: AtomicU64,
    pub(crate) commands: AtomicU64,
    next_id: AtomicU64,
}

impl Server {
    /// A fan-out that asks for no password.
    pub fn new(limits: Limits) -> Self {
        Self::build(limits, None)
    }

    /// A fan-out whose connections must authenticate before anything else.
    pub fn with_password(limits: Limits, password: &str) -> Self {
        Self::build(limits, Some(password.as_bytes().to_vec()))
    }

    fn build(limits: Limits, password: Option<Vec<u8>>) -> Self {
        let shared = Shared {
            limits,
            password,
            hub: Hub::default(),
            started: Instant::now(),
            connected: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Passes a message on without a connection; says to how many it went.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        self.shared.hub.publish(channel, payload)
    }

    /// Connections at this moment.
    pub fn connections(&self) -> usize {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Accepts connections until `stop`; returns when all of this listener's are closed.
    pub async fn serve<L: Listener>(&self, listener: L, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok(stream) => self.admit(stream, &stop, &tasks),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    tracing::warn!("the fan-out refused a connection of another user");
                }
                Err(error) => {
                    tracing::warn!(%error, "the fan-out cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    fn admit<S>(&self, mut stream: S, stop: &CancellationToken, tasks: &TaskTracker)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Some(place) = Place::take(&self.shared) else {
            tasks.spawn(async move {
                let refusal = stream.write_all(b"-ERR max number of clients reached\r\n");
                // Whether the peer reads it or not, it is closed.
                let _ = tokio::time::timeout(ACCEPT_PAUSE, refusal).await;
            });
            return;
        };
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(Arc::clone(&self.shared), id);
        let stop = stop.clone();
        tasks.spawn(async move {
            connection::run(stream, session, stop).await;
            drop(place);
        });
    }
}

/// One of the connections that the limits allow.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let limit = shared.limits.connections;
        shared
            .connected
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limit).then_some(count + 1))
            .ok()
            .map(|_| Self(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}
