//! Recommendations, what stands beside a video, and what people think of them.

use kit::http::{Routes, filter, reply};
use kit::paging::PageQuery;
use kit::{Caller, clock};
use proto::api::video::RecommendationFeedback;
use proto::{Problem, VideoId, codes};
use warp::Filter;

use crate::discovery::Discovery;

/// The routes of recommendations.
pub(super) fn routes(discovery: &Discovery, body_max_bytes: usize) -> Routes {
    home(discovery).or(related(discovery)).unify().or(feedback(discovery, body_max_bytes)).unify().boxed()
}

fn home(discovery: &Discovery) -> Routes {
    warp::path!("api" / "recommendations")
        .and(warp::get())
        .and(filter::with(discovery.clone()))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .map(|discovery: Discovery, caller: Caller, page: Result<PageQuery, Problem>| {
            reply::answer(page.and_then(|page| discovery.recommendations(&caller, &page, clock::now())))
        })
        .boxed()
}

fn related(discovery: &Discovery) -> Routes {
    warp::path!("api" / "videos" / String / "related")
        .and(warp::get())
        .and(filter::with(discovery.clone()))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .map(|id: String, discovery: Discovery, caller: Caller, page: Result<PageQuery, Problem>| {
            reply::answer(page.and_then(|page| {
                let unknown = |_| Problem::new(codes::NOT_FOUND, "There is no such video.");
                let video: VideoId = id.parse().map_err(unknown)?;
                discovery.related(&caller, video, &page, clock::now())
            }))
        })
        .boxed()
}

fn feedback(discovery: &Discovery, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "recommendations" / "feedback")
        .and(warp::post())
        .and(filter::with(discovery.clone()))
        .and(filter::caller())
        .and(filter::json_body::<RecommendationFeedback>(body_max_bytes))
        .then(async |discovery: Discovery, caller: Caller, body: Result<RecommendationFeedback, Problem>| {
            reply::no_content(async { discovery.feedback(&caller, body?, clock::now()).await }.await)
        })
        .boxed()
}
