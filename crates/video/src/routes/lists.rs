//! Public lists, and one's own.

use std::sync::Arc;

use kit::http::{Routes, filter, reply};
use kit::{Caller, clock};
use proto::Problem;
use warp::Filter;

use super::with;
use crate::service::{ListQuery, OwnQuery, Service};

pub(super) fn routes(service: &Arc<Service>) -> Routes {
    public(service).or(of_channel(service)).unify().or(own(service)).unify().boxed()
}

fn public(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<ListQuery>())
        .then(async |service: Arc<Service>, caller: Caller, query: Result<ListQuery, Problem>| {
            reply::answer(async { service.list(&caller, &query?, clock::now()).await }.await)
        })
        .boxed()
}

fn of_channel(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "channels" / String / "videos")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<ListQuery>())
        .then(async |handle: String, service: Arc<Service>, caller: Caller, query: Result<ListQuery, Problem>| {
            reply::answer(async { service.channel_videos(&caller, &handle, &query?, clock::now()).await }.await)
        })
        .boxed()
}

fn own(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "me" / "videos")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<OwnQuery>())
        .then(async |service: Arc<Service>, caller: Caller, query: Result<OwnQuery, Problem>| {
            reply::answer(async { service.own_videos(&caller, query?).await }.await)
        })
        .boxed()
}
