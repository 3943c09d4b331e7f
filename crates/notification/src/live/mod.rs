//! Live notifications: websockets, and how news reach them from the home through the fan-out.
//!
//! The fan-out may lose a message, the inbox may not. So a socket subscribes first, reads the backlog
//! second, and drops live messages that the backlog had; whenever something may have been missed it
//! reads the backlog again. Ids only ever grow on a socket.

mod backlog;
mod host;
mod outbox;
mod publisher;
mod registry;
mod socket;

use std::time::Duration;

use fanout::{Client, ConnectError, Event, Messages};
use kit::Context;
use proto::{NotificationId, UserId};

use crate::error::Error;

pub(crate) use backlog::{Backlog, page as backlog_page};
pub use host::HostError;
pub(crate) use host::host;
pub(crate) use publisher::Publisher;
pub(crate) use registry::{Place, Registry};

/// The channel that tells every process that its sockets may have missed something.
const RESYNC: &str = "notifications:resync";

/// The channel of one person.
fn channel_of(user: UserId) -> String {
    format!("user:{user}")
}

/// This process's websockets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    context: Context,
    registry: Registry,
    client: Client,
    backlog: Backlog,
}

impl Live {
    /// Connects to the fan-out that the configuration names, or else to our own.
    ///
    /// # Errors
    /// The configured address is not one.
    pub(crate) fn connect(context: &Context, backlog: Backlog) -> Result<(Self, Messages), ConnectError> {
        let configured = &context.config.fanout.url;
        let url = if configured.is_empty() {
            format!("unix:{}", context.data.socket(host::SOCKET).display())
        } else {
            configured.clone()
        };
        let (client, messages) = Client::connect(&url)?;
        let registry = Registry::new(&context.config);
        Ok((Self { context: context.clone(), registry, client, backlog }, messages))
    }

    /// Gives messages to sockets until shutdown. `connected` is called with each new connection.
    pub(crate) async fn run(self, mut messages: Messages, connected: impl Fn()) {
        let resync = async { self.client.subscribe(RESYNC).await };
        let receive = async {
            while let Some(event) = messages.next().await {
                match event {
                    Event::Message { channel, payload } => self.receive(&channel, payload),
                    Event::Connected => {
                        self.registry.resync_all();
                        connected();
                    }
                    Event::Lagged => self.registry.resync_all(),
                    Event::Disconnected => {}
                }
            }
        };
        tokio::select! {
            // The subscription lives as long as the receiving.
            (_, _subscription) = async { tokio::join!(receive, resync) } => {}
            () = self.context.shutdown.requested() => {}
        }
    }

    fn receive(&self, channel: &[u8], payload: bytes::Bytes) {
        if channel == RESYNC.as_bytes() {
            self.registry.resync_all();
            return;
        }
        let user = std::str::from_utf8(channel).ok().and_then(|name| name.strip_prefix("user:")?.parse().ok());
        match user {
            Some(user) => self.registry.give(user, payload),
            None => tracing::warn!("a message on a channel that is nobody's"),
        }
    }

    /// A place for one more websocket of a person.
    ///
    /// # Errors
    /// They have as many as allowed, or the process is ending.
    pub(crate) fn admit(&self, user: UserId) -> Result<Place, Error> {
        if self.context.shutdown.is_requested() {
            return Err(Error::Ending);
        }
        self.registry.admit(user)
    }

    /// Serves one websocket to its end, beside whatever else this process does.
    pub(crate) fn serve(&self, upgrade: hyper::upgrade::OnUpgrade, place: Place, after: Option<NotificationId>) {
        let live = self.clone();
        self.context.shutdown.tracker().spawn(async move {
            match upgrade.await {
                Ok(upgraded) => socket::run(&live, upgraded, &place, after).await,
                Err(error) => tracing::debug!(%error, "a websocket went away before it was one"),
            }
        });
    }

    fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.context.config.notification.ping_interval_ms)
    }
}
