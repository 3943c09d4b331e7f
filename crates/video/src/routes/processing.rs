//! How far processing is, and trying again.

use std::sync::Arc;

use kit::http::{Routes, filter, reply};
use kit::{Caller, clock};
use proto::VideoId;
use warp::Filter;

use super::with;
use crate::service::Service;

pub(super) fn routes(service: &Arc<Service>) -> Routes {
    status(service).or(retry(service)).unify().or(all(service)).unify().or(retry_any(service)).unify().boxed()
}

fn status(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos" / VideoId / "processing")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, service: Arc<Service>, caller: Caller| reply::answer(service.processing(&caller, id)))
        .boxed()
}

fn retry(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos" / VideoId / "processing" / String / "retry")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, job: String, service: Arc<Service>, caller: Caller| {
            reply::answer(service.retry(&caller, Some(id), &job, clock::now()).await)
        })
        .boxed()
}

fn all(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "admin" / "jobs")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .then(async |service: Arc<Service>, caller: Caller| reply::answer(service.all_jobs(&caller).await))
        .boxed()
}

fn retry_any(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "admin" / "jobs" / String / "retry")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .then(async |job: String, service: Arc<Service>, caller: Caller| {
            reply::answer(service.retry(&caller, None, &job, clock::now()).await)
        })
        .boxed()
}
