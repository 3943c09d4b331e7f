//! What every service answers besides its own routes.

use http::{HeaderValue, StatusCode};
use warp::Filter;

use crate::http::{Routes, reply};
use crate::telemetry;

/// These routes, and `GET /internal/health` (204) and `GET /internal/metrics` before them.
pub(crate) fn with_internal(routes: Routes) -> Routes {
    internal().or(routes).unify().boxed()
}

/// Both.
pub(crate) fn internal() -> Routes {
    let health = warp::path!("internal" / "health").and(warp::get()).map(|| reply::empty(StatusCode::NO_CONTENT));
    let metrics = warp::path!("internal" / "metrics").and(warp::get()).map(|| {
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        reply::bytes(StatusCode::OK, text, telemetry::metrics())
    });
    health.or(metrics).unify().boxed()
}
