//! Connects, and connects again.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::conversation::{self, Conversation};
use super::mailbox::Mailbox;
use super::subscription::{Subscription, Wanted};
use super::url::Address;
use super::{PublishError, SubscribeError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a [`super::Client`] asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Subscribe { channel: Bytes, done: Subscribed },
    Publish { channel: Bytes, payload: Bytes, done: Published },
}

pub(crate) type Subscribed = oneshot::Sender<Result<Subscription, SubscribeError>>;
pub(crate) type Published = oneshot::Sender<Result<u64, PublishError>>;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ending {
    /// The last [`super::Client`] is gone.
    #[error("no longer wanted")]
    Dropped,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server answered nothing for too long")]
    Silence,
    #[error("the server does not speak RESP as expected: {0}")]
    Protocol(String),
    #[error("the server refused: {0}")]
    Refused(String),
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The client's side that outlives connections.
pub(crate) struct Driver {
    address: Address,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// What has to be subscribed on every new connection.
    pub(crate) wanted: Wanted,
    /// Who waits for a subscription that the next connection brings.
    pub(crate) waiting: Vec<(Subscription, Subscribed)>,
    /// The last connection was of use.
    pub(crate) was_connected: bool,
}

impl Driver {
    pub(crate) fn new(address: Address, requests: mpsc::Receiver<Request>, mailbox: Arc<Mailbox>) -> Self {
        Self { address, requests, mailbox, wanted: Wanted::new(), waiting: Vec::new(), was_connected: false }
    }

    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let ending = self.one_connection().await;
            if matches!(ending, Ending::Dropped) {
                break;
            }
            if std::mem::take(&mut self.was_connected) {
                tracing::warn!(reason = %ending, "the connection to the fan-out is lost");
                self.mailbox.disconnected();
                pause = FIRST_PAUSE;
            } else {
                tracing::debug!(reason = %ending, "the fan-out cannot be reached");
            }
            let jittered = pause.mul_f64(rand::random_range(0.5..1.0));
            if self.meanwhile(tokio::time::sleep(jittered)).await.is_none() {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.mailbox.end();
    }

    async fn one_connection(&mut self) -> Ending {
        let address = self.address.clone();
        let greet = async {
            let mut stream = open(&address).await?;
            let rest = conversation::greet(&mut stream, &address).await?;
            Ok::<_, Ending>((stream, rest))
        };
        let greeted = self.meanwhile(tokio::time::timeout(CONNECT_TIMEOUT, greet)).await;
        match greeted {
            None => Ending::Dropped,
            Some(Err(_)) => Ending::Silence,
            Some(Ok(Err(ending))) => ending,
            Some(Ok(Ok((stream, rest)))) => Conversation::new(self, rest).run(stream).await,
        }
    }

    /// Answers requests as one does without a connection, until `future` is done. `None` when
    /// there is nobody left to ask.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                _ = self.wanted.next_unwanted() => {}
                request = self.requests.recv() => match request? {
                    Request::Subscribe { channel, done } => {
                        self.waiting.push((self.wanted.add(channel), done));
                    }
                    Request::Publish { done, .. } => {
                        // Whoever asked may have stopped waiting.
                        let _ = done.send(Err(PublishError::NotConnected));
                    }
                },
            }
        }
    }
}

async fn open(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}
