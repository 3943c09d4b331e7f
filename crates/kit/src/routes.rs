//! What every service answers besides its own routes.

use http::{HeaderValue, StatusCode};
use store::Store;
use warp::Filter;

use crate::http::{Routes, filter, reply};
use crate::{storage, telemetry};

/// These routes, and `GET /internal/health` and `GET /internal/metrics` before them.
pub(crate) fn with_internal(routes: Routes, store: Option<&Store>) -> Routes {
    internal(store).or(routes).unify().boxed()
}

/// Both.
pub(crate) fn internal(store: Option<&Store>) -> Routes {
    let health = warp::path!("internal" / "health")
        .and(warp::get())
        .and(filter::with(store.cloned()))
        .map(|store: Option<Store>| reply::json(StatusCode::OK, &storage::health(store.as_ref())));
    let metrics = warp::path!("internal" / "metrics").and(warp::get()).map(|| {
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        reply::bytes(StatusCode::OK, text, telemetry::metrics())
    });
    health.or(metrics).unify().boxed()
}
