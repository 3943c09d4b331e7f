//! What the other services ask.

use kit::Context;
use kit::http::{Routes, reply};
use kit::logs;
use warp::Filter;

use super::with;
use crate::data::{LOG, NOTIFY_LOG};
use crate::service::Service;

pub(super) fn routes(context: &Context, service: &Service) -> Routes {
    queues(service)
        .or(logs::routes(context, &service.store, LOG))
        .unify()
        .or(logs::routes(context, &service.store, NOTIFY_LOG))
        .unify()
        .boxed()
}

fn queues(service: &Service) -> Routes {
    warp::path!("internal" / "queues")
        .and(warp::get())
        .and(with(service))
        .then(async |service: Service| reply::answer(service.queues()))
        .boxed()
}
