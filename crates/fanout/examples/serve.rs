//! A fan-out on a TCP address and/or a Unix socket: `serve 127.0.0.1:7000 /tmp/fanout.sock [password]`.
#![allow(clippy::unwrap_used)]

use fanout::{Limits, Server};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let server = match arguments.get(2) {
        Some(password) => Server::with_password(Limits::default(), password),
        None => Server::new(Limits::default()),
    };
    let tcp = TcpListener::bind(&arguments[0]).await.unwrap();
    let unix = UnixListener::bind(&arguments[1]).unwrap();
    let stop = CancellationToken::new();
    tokio::join!(server.serve(tcp, stop.clone()), server.serve(unix, stop.clone()));
}
