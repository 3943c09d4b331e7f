//! What one has watched.

use kit::http::{Routes, filter, reply};
use kit::paging::PageQuery;
use kit::{Caller, clock};
use proto::api::interaction::HistoryPaused;
use proto::{Problem, VideoId};
use warp::Filter;

use super::with;
use crate::service::Service;

pub(super) fn routes(service: &Service, body_max_bytes: usize) -> Routes {
    list(service)
        .or(clear(service))
        .unify()
        .or(paused(service))
        .unify()
        .or(pause(service, body_max_bytes))
        .unify()
        .or(forget(service))
        .unify()
        .boxed()
}

fn list(service: &Service) -> Routes {
    warp::path!("api" / "me" / "history")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.history(&caller, &query?).await }.await)
        })
        .boxed()
}

fn clear(service: &Service) -> Routes {
    warp::path!("api" / "me" / "history")
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |service: Service, caller: Caller| {
            reply::no_content(service.clear_history(&caller, clock::now()).await)
        })
        .boxed()
}

fn paused(service: &Service) -> Routes {
    warp::path!("api" / "me" / "history" / "paused")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .then(async |service: Service, caller: Caller| reply::answer(service.history_paused(&caller)))
        .boxed()
}

fn pause(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "me" / "history" / "paused")
        .and(warp::put())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<HistoryPaused>(body_max_bytes))
        .then(async |service: Service, caller: Caller, body: Result<HistoryPaused, Problem>| {
            reply::answer(async { service.pause_history(&caller, body?).await }.await)
        })
        .boxed()
}

fn forget(service: &Service) -> Routes {
    warp::path!("api" / "me" / "history" / VideoId)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, service: Service, caller: Caller| {
            reply::no_content(service.forget(&caller, id, clock::now()).await)
        })
        .boxed()
}
