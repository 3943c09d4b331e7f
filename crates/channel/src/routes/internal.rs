//! What the other services ask.

use kit::Context;
use kit::http::{Routes, reply};
use kit::{clock, logs};
use proto::{ChannelId, UserId, VideoId};
use warp::Filter;

use super::with;
use crate::data::LOG;
use crate::refill;
use crate::service::Service;

pub(super) fn routes(context: &Context, service: &Service) -> Routes {
    by_id(service)
        .or(by_handle(service))
        .unify()
        .or(relations(service))
        .unify()
        .or(removals(service))
        .unify()
        .or(retry_removals(service))
        .unify()
        .or(logs::routes_with_snapshot(context, &service.store, LOG, refill::snapshot()))
        .unify()
        .boxed()
}

fn by_id(service: &Service) -> Routes {
    warp::path!("internal" / "channels" / ChannelId)
        .and(warp::get())
        .and(with(service))
        .then(async |id: ChannelId, service: Service| reply::answer(service.profile(id)))
        .boxed()
}

fn by_handle(service: &Service) -> Routes {
    warp::path!("internal" / "channels" / "by-handle" / String)
        .and(warp::get())
        .and(with(service))
        .then(async |handle: String, service: Service| reply::answer(service.profile_by_handle(&handle)))
        .boxed()
}

fn relations(service: &Service) -> Routes {
    warp::path!("internal" / "relations" / UserId / ChannelId / VideoId)
        .and(warp::get())
        .and(with(service))
        .then(async |user: UserId, channel: ChannelId, video: VideoId, service: Service| {
            reply::answer(service.relations(user, channel, video))
        })
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
