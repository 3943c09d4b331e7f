//! The routes: path, method, what to extract, one call.

mod comments;
mod history;
mod internal;
mod videos;

use kit::Context;
use kit::http::{Routes, filter};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::service::Service;

/// All routes of this service.
pub(crate) fn routes(context: &Context, service: &Service) -> Routes {
    let body_max_bytes = context.config.http.json_body_max_bytes;
    videos::routes(service, body_max_bytes)
        .or(comments::routes(service, body_max_bytes))
        .unify()
        .or(history::routes(service, body_max_bytes))
        .unify()
        .or(internal::routes(context, service))
        .unify()
        .boxed()
}

fn with(service: &Service) -> BoxedFilter<(Service,)> {
    filter::with(service.clone())
}
