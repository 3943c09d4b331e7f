//! The notification service: who is told what, stored and live.
//!
//! It owns the inboxes, unread counts and preferences; the websockets; and the fan-out between its own
//! processes. It runs as `[notification] processes` processes. Process 0 is the *home*: it has the store,
//! answers `/api/notifications…`, and hosts the fan-out unless `[fanout] url` names another. All of them,
//! the home included, hold websockets (`/api/notifications/socket`); the others ask the home over its
//! socket for what a client has missed.
//!
//! It follows the logs of the gateway, channel and video services and interaction's `notifications`, and
//! does its own `jobs`: telling the subscribers of a channel, and forgetting somebody.
//!
//! Deliberately absent: tickets (the gateway makes and redeems them, and sends authenticated upgrade
//! requests), e-mail and Web Push.

mod data;
mod error;
mod limits;
mod live;
mod refill;
mod routes;
mod service;
mod worker;

use kit::http::SocketError;
use kit::logs::Projections;
use kit::queues::Queues;
use kit::{Context, Peer, run_service};
use store::OpenError;
use tokio::sync::watch;

use live::{Backlog, Live, Publisher};
use service::{Inboxes, People};

pub use live::HostError;

/// The service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store cannot be opened.
    #[error("the notifications cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error("the notifications cannot be read: {0}")]
    Read(String),
    /// The fan-out cannot be hosted.
    #[error(transparent)]
    Host(#[from] HostError),
    /// `[fanout] url` is no address of one.
    #[error("[fanout] url: {0}")]
    Fanout(#[from] fanout::ConnectError),
    /// The service's own socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// The name of a process: of its socket and in the log.
fn process_name(process: usize) -> String {
    format!("notification-{process}")
}

/// Runs one process of the service until shutdown; process 0 is the home.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context, process: usize) -> Result<(), RunError> {
    match process {
        0 => run_home(context).await,
        _ => run_other(context, process).await,
    }
}

async fn run_home(context: Context) -> Result<(), RunError> {
    let store = kit::storage::open(&context, "notification").await?;
    let people = People::new(store.clone(), Peer::new(&context, "gateway"));
    let (inboxes, news) = Inboxes::new(
        store.clone(),
        people,
        context.config.notification.inbox_entries,
        context.config.queues.notification,
    )
    .map_err(|error| RunError::Read(error.to_string()))?;
    live::host(&context)?;
    let (live, messages) = Live::connect(&context, Backlog::here(inboxes.clone()))?;
    let (connected, connections) = watch::channel(0_u64);
    let publisher = Publisher::new(inboxes.clone(), live.clone());
    context.spawn("publisher", publisher.run(news, connections));
    context.spawn("live", live.clone().run(messages, move || connected.send_modify(|count| *count += 1)));
    let projections = Projections::new("notification", &store);
    worker::start(&context, &inboxes, &projections);
    let queues = Queues::new("notification", &store).with(inboxes.intake());
    let routes = queues.beside(projections.beside(routes::home(&inboxes, &live)));
    drop((inboxes, live));
    Ok(run_service(&context, &process_name(0), Some(store), routes).await?)
}

async fn run_other(context: Context, process: usize) -> Result<(), RunError> {
    let home = Peer::new(&context, &process_name(0));
    let (live, messages) = Live::connect(&context, Backlog::home(home))?;
    context.spawn("live", live.clone().run(messages, || {}));
    let routes = routes::other(&live);
    drop(live);
    Ok(run_service(&context, &process_name(process), None, routes).await?)
}
