//! What the other services ask.

use kit::Context;
use kit::http::Routes;
use kit::{logs, removals};
use warp::Filter;

use crate::data::{JOBS, LOG, NOTIFY_LOG};
use crate::refill;
use crate::service::Service;

pub(super) fn routes(context: &Context, service: &Service) -> Routes {
    removals::routes(&service.store, JOBS, |_, job, user| job.concern(user), |look| look.log(LOG)?.log(NOTIFY_LOG))
        .or(logs::routes_with_snapshot(context, &service.store, LOG, refill::snapshot()))
        .unify()
        .or(logs::routes(context, &service.store, NOTIFY_LOG))
        .unify()
        .boxed()
}
