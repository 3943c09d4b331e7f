//! `/internal/backup` of every service that has a store.

use std::time::Duration;

use proto::Problem;
use warp::Filter;

use super::part::Part;
use super::protocol::{StoreAsk, Wait};
use crate::http::{Routes, filter, reply};

/// A path and two names.
const ASK_MAX_BYTES: usize = 16 * 1024;

/// These routes, and a store's part of a backup before them.
pub(crate) fn before(routes: Routes, part: &Part) -> Routes {
    state(part).or(ask(part)).unify().or(routes).unify().boxed()
}

fn state(part: &Part) -> Routes {
    warp::path!("internal" / "backup")
        .and(warp::get())
        .and(filter::query::<Wait>())
        .and(filter::with(part.clone()))
        .then(async |query: Result<Wait, Problem>, part: Part| {
            reply::answer(match query {
                Ok(query) => Ok(part.state(Duration::from_secs(query.wait)).await),
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}

fn ask(part: &Part) -> Routes {
    warp::path!("internal" / "backup")
        .and(warp::post())
        .and(filter::json_body::<StoreAsk>(ASK_MAX_BYTES))
        .and(filter::with(part.clone()))
        .then(async |ask: Result<StoreAsk, Problem>, part: Part| {
            reply::answer(match ask {
                Ok(ask) => part.ask(ask).await,
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}
