//! What the other services ask.

use kit::Context;
use kit::http::{Routes, reply};
use kit::{clock, logs};
use proto::UserId;
use warp::Filter;

use super::with;
use crate::data::{LOG, NOTIFY_LOG};
use crate::refill;
use crate::service::Service;

pub(super) fn routes(context: &Context, service: &Service) -> Routes {
    removals(service)
        .or(retry_removals(service))
        .unify()
        .or(logs::routes_with_snapshot(context, &service.store, LOG, refill::snapshot()))
        .unify()
        .or(logs::routes(context, &service.store, NOTIFY_LOG))
        .unify()
        .boxed()
}

fn removals(service: &Service) -> Routes {
    warp::path!("internal" / "removals" / UserId)
        .and(warp::get())
        .and(with(service))
        .then(async |user: UserId, service: Service| reply::answer(service.removals(user).await))
        .boxed()
}

fn retry_removals(service: &Service) -> Routes {
    warp::path!("internal" / "removals" / UserId / "retry")
        .and(warp::post())
        .and(with(service))
        .then(async |user: UserId, service: Service| {
            reply::no_content(service.retry_removals(user, clock::now()).await)
        })
        .boxed()
}
