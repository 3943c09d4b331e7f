//! What the other services ask.

use std::sync::Arc;

use kit::http::{Routes, filter, reply};
use kit::{Caller, Context, logs, removals};
use proto::internal::{Cards, CardsQuery};
use proto::{Problem, VideoId};
use warp::Filter;

use super::with;
use crate::data::{JOBS, LOG};
use crate::refill;
use crate::service::Service;

/// Cards of one call.
const CARDS_MAX: usize = 500;
/// 500 ids of 22 characters, and some air.
const CARDS_BODY_BYTES_MAX: usize = 32 * 1024;

pub(super) fn routes(context: &Context, service: &Arc<Service>) -> Routes {
    profile(service)
        .or(cards(service))
        .unify()
        .or(media_grants(service))
        .unify()
        .or(removals::routes(&service.store, JOBS, |store, job, user| job.concern(store, user), |look| look.log(LOG)))
        .unify()
        .or(logs::routes_with_snapshot(context, &service.store, LOG, refill::snapshot()))
        .unify()
        .boxed()
}

fn profile(service: &Arc<Service>) -> Routes {
    warp::path!("internal" / "videos" / VideoId)
        .and(warp::get())
        .and(with(service))
        .then(async |id: VideoId, service: Arc<Service>| reply::answer(service.profile(id)))
        .boxed()
}

fn cards(service: &Arc<Service>) -> Routes {
    warp::path!("internal" / "cards")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<CardsQuery>(CARDS_BODY_BYTES_MAX))
        .then(async |service: Arc<Service>, caller: Caller, query: Result<CardsQuery, Problem>| {
            reply::answer(query.and_then(|query| {
                if query.ids.len() > CARDS_MAX {
                    return Err(Problem::field("ids", format!("At most {CARDS_MAX} videos are asked for at once.")));
                }
                Ok(Cards { cards: service.cards(&query.ids, &caller) })
            }))
        })
        .boxed()
}

fn media_grants(service: &Arc<Service>) -> Routes {
    warp::path!("internal" / "media-grants" / VideoId)
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: VideoId, service: Arc<Service>, caller: Caller| {
            reply::answer(service.media_grant(&caller, id))
        })
        .boxed()
}
