//! Channels, subscriptions and the feed.

use http::{HeaderMap, Method};
use kit::http::etag::Condition;
use kit::http::{Response, Routes, filter, reply};
use kit::paging::PageQuery;
use kit::{Caller, clock};
use proto::Problem;
use proto::api::channel::{CreateChannel, PatchChannel, Subscription};
use warp::Filter;

use super::version::{accepts, tagged};
use super::with;
use crate::error::Error;
use crate::service::Service;

pub(super) fn routes(service: &Service, body_max_bytes: usize) -> Routes {
    create(service, body_max_bytes)
        .or(own(service))
        .unify()
        .or(read(service))
        .unify()
        .or(patch(service, body_max_bytes))
        .unify()
        .or(delete(service))
        .unify()
        .or(playlists(service))
        .unify()
        .or(subscribe(service, body_max_bytes))
        .unify()
        .or(unsubscribe(service))
        .unify()
        .or(subscriptions(service))
        .unify()
        .or(feed(service))
        .unify()
        .boxed()
}

fn create(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "channels")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::idempotency_key())
        .and(filter::json_body::<CreateChannel>(body_max_bytes))
        .then(async |service: Service, caller: Caller, key: Result<_, _>, body: Result<_, Problem>| {
            reply::created(async { service.create_channel(&caller, key?, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn own(service: &Service) -> Routes {
    warp::path!("api" / "me" / "channels")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.own_channels(&caller, &query?).await }.await)
        })
        .boxed()
}

fn read(service: &Service) -> Routes {
    warp::path!("api" / "channels" / String)
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::if_none_match())
        .then(async |handle: String, service: Service, caller: Caller, known: Condition| {
            let found = service.channel(&caller, &handle).await;
            reply::either(found.map(|found| tagged(&found.channel, found.version, &known, &Method::GET)))
        })
        .boxed()
}

fn patch(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "channels" / String)
        .and(warp::patch())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::json_body::<PatchChannel>(body_max_bytes))
        .then(async |handle: String, service: Service, caller: Caller, headers: HeaderMap, body: Result<_, Problem>| {
            let accepted = |version| accepts(&headers, version);
            reply::either(
                async {
                    let patched = service.patch_channel(&caller, &handle, body?, accepted, clock::now()).await?;
                    let known = Condition::default();
                    Ok::<Response, Error>(tagged(&patched.channel, patched.version, &known, &Method::PATCH))
                }
                .await,
            )
        })
        .boxed()
}

fn delete(service: &Service) -> Routes {
    warp::path!("api" / "channels" / String)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |handle: String, service: Service, caller: Caller| {
            reply::no_content(service.delete_channel(&caller, &handle, clock::now()).await)
        })
        .boxed()
}

fn playlists(service: &Service) -> Routes {
    warp::path!("api" / "channels" / String / "playlists")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |handle: String, service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.channel_playlists(&caller, &handle, &query?).await }.await)
        })
        .boxed()
}

fn subscribe(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "channels" / String / "subscription")
        .and(warp::put())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<Subscription>(body_max_bytes))
        .then(async |handle: String, service: Service, caller: Caller, body: Result<Subscription, Problem>| {
            reply::answer(async { service.subscribe(&caller, &handle, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn unsubscribe(service: &Service) -> Routes {
    warp::path!("api" / "channels" / String / "subscription")
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |handle: String, service: Service, caller: Caller| {
            reply::no_content(service.unsubscribe(&caller, &handle, clock::now()).await)
        })
        .boxed()
}

fn subscriptions(service: &Service) -> Routes {
    warp::path!("api" / "me" / "subscriptions")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.subscriptions(&caller, &query?).await }.await)
        })
        .boxed()
}

fn feed(service: &Service) -> Routes {
    warp::path!("api" / "me" / "feed")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.feed(&caller, &query?).await }.await)
        })
        .boxed()
}
