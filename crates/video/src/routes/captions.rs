//! Subtitle tracks.

use std::sync::Arc;

use bytes::Bytes;
use kit::http::{Routes, filter, reply};
use kit::{Caller, clock};
use proto::{Problem, VideoId};
use warp::Filter;

use super::with;
use crate::service::{CAPTION_BYTES_MAX, Service};

pub(super) fn routes(service: &Arc<Service>) -> Routes {
    put(service).or(delete(service)).unify().boxed()
}

fn put(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos" / VideoId / "captions" / String)
        .and(warp::put())
        .and(with(service))
        .and(filter::caller())
        .and(filter::bytes_body(CAPTION_BYTES_MAX))
        .then(
            async |id: VideoId,
                   language: String,
                   service: Arc<Service>,
                   caller: Caller,
                   body: Result<Bytes, Problem>| {
                reply::answer(async { service.put_captions(&caller, id, &language, &body?, clock::now()).await }.await)
            },
        )
        .boxed()
}

fn delete(service: &Arc<Service>) -> Routes {
    warp::path!("api" / "videos" / VideoId / "captions" / String)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, language: String, service: Arc<Service>, caller: Caller| {
            reply::no_content(service.delete_captions(&caller, id, &language, clock::now()).await)
        })
        .boxed()
}
