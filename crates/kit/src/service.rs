//! The life of a service: open the socket, say so, answer until told to end, drain, close the store.

use std::future::Future;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use store::Store;
use warp::Filter;

use crate::context::Context;
use crate::http::{Routes, ServeOptions, SocketError, UnixSocket, reply, serve_unix, service};
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
    let handler = service(internal().or(routes).unify().boxed());
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

/// What every service answers.
fn internal() -> Routes {
    let health = warp::path!("internal" / "health").and(warp::get()).map(|| reply::empty(StatusCode::NO_CONTENT));
    let metrics = warp::path!("internal" / "metrics").and(warp::get()).map(|| {
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        reply::bytes(StatusCode::OK, text, telemetry::metrics())
    });
    health.or(metrics).unify().boxed()
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use store::Options;
    use tokio::time::timeout;

    use super::*;
    use crate::config::Config;
    use crate::{DataFolder, Peer, Shutdown};

    fn context(scratch: &tempfile::TempDir) -> Context {
        Context::new(Config::default(), DataFolder::open(scratch.path()).unwrap(), Shutdown::new())
    }

    #[tokio::test]
    async fn a_service_lives_from_its_socket_to_its_closed_store() {
        let scratch = tempfile::tempdir().unwrap();
        let context = context(&scratch);
        let folder = context.data.service("video");
        let store = Store::open(&folder, Options::default()).unwrap();
        let slow = warp::path!("slow").and(warp::get()).then(async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            reply::json(StatusCode::OK, &7)
        });
        let ended = Arc::new(AtomicBool::new(false));
        let (own, worker_ended) = (context.shutdown.clone(), ended.clone());
        context.spawn("worker", async move {
            own.requested().await;
            worker_ended.store(true, Ordering::SeqCst);
        });
        let own = context.clone();
        let run = tokio::spawn(async move { run_service(&own, "video", Some(store), slow.boxed()).await });
        let peer = Peer::new(&context, "video");
        while peer.get::<()>("/internal/health").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let call = tokio::spawn(async move { peer.get::<u32>("/slow").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        context.shutdown.request();
        timeout(Duration::from_secs(5), run).await.unwrap().unwrap().unwrap();
        assert_eq!(call.await.unwrap().unwrap(), 7, "a running request is answered");
        assert!(ended.load(Ordering::SeqCst));
        Store::open(&folder, Options::default()).expect("the store was let go");
    }

    #[tokio::test]
    async fn a_worker_that_panics_ends_the_service() {
        let scratch = tempfile::tempdir().unwrap();
        let context = context(&scratch);
        context.spawn("defect", async { panic!("a defect") });
        let run = run_service(&context, "video", None, internal());
        timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn sigterm_is_a_request_to_end() {
        let shutdown = Shutdown::listen().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        timeout(Duration::from_secs(5), shutdown.requested()).await.unwrap();
    }
}
