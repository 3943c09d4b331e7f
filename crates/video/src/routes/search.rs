//! Search and its suggestions.

use kit::http::{Routes, filter, reply};
use kit::{Caller, clock};
use proto::Problem;
use warp::Filter;

use crate::discovery::{Discovery, SearchQuery, SuggestQuery};

/// The routes of search.
pub(super) fn routes(discovery: &Discovery) -> Routes {
    suggest(discovery).or(find(discovery)).unify().boxed()
}

fn find(discovery: &Discovery) -> Routes {
    warp::path!("api" / "search")
        .and(warp::get())
        .and(filter::with(discovery.clone()))
        .and(filter::caller())
        .and(filter::query::<SearchQuery>())
        .then(async |discovery: Discovery, caller: Caller, query: Result<SearchQuery, Problem>| {
            reply::answer(async { discovery.search(caller, query?, clock::now()).await }.await)
        })
        .boxed()
}

fn suggest(discovery: &Discovery) -> Routes {
    warp::path!("api" / "search" / "suggest")
        .and(warp::get())
        .and(filter::with(discovery.clone()))
        .and(filter::caller())
        .and(filter::query::<SuggestQuery>())
        .then(async |discovery: Discovery, caller: Caller, query: Result<SuggestQuery, Problem>| {
            reply::answer(async { discovery.suggest(caller, query?, clock::now()).await }.await)
        })
        .boxed()
}
