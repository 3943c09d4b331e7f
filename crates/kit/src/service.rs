//! The life of a service: open the socket, say so, answer until told to end, drain, close the store.

use std::future::Future;
use std::time::Duration;

use store::Store;

use crate::backup::{self, Part};
use crate::context::Context;
use crate::http::{Routes, ServeOptions, SocketError, UnixSocket, serve_unix, service};
use crate::limits::WORKERS_TIMEOUT;
use crate::{process, telemetry};

/// How often metrics are tidied.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Serves `routes` on `run/<name>.sock`, together with `GET /internal/health`, `GET /internal/metrics`
/// and, where there is a store, `/internal/backup`, until shutdown. Then it drains, waits for the workers that [`Context::spawn`] started, and closes the store.
///
/// # Errors
/// If the socket cannot be opened.
pub async fn run_service(
    context: &Context,
    name: &str,
    store: Option<Store>,
    routes: Routes,
) -> Result<(), SocketError> {
    run_service_with(context, name, store, routes, std::future::ready(())).await
}

/// [`run_service`], with something beside it that ends at shutdown too: the gateway's public listener.
///
/// # Errors
/// If the socket cannot be opened.
pub async fn run_service_with(
    context: &Context,
    name: &str,
    store: Option<Store>,
    routes: Routes,
    beside: impl Future<Output = ()>,
) -> Result<(), SocketError> {
    let socket = UnixSocket::bind(&context.data.socket(name))?;
    let routes = match &store {
        Some(store) => backup::before(routes, &Part::new(service_of(name), store.clone())),
        None => routes,
    };
    let handler = service(crate::routes::with_internal(routes, store.as_ref()));
    context.spawn("metrics", upkeep(context.clone()));
    tracing::info!(service = name, "ready");
    process::notify_ready();
    let options = ServeOptions::service(&context.config);
    tokio::join!(serve_unix(socket, handler, options, &context.shutdown), beside);
    if !context.shutdown.finish(WORKERS_TIMEOUT).await {
        tracing::warn!(service = name, "some workers did not end in time");
    }
    if let Some(store) = store {
        store.close().await;
    }
    tracing::info!(service = name, "ended");
    Ok(())
}

/// `notification` for the process `notification-0`: the name of the folder.
fn service_of(process: &str) -> &str {
    process.split_once('-').map_or(process, |(service, _)| service)
}

async fn upkeep(context: Context) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => telemetry::upkeep(),
            () = context.shutdown.requested() => return,
        }
    }
}

#[cfg(test)]
mod tests;
