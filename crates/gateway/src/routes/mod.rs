//! The gateway's own routes: path, method, extract, one call. Whether the caller may use a route was decided by
//! the table in `proto::routes` before.

mod admin;
mod auth;
mod backups;
pub(crate) mod cookies;
mod deletions;
mod instance;
pub(crate) mod internal;
mod me;
mod projections;
mod queues;
mod tickets;

use std::sync::Arc;

use http::{HeaderMap, Method, Request};
use kit::http::{Body, Handler, Routes, filter, reply};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::backup::Backups;
use crate::edge::Edge;
use crate::forward::Peers;
use crate::service::Service;

/// What the handlers need. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) backups: Arc<Backups>,
    /// Where the supervisor leaves notes.
    pub(crate) data: kit::DataFolder,
}

impl App {
    fn filter(&self) -> BoxedFilter<(Self,)> {
        filter::with(self.clone())
    }

    fn json_limit(&self) -> usize {
        self.service.config.http.json_body_max_bytes
    }
}

/// The public routes that the gateway answers itself.
pub(crate) fn own(app: &App) -> Routes {
    any_of([
        auth::routes(app),
        me::routes(app),
        instance::routes(app),
        admin::routes(app),
        backups::routes(app),
        projections::routes(app),
        queues::routes(app),
        tickets::routes(app),
    ])
}

/// The first of these that takes a request.
fn any_of<const N: usize>(all: [Routes; N]) -> Routes {
    let mut all = all.into_iter();
    let first = all.next().unwrap_or_else(|| warp::any().map(|| reply::empty(http::StatusCode::NOT_FOUND)).boxed());
    all.fold(first, |routes, more| routes.or(more).unify().boxed())
}

/// The gateway's own socket: what services ask, and the same API as outside.
pub(crate) fn local(context: &kit::Context, app: &App, edge: Edge) -> Routes {
    any_of([internal::routes(context, app), whole(edge)])
}

/// Every request that no other route takes, as a whole.
fn whole(edge: Edge) -> Routes {
    warp::method()
        .and(warp::path::full())
        .and(filter::raw_query())
        .and(filter::headers())
        .and(filter::body())
        .and(filter::with(edge))
        .then(
            async |method: Method,
                   path: warp::path::FullPath,
                   query: String,
                   headers: HeaderMap,
                   body: Body,
                   edge: Edge| {
                let uri =
                    if query.is_empty() { path.as_str().to_owned() } else { format!("{}?{query}", path.as_str()) };
                let mut request = Request::new(body);
                *request.method_mut() = method;
                *request.uri_mut() = uri.parse().unwrap_or_default();
                *request.headers_mut() = headers;
                reply::from_http(edge.handle(request).await)
            },
        )
        .boxed()
}
