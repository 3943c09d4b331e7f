//! DjStream's interaction service.
//!
//! Owns: ratings, comments, views, watch history, and the counts of them. Its database is `data/interaction/`. Its
//! routes are those of [`proto::routes`] for `Service::Interaction` and the calls of [`proto::internal`]. Its queue
//! is `interactions`: what was answered and is still to be counted and told, each exactly once in effect, in one
//! lane; removals in bounded pieces in the other. It tells video what happened in its log `events`, and whom to tell
//! in `notifications`. It keeps projections of accounts (from the gateway) and of videos (from video).
//!
//! Deliberately absent: videos, channels and accounts themselves, inboxes, and any ranking of videos.

mod data;
mod error;
mod peers;
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
use crate::service::Service;

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
    let store = kit::storage::open(&context, "interaction").await?;
    let service = Service::new(store.clone(), Peers::new(&context), &context.config);
    let projections = Projections::new("interaction", &store);
    worker::start(&context, &service, &projections);
    let queues = Queues::new("interaction", &store).with(service.intake());
    let routes = queues.beside(projections.beside(routes::routes(&context, &service)));
    kit::run_service(&context, "interaction", Some(store), routes).await?;
    Ok(())
}
