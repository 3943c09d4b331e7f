//! The routes: path, method, what to extract, one call.

mod channels;
mod internal;
mod playlists;
mod version;

use kit::Context;
use kit::http::Routes;
use kit::http::filter;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::service::Service;

/// All routes of this service.
pub(crate) fn routes(context: &Context, service: &Service) -> Routes {
    let body_max_bytes = context.config.http.json_body_max_bytes;
    channels::routes(service, body_max_bytes)
        .or(playlists::routes(service, body_max_bytes))
        .unify()
        .or(internal::routes(context, service))
        .unify()
        .boxed()
}

fn with(service: &Service) -> BoxedFilter<(Service,)> {
    filter::with(service.clone())
}
