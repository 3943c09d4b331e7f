//! `/internal/backup/media`: what the gateway asks while it makes a backup.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kit::Context;
use kit::backup::protocol::{MediaAsk, Wait};
use kit::http::{Routes, filter, reply};
use proto::Problem;
use tokio_util::sync::CancellationToken;
use warp::Filter;

use super::with;
use crate::service::Service;

/// Two paths and a name.
const ASK_BODY_BYTES_MAX: usize = 32 * 1024;

pub(super) fn routes(context: &Context, service: &Arc<Service>) -> Routes {
    state(service).or(ask(context, service)).unify().boxed()
}

fn state(service: &Arc<Service>) -> Routes {
    warp::path!("internal" / "backup" / "media")
        .and(warp::get())
        .and(filter::query::<Wait>())
        .and(with(service))
        .then(async |query: Result<Wait, Problem>, service: Arc<Service>| {
            reply::answer(match query {
                Ok(query) => Ok(service.backup.state(Duration::from_secs(query.wait)).await),
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}

fn ask(context: &Context, service: &Arc<Service>) -> Routes {
    warp::path!("internal" / "backup" / "media")
        .and(warp::post())
        .and(filter::json_body::<MediaAsk>(ASK_BODY_BYTES_MAX))
        .and(with(service))
        .and(filter::with(context.shutdown.token()))
        .then(async |ask: Result<MediaAsk, Problem>, service: Arc<Service>, stop: CancellationToken| {
            reply::answer(match ask {
                Ok(ask) => service.ask_backup(ask, SystemTime::now(), stop).await,
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}
