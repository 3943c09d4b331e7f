//! The client: one connection that stays up, whatever the server does.

mod conversation;
mod driver;
mod mailbox;
mod subscription;
mod url;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use driver::{Driver, Request};
use mailbox::Mailbox;

pub use subscription::Subscription;
pub use url::ConnectError;

/// Requests that may wait for the connection; a caller waits for room.
const MAXIMAL_WAITING_REQUESTS: usize = 1024;

/// A connection to a fan-out, ours or a Redis or Valkey of version 6 or later. Clones share it.
/// It is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
}

/// What happens on a [`Client`]'s connection, in order.
#[derive(Debug)]
pub struct Messages {
    mailbox: Arc<Mailbox>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected, for the first time or again, and all subscriptions are in force: from here on
    /// nothing is missed. What was published before has to be asked for elsewhere.
    Connected,
    /// The connection is lost; the client tries to get it back.
    Disconnected,
    /// Messages were thrown away, since they were not taken in time. As after a lost connection,
    /// they have to be asked for elsewhere.
    Lagged,
    /// A message on a channel that is subscribed to.
    Message {
        /// The channel's name.
        channel: Bytes,
        /// What was published.
        payload: Bytes,
    },
}

/// Why a message was not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection at the moment; nothing was sent.
    #[error("the fan-out is not connected")]
    NotConnected,
    /// The connection broke before the answer came: it was passed on, or not.
    #[error("the connection to the fan-out broke")]
    Interrupted,
    /// The server's own words.
    #[error("the fan-out refused: {0}")]
    Refused(String),
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The server's own words.
    #[error("the fan-out refused: {0}")]
    Refused(String),
    /// The runtime is shutting down.
    #[error("the fan-out's client has ended")]
    Closed,
}

impl Client {
    /// Starts connecting to `unix:/path` or `redis://[[user]:password@]host[:port]`, and goes on
    /// trying, with growing pauses, until every clone is dropped. Must be called inside a runtime.
    ///
    /// # Errors
    /// The address is not one of those. That nobody answers there is an [`Event`], not an error.
    pub fn connect(url: &str) -> Result<(Self, Messages), ConnectError> {
        let address = url.parse()?;
        let (requests, receiver) = mpsc::channel(MAXIMAL_WAITING_REQUESTS);
        let mailbox = Arc::new(Mailbox::default());
        tokio::spawn(Driver::new(address, receiver, Arc::clone(&mailbox)).run());
        Ok((Self { requests }, Messages { mailbox }))
    }

    /// Publishes a message and says how many subscribers it was given to.
    ///
    /// # Errors
    /// Nothing is kept for later: without a connection the message is lost.
    pub async fn publish(&self, channel: impl AsRef<[u8]>, payload: impl Into<Bytes>) -> Result<u64, PublishError> {
        let (done, answer) = oneshot::channel();
        let channel = Bytes::copy_from_slice(channel.as_ref());
        let request = Request::Publish { channel, payload: payload.into(), done };
        self.requests.send(request).await.map_err(|_| PublishError::NotConnected)?;
        answer.await.unwrap_or(Err(PublishError::Interrupted))
    }

    /// Subscribes to a channel, now and after every reconnection, until the [`Subscription`] is
    /// dropped. Returns when it is in force: without a connection that is after the next one.
    /// Several subscriptions to one channel are one to the server; it ends with the last of them.
    ///
    /// # Errors
    /// The server has its limits.
    pub async fn subscribe(&self, channel: impl AsRef<[u8]>) -> Result<Subscription, SubscribeError> {
        let (done, answer) = oneshot::channel();
        let channel = Bytes::copy_from_slice(channel.as_ref());
        let request = Request::Subscribe { channel, done };
        self.requests.send(request).await.map_err(|_| SubscribeError::Closed)?;
        answer.await.unwrap_or(Err(SubscribeError::Closed))
    }
}

impl Messages {
    /// The next event; waits for one. `None` when the client has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.mailbox.next().await
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.mailbox.abandon();
    }
}
