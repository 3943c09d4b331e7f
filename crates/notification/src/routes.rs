//! The routes: path, method, extract, one call.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use kit::Caller;
use kit::http::filter::{caller, headers, json_body, query, upgrade, with};
use kit::http::{Response, Routes, reply};
use kit::paging::{self, PageQuery};
use proto::api::Page;
use proto::api::notification::{MarkRead, Notification, Preferences, UnreadCount};
use proto::{NotificationId, Problem, UserId};
use serde::Deserialize;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::Filter;

use crate::data::JOBS;
use crate::error::Error;
use crate::limits::BODY_MAX_BYTES;
use crate::live::{self, Live};
use crate::service::{Inboxes, ReadWhat};

/// `?after=`: the last id seen.
#[derive(Debug, Deserialize)]
struct AfterQuery {
    after: Option<String>,
}

impl AfterQuery {
    fn id(&self) -> Result<Option<NotificationId>, Error> {
        let text = self.after.as_deref().filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| Error::After)).transpose()
    }
}

/// What the home answers.
pub(crate) fn home(inboxes: &Inboxes, live: &Live) -> Routes {
    list(inboxes)
        .or(unread(inboxes))
        .unify()
        .or(read(inboxes))
        .unify()
        .or(preferences(inboxes))
        .unify()
        .or(set_preferences(inboxes))
        .unify()
        .or(backlog(inboxes))
        .unify()
        .or(kit::removals::routes(&inboxes.store, JOBS, |_, job, user| job.concern(user), |look| Ok(look)))
        .unify()
        .or(socket(live))
        .unify()
        .boxed()
}

/// What the other processes answer.
pub(crate) fn other(live: &Live) -> Routes {
    // Whoever asks all processes for their queues gets an answer from all.
    let no_queues = warp::path!("internal" / "queues").and(warp::get()).map(|| reply::json(StatusCode::OK, &[(); 0]));
    socket(live).or(no_queues).unify().boxed()
}

fn list(inboxes: &Inboxes) -> Routes {
    async fn answer(inboxes: &Inboxes, caller: &Caller, page: &PageQuery) -> Result<Page<Notification>, Problem> {
        let user = caller.signed_in()?;
        let limit = page.limit()?;
        let after: Option<NotificationId> = page.position()?;
        let entries = inboxes.list(user, caller.role, after, limit + 1).await?;
        Ok(paging::page(entries.into_iter().map(|entry| (entry.id, entry)), limit))
    }
    warp::path!("api" / "notifications")
        .and(warp::get())
        .and(with(inboxes.clone()))
        .and(caller())
        .and(query())
        .then(async |inboxes: Inboxes, caller: Caller, page: Result<PageQuery, Problem>| {
            reply::answer(match page {
                Ok(page) => answer(&inboxes, &caller, &page).await,
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}

fn unread(inboxes: &Inboxes) -> Routes {
    fn answer(inboxes: &Inboxes, caller: &Caller) -> Result<UnreadCount, Problem> {
        Ok(inboxes.unread(caller.signed_in()?)?)
    }
    warp::path!("api" / "notifications" / "unread-count")
        .and(warp::get())
        .and(with(inboxes.clone()))
        .and(caller())
        .then(async |inboxes: Inboxes, caller: Caller| reply::answer(answer(&inboxes, &caller)))
        .boxed()
}

fn read(inboxes: &Inboxes) -> Routes {
    async fn answer(
        inboxes: &Inboxes,
        caller: &Caller,
        body: Result<MarkRead, Problem>,
    ) -> Result<UnreadCount, Problem> {
        let user = caller.signed_in()?;
        Ok(inboxes.mark_read(user, ReadWhat::try_from(body?)?).await?)
    }
    warp::path!("api" / "notifications" / "read")
        .and(warp::post())
        .and(with(inboxes.clone()))
        .and(caller())
        .and(json_body(BODY_MAX_BYTES))
        .then(async |inboxes: Inboxes, caller: Caller, body| reply::answer(answer(&inboxes, &caller, body).await))
        .boxed()
}

fn preferences(inboxes: &Inboxes) -> Routes {
    fn answer(inboxes: &Inboxes, caller: &Caller) -> Result<Preferences, Problem> {
        Ok(inboxes.preferences(caller.signed_in()?)?)
    }
    warp::path!("api" / "notifications" / "preferences")
        .and(warp::get())
        .and(with(inboxes.clone()))
        .and(caller())
        .then(async |inboxes: Inboxes, caller: Caller| reply::answer(answer(&inboxes, &caller)))
        .boxed()
}

fn set_preferences(inboxes: &Inboxes) -> Routes {
    async fn answer(
        inboxes: &Inboxes,
        caller: &Caller,
        body: Result<Preferences, Problem>,
    ) -> Result<Preferences, Problem> {
        let user = caller.signed_in()?;
        Ok(inboxes.set_preferences(user, body?).await?)
    }
    warp::path!("api" / "notifications" / "preferences")
        .and(warp::put())
        .and(with(inboxes.clone()))
        .and(caller())
        .and(json_body(BODY_MAX_BYTES))
        .then(async |inboxes: Inboxes, caller: Caller, body| reply::answer(answer(&inboxes, &caller, body).await))
        .boxed()
}

/// For the other processes of this service.
fn backlog(inboxes: &Inboxes) -> Routes {
    async fn answer(
        inboxes: &Inboxes,
        user: UserId,
        after: Result<AfterQuery, Problem>,
    ) -> Result<Page<Notification>, Problem> {
        Ok(live::backlog_page(inboxes, user, after?.id()?).await?)
    }
    warp::path!("internal" / "backlog" / UserId)
        .and(warp::get())
        .and(with(inboxes.clone()))
        .and(query())
        .then(async |user, inboxes: Inboxes, after| reply::answer(answer(&inboxes, user, after).await))
        .boxed()
}

fn socket(live: &Live) -> Routes {
    fn answer(
        live: &Live,
        caller: &Caller,
        headers: &HeaderMap,
        after: Result<AfterQuery, Problem>,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response, Problem> {
        let user = caller.signed_in()?;
        let after = after?.id()?;
        let (accept, upgrade) = accept_key(headers).zip(upgrade).ok_or(Error::NotAWebSocket)?;
        live.serve(upgrade, live.admit(user)?, after);
        let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
        let out = response.headers_mut();
        out.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        out.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        Ok(response)
    }
    warp::path!("api" / "notifications" / "socket")
        .and(warp::get())
        .and(with(live.clone()))
        .and(caller())
        .and(headers())
        .and(query())
        .and(upgrade())
        .then(async |live: Live, caller: Caller, headers: HeaderMap, after, upgrade| {
            reply::either(answer(&live, &caller, &headers, after, upgrade))
        })
        .boxed()
}

/// The answer to a websocket's handshake (RFC 6455 §4.2), if it is one.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is = |name, value: &str| {
        headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    if !is(header::UPGRADE, "websocket") || !is(header::SEC_WEBSOCKET_VERSION, "13") {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}
