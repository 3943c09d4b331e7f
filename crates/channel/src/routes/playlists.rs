//! Playlists and their items.

use http::{HeaderMap, Method};
use kit::http::etag::Condition;
use kit::http::{Response, Routes, filter, reply};
use kit::paging::PageQuery;
use kit::{Caller, clock};
use proto::api::playlist::{AddItem, CreatePlaylist, PatchItem, PatchPlaylist};
use proto::{ItemId, PlaylistId, Problem};
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
        .or(items(service))
        .unify()
        .or(add_item(service, body_max_bytes))
        .unify()
        .or(patch_item(service, body_max_bytes))
        .unify()
        .or(delete_item(service))
        .unify()
        .boxed()
}

fn create(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "playlists")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::idempotency_key())
        .and(filter::json_body::<CreatePlaylist>(body_max_bytes))
        .then(async |service: Service, caller: Caller, key: Result<_, _>, body: Result<_, Problem>| {
            reply::created(async { service.create_playlist(&caller, key?, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn own(service: &Service) -> Routes {
    warp::path!("api" / "me" / "playlists")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.own_playlists(&caller, &query?).await }.await)
        })
        .boxed()
}

fn read(service: &Service) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId)
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::if_none_match())
        .then(async |id: PlaylistId, service: Service, caller: Caller, known: Condition| {
            let found = service.playlist(&caller, id).await;
            reply::either(found.map(|found| tagged(&found.playlist, found.version, &known, &Method::GET)))
        })
        .boxed()
}

fn patch(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId)
        .and(warp::patch())
        .and(with(service))
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::json_body::<PatchPlaylist>(body_max_bytes))
        .then(async |id: PlaylistId, service: Service, caller: Caller, headers: HeaderMap, body: Result<_, Problem>| {
            let accepted = |version| accepts(&headers, version);
            reply::either(
                async {
                    let patched = service.patch_playlist(&caller, id, body?, accepted, clock::now()).await?;
                    let known = Condition::default();
                    Ok::<Response, Error>(tagged(&patched.playlist, patched.version, &known, &Method::PATCH))
                }
                .await,
            )
        })
        .boxed()
}

fn delete(service: &Service) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: PlaylistId, service: Service, caller: Caller| {
            reply::no_content(service.delete_playlist(&caller, id, clock::now()).await)
        })
        .boxed()
}

fn items(service: &Service) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId / "items")
        .and(warp::get())
        .and(with(service))
        .and(filter::caller())
        .and(filter::query::<PageQuery>())
        .then(async |id: PlaylistId, service: Service, caller: Caller, query: Result<PageQuery, Problem>| {
            reply::answer(async { service.items(&caller, id, &query?).await }.await)
        })
        .boxed()
}

fn add_item(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId / "items")
        .and(warp::post())
        .and(with(service))
        .and(filter::caller())
        .and(filter::idempotency_key())
        .and(filter::json_body::<AddItem>(body_max_bytes))
        .then(async |id: PlaylistId, service: Service, caller: Caller, key: Result<_, _>, body: Result<_, Problem>| {
            reply::created(async { service.add_item(&caller, id, key?, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn patch_item(service: &Service, body_max_bytes: usize) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId / "items" / ItemId)
        .and(warp::patch())
        .and(with(service))
        .and(filter::caller())
        .and(filter::json_body::<PatchItem>(body_max_bytes))
        .then(async |id: PlaylistId, item: ItemId, service: Service, caller: Caller, body: Result<_, Problem>| {
            reply::answer(async { service.patch_item(&caller, id, item, body?, clock::now()).await }.await)
        })
        .boxed()
}

fn delete_item(service: &Service) -> Routes {
    warp::path!("api" / "playlists" / PlaylistId / "items" / ItemId)
        .and(warp::delete())
        .and(with(service))
        .and(filter::caller())
        .then(async |id: PlaylistId, item: ItemId, service: Service, caller: Caller| {
            reply::no_content(service.delete_item(&caller, id, item, clock::now()).await)
        })
        .boxed()
}
