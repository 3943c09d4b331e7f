//! The fan-out that the home hosts, unless another one is configured.

use std::io;

use fanout::{Limits, Listener, Server};
use kit::Context;
use kit::http::{SocketError, UnixSocket, bind_tcp};
use tokio::net::UnixStream;

/// The name of its socket in the folder of sockets.
pub(super) const SOCKET: &str = "fanout";

/// The fan-out cannot be hosted.
#[derive(Debug, thiserror::Error)]
#[error("the fan-out cannot be hosted: {0}")]
pub struct HostError(#[from] SocketError);

/// Listens on `run/fanout.sock` and, where `[fanout] listen` says so, on TCP.
///
/// # Errors
/// Another process has the socket or the port.
pub(crate) fn host(context: &Context) -> Result<(), HostError> {
    let config = &context.config.fanout;
    if !config.url.is_empty() {
        return Ok(());
    }
    let server = Server::new(Limits::default());
    let socket = Socket(UnixSocket::bind(&context.data.socket(SOCKET))?);
    let (unix, stop) = (server.clone(), context.shutdown.token());
    context.spawn("fanout", async move { unix.serve(socket, stop).await });
    if let Some(address) = config.listen {
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the fan-out asks nobody for a password: everyone who reaches it can listen");
        }
        let (listener, stop) = (bind_tcp(address)?, context.shutdown.token());
        context.spawn("fanout-tcp", async move { server.serve(listener, stop).await });
    }
    Ok(())
}

/// The locked socket, as the fan-out wants it.
struct Socket(UnixSocket);

impl Listener for Socket {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Listener::accept(self.0.listener()).await
    }
}
