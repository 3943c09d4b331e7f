//! One video.

use std::sync::Arc;

use http::{HeaderMap, Method};
use kit::http::etag::Condition;
use kit::http::{Response, Routes, filter, reply};
use kit::{Caller, clock};
use proto::api::video::{Chapter, PatchVideo};
use proto::{Problem, VideoId};
use warp::Filter;

use super::version::{accepts, insisted, tagged};
use super::with;
use crate::error::Error;
use crate::service::Service;

pub(super) fn routes(service: &Arc<Service>, body_max_bytes: usize) -> Routes {
    read(service)
        .or(patch(service, body_max_bytes))
        .unify()
        .or(delete(service))
        .unify()
        .or(chapters(service, body_max_bytes))
        .unify()
        .boxed()
}

fn read(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos" / VideoId)
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::if_none_match())
        .then(async |id: VideoId, service: Arc<Service>, caller: Caller, known: Condition| {
            let found = service.video(&caller, id);
            reply::either(found.map(|found| tagged(&found.video, found.version, &known, &Method::GET)))
        })
        .boxed()
}

fn patch(service: &Arc<Service>, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "videos" / VideoId)
        .and(warp::patch())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::json_body::<PatchVideo>(body_max_bytes))
        .then(
            async |id: VideoId, service: Arc<Service>, caller: Caller, headers: HeaderMap, body: Result<_, Problem>| {
                let insisted = insisted(&headers);
                let accepted = |version| accepts(insisted.as_ref(), version);
                reply::either(
                    async {
                        let patched = service.patch_video(&caller, id, body?, accepted, clock::now()).await?;
                        Ok::<Response, Error>(tagged(
                            &patched.video,
                            patched.version,
                            &Condition::default(),
                            &Method::PATCH,
                        ))
                    }
                    .await,
                )
            },
        )
        .boxed()
}

fn delete(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos" / VideoId)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, service: Arc<Service>, caller: Caller| {
            reply::no_content(service.delete_video(&caller, id).await)
        })
        .boxed()
}

fn chapters(service: &Arc<Service>, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "videos" / VideoId / "chapters")
        .and(warp::put())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<Vec<Chapter>>(body_max_bytes))
        .then(async |id: VideoId, service: Arc<Service>, caller: Caller, body: Result<Vec<Chapter>, Problem>| {
            reply::answer(async { service.put_chapters(&caller, id, body?, clock::now()).await }.await)
        })
        .boxed()
}
