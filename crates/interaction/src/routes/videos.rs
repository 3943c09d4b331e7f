//! What one has to do with a video: rating, views, where to resume.

use kit::http::{Routes, filter, reply};
use kit::{Caller, clock};
use proto::api::interaction::{Rated, View};
use proto::{Problem, VideoId};
use warp::Filter;

use super::with;
use crate::service::Service;

pub(super) fn routes(service: &Service, body_max_bytes: usize) -> Routes {
    me(service)
        .or(rating(service))
        .unify()
        .or(rate(service, body_max_bytes))
        .unify()
        .or(view(service, body_max_bytes))
        .unify()
        .boxed()
}

fn me(service: &Service) -> Routes {
    warp::path!("api" / "videos" / VideoId / "me")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, service: Service, caller: Caller| {
            reply::answer(service.video_and_me(&caller, id).await)
        })
        .boxed()
}

fn rating(service: &Service) -> Routes {
    warp::path!("api" / "videos" / VideoId / "rating")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, service: Service, caller: Caller| reply::answer(service.rating(&caller, id).await))
        .boxed()
}

fn rate(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "videos" / VideoId / "rating")
        .and(warp::put())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<Rated>(body_max_bytes))
        .then(async |id: VideoId, service: Service, caller: Caller, body: Result<Rated, Problem>| {
            reply::answer(async { service.rate_video(&caller, id, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn view(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "videos" / VideoId / "views")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<View>(body_max_bytes))
        .then(async |id: VideoId, service: Service, caller: Caller, body: Result<View, Problem>| {
            reply::answer(async { service.view(&caller, id, body?, clock::now()).await }.await)
        })
        .boxed()
}
