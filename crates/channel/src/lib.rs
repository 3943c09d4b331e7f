//! DjStream's channel service.
//!
//! Owns: channels, subscriptions, playlists and their order; the feed of what one subscribes to. Its database is
//! `data/channel/`. Its routes are those of [`proto::routes`] for `Service::Channel` and the calls of
//! [`proto::internal`]. Its queue is `channel-jobs`: announcements of channels, and removals in bounded pieces.
//! Its event log is read by video and notification. It keeps projections of accounts (from the gateway) and of
//! videos (from video).
//!
//! Deliberately absent: videos themselves (cards are asked for by id, on behalf of the caller), accounts, and what
//! a subscriber is told.

mod data;
mod error;
mod peers;
mod rank;
mod refill;
mod routes;
mod service;
mod worker;

use kit::Context;
use kit::http::SocketError;
use kit::logs::Projections;
use kit::queues::Queues;
use store::OpenError;

use crate::peers::Peers;
use crate::service::{Limits, Service};

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Its socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Runs the service until shutdown.
///
/// # Errors
/// If its database or its socket cannot be opened.
pub async fn run(context: Context) -> Result<(), RunError> {
    let store = kit::storage::open(&context, "channel").await?;
    let service = Service::new(store.clone(), Peers::new(&context), Limits::of(&context.config));
    let projections = Projections::new("channel", &store);
    worker::start(&context, &service, &projections);
    let queues = Queues::new("channel", &store).with(service.intake());
    let routes = queues.beside(projections.beside(routes::routes(&context, &service)));
    kit::run_service(&context, "channel", Some(store), routes).await?;
    Ok(())
}
