//! The life of a service: open the socket, say so, answer until told to end, drain, close the store.

use std::future::Future;
use std::time::Duration;

use store::Store;

use crate::context::Context;
use crate::http::{Routes, ServeOptions, SocketError, UnixSocket, serve_unix, service};
use crate::limits::WORKERS_TIMEOUT;
use crate::{process, telemetry};

/// How often metrics are tidied.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Serves `routes` on `run/<name>.sock`, together with `GET /internal/health` (204) and `GET /internal/metrics`,
/// until shutdown. Then it drains, waits for the workers that [`Context::spawn`] started, and closes the store.
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
    let handler = service(crate::routes::with_internal(routes));
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
