//! Comments and replies.

use kit::http::{Routes, filter, reply};
use kit::paging::PageQuery;
use kit::{Caller, clock};
use proto::api::interaction::{CreateComment, PatchComment, Rated};
use proto::{CommentId, Problem, VideoId};
use serde::Deserialize;
use warp::Filter;

use super::with;
use crate::service::{Service, Sort};

/// `?sort=` besides the page.
#[derive(Debug, Deserialize)]
struct List {
    #[serde(default)]
    sort: Sort,
    #[serde(flatten)]
    page: PageQuery,
}

pub(super) fn routes(service: &Service, body_max_bytes: usize) -> Routes {
    list(service)
        .or(create(service, body_max_bytes))
        .unify()
        .or(replies(service))
        .unify()
        .or(patch(service, body_max_bytes))
        .unify()
        .or(delete(service))
        .unify()
        .or(rate(service, body_max_bytes))
        .unify()
        .boxed()
}

fn list(service: &Service) -> Routes {
    warp::path!("api" / "videos" / VideoId / "comments")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<List>())
        .then(async |id: VideoId, service: Service, caller: Caller, list: Result<List, Problem>| {
            reply::answer(
                async {
                    let List { sort, page } = list?;
                    service.comments(&caller, id, sort, &page).await
                }
                .await,
            )
        })
        .boxed()
}

fn create(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "videos" / VideoId / "comments")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::idempotency_key())
        .and(filter::json_body::<CreateComment>(body_max_bytes))
        .then(async |id: VideoId, service: Service, caller: Caller, key: Result<_, _>, body: Result<_, Problem>| {
            reply::created(async { service.create_comment(&caller, id, key?, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn replies(service: &Service) -> Routes {
    warp::path!("api" / "comments" / CommentId / "replies")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |id: CommentId, service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.replies(&caller, id, &query?).await }.await)
        })
        .boxed()
}

fn patch(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "comments" / CommentId)
        .and(warp::patch())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<PatchComment>(body_max_bytes))
        .then(async |id: CommentId, service: Service, caller: Caller, body: Result<PatchComment, Problem>| {
            reply::answer(async { service.patch_comment(&caller, id, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn delete(service: &Service) -> Routes {
    warp::path!("api" / "comments" / CommentId)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: CommentId, service: Service, caller: Caller| {
            reply::no_content(service.delete_comment(&caller, id, clock::now()).await)
        })
        .boxed()
}

fn rate(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "comments" / CommentId / "rating")
        .and(warp::put())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<Rated>(body_max_bytes))
        .then(async |id: CommentId, service: Service, caller: Caller, body: Result<Rated, Problem>| {
            reply::answer(async { service.rate_comment(&caller, id, body?, clock::now()).await }.await)
        })
        .boxed()
}
