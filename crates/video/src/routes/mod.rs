//! The routes: path, method, what to extract, one call.

mod backup;
mod captions;
mod internal;
mod lists;
mod processing;
mod recommend;
mod search;
mod uploads;
mod version;
mod videos;

use std::sync::Arc;

use kit::Context;
use kit::http::{Routes, filter};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::discovery::Discovery;
use crate::service::Service;

/// All routes of this service.
pub(crate) fn routes(context: &Context, service: &Arc<Service>, discovery: &Discovery) -> Routes {
    let body_max_bytes = context.config.http.json_body_max_bytes;
    lists::routes(service)
        .or(videos::routes(service, body_max_bytes))
        .unify()
        .or(uploads::routes(service, context.config.media.upload_max_bytes))
        .unify()
        .or(processing::routes(service))
        .unify()
        .or(captions::routes(service))
        .unify()
        .or(search::routes(discovery))
        .unify()
        .or(recommend::routes(discovery, body_max_bytes))
        .unify()
        .or(internal::routes(context, service))
        .unify()
        .or(backup::routes(context, service))
        .unify()
        .boxed()
}

fn with(service: &Arc<Service>) -> BoxedFilter<(Arc<Service>,)> {
    filter::with(Arc::clone(service))
}
