//! DjStream's gateway: the front door.
//!
//! Owns: accounts, password hashes, sessions and signing keys, in its own database `data/gateway/`. It listens on
//! `[http] listen` for everybody, and on `run/gateway.sock` for this machine's admin and the other services. It
//! says who is asking and passes every route of [`proto::routes`] on to the service that answers it; it answers
//! those of `Service::Gateway`, `/media/…` (the bytes of videos) and the pages of the web app itself. Its event
//! log, `events`, is read by channel, video, interaction and notification. It has no queue.
//!
//! | module | does |
//! |---|---|
//! | `edge` | looks at every request once, and says who answers it |
//! | `service` | the domain: accounts, sessions, tokens, passwords; no HTTP, and the time comes in |
//! | `routes` | the gateway's own API |
//! | `backup` | makes backups: asks every service for its part |
//! | `forward`, `tunnel` | requests and websockets to other services |
//! | `media` | files of videos, with ranges and conditions |
//! | `pages` | the web app, with what is known of a video put into its page |
//!
//! Deliberately absent: any knowledge of videos beyond who may have which file, TLS (a proxy's task so far), and
//! other ways to sign in than a password.

mod backup;
mod data;
mod edge;
mod error;
mod forward;
mod headers;
pub mod limits;
mod media;
mod pages;
mod routes;
mod service;
mod source;
mod tunnel;
mod worker;

use std::sync::Arc;

use kit::Context;
use kit::http::{ServeOptions, SocketError, bind_tcp, serve_tcp};
use proto::routes::Service as Owner;
use store::OpenError;

use backup::Backups;
use edge::{Door, Edge, Parts};
pub use error::GatewayError;
use forward::Peers;
use media::Media;
use pages::Pages;
use routes::App;
use service::Service;

/// Why the gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// It cannot listen.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// What it needs to start cannot be read or written.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Runs the gateway until shutdown.
///
/// # Errors
/// If its database or one of its sockets cannot be opened.
pub async fn run(context: Context) -> Result<(), RunError> {
    let listener = bind_tcp(context.config.http.listen)?;
    run_on(context, listener).await
}

/// [`run`], on a listener that is there already.
///
/// # Errors
/// If its database or its own socket cannot be opened.
pub async fn run_on(context: Context, listener: tokio::net::TcpListener) -> Result<(), RunError> {
    let store = kit::storage::open(&context, Owner::Gateway.name()).await?;
    let (service, setup_token) = Service::open(&context, store.clone(), kit::clock::now()).await?;
    if let Some(token) = setup_token {
        announce(&context, &token);
    }
    warn_of_switches(&context);
    let backups = Backups::new(&context, kit::clock::now());
    let app = App {
        service: Arc::new(service),
        peers: Arc::new(Peers::new(&context)),
        backups: backups.clone(),
        data: context.data.clone(),
    };
    context.spawn("backups", backup::timer::run(backups, context.shutdown.clone()));
    context.spawn("deletions", worker::look_after_deletions(app.clone(), context.shutdown.clone()));
    context.spawn("sweep", worker::sweep(app.service.clone(), context.shutdown.clone()));
    let parts = Arc::new(Parts::new(
        app.service.clone(),
        app.peers.clone(),
        Media::new(context.data.media(), app.peers.video.clone(), app.service.clone()),
        Pages::new(app.peers.video.clone()),
        kit::http::service(routes::own(&app)),
    ));
    let local = routes::local(&context, &app, Edge::new(parts.clone(), Door::Local));
    let public = Edge::new(parts, Door::Public);
    let options = ServeOptions::public(&context.config);
    let front = serve_tcp(listener, public, options, &context.shutdown);
    kit::run_service_with(&context, Owner::Gateway.name(), Some(store), local, front).await?;
    Ok(())
}

/// Says how to make the first account. The one place where a token is written into the log, on purpose: whoever
/// reads the log runs this machine.
fn announce(context: &Context, token: &str) {
    let http = &context.config.http;
    let origin = if http.public_url.is_empty() { format!("http://{}", http.listen) } else { http.public_url.clone() };
    tracing::info!("there is no admin yet: make the first account at {origin}/setup?token={token}");
}

fn warn_of_switches(context: &Context) {
    if !context.config.limits.per_address {
        tracing::warn!("[limits] per_address is off: one address may ask as often as it likes");
    }
}
