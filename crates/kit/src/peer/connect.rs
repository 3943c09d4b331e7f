//! Connects to a service's Unix socket.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::http::{Body, BoxError};
use crate::limits::{CONNECT_ATTEMPTS, CONNECT_PAUSE};

/// Connects to one socket, whatever address is asked for.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    path: Arc<Path>,
}

impl Connector {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// Connects. A full backlog answers EAGAIN at once, so that is tried again for a moment.
    async fn connect(&self) -> io::Result<UnixStream> {
        let mut attempt = 1;
        loop {
            match UnixStream::connect(&self.path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempt < CONNECT_ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Sends one request for another protocol on a connection of its own.
    pub(super) async fn upgrade(&self, parts: Parts) -> Result<Response<Incoming>, BoxError> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(Request::from_parts(parts, Body::empty())).await?)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}
