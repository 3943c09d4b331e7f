//! What the other services ask.

use kit::Context;
use kit::http::{Routes, reply};
use kit::{logs, removals};
use proto::{ChannelId, UserId, VideoId};
use warp::Filter;

use super::with;
use crate::data::{JOBS, LOG};
use crate::refill;
use crate::service::Service;

pub(super) fn routes(context: &Context, service: &Service) -> Routes {
    by_id(service)
        .or(by_handle(service))
        .unify()
        .or(relations(service))
        .unify()
        .or(removals::routes(&service.store, JOBS, |_, job, user| job.concern(user), |look| look.log(LOG)))
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
