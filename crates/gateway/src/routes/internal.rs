//! `/internal/…`: what the other services ask, on the gateway's own socket only.

use kit::http::{Routes, reply};
use kit::logs::Rows;
use proto::api::instance::QueueDepth;
use proto::events::{GatewayEvent, UserProfile};
use proto::{Problem, UserId};
use warp::Filter;

use super::{App, any_of};
use crate::data::{EVENTS, USERS};
use crate::error::GatewayError;

/// All of them.
pub(crate) fn routes(context: &kit::Context, app: &App) -> Routes {
    let snapshot = Rows::new().table(USERS, |_, _, user| Ok(Some(GatewayEvent::UserChanged { user: user.profile() })));
    let events = kit::logs::routes_with_snapshot(context, &app.service.store, EVENTS, snapshot);
    any_of([by_name(app), by_id(app), queues(), events])
}

fn by_id(app: &App) -> Routes {
    warp::path!("internal" / "users" / String)
        .and(warp::get())
        .and(app.filter())
        .map(|id: String, app: App| reply::answer(app.profile(&id)))
        .boxed()
}

fn by_name(app: &App) -> Routes {
    warp::path!("internal" / "users" / "by-name" / String)
        .and(warp::get())
        .and(app.filter())
        .map(|name: String, app: App| reply::answer(app.profile_by_name(&name)))
        .boxed()
}

fn queues() -> Routes {
    // The gateway has no queue: what it does, it does while the client waits.
    warp::path!("internal" / "queues")
        .and(warp::get())
        .map(|| reply::answer(Ok::<_, Problem>(Vec::<QueueDepth>::new())))
        .boxed()
}

impl App {
    fn profile(&self, id: &str) -> Result<UserProfile, GatewayError> {
        let id: UserId = id.parse().map_err(|_| GatewayError::NotFound)?;
        Ok(self.service.accounts.get(id)?.ok_or(GatewayError::NotFound)?.profile())
    }

    fn profile_by_name(&self, name: &str) -> Result<UserProfile, GatewayError> {
        Ok(self.service.accounts.by_name(name)?.ok_or(GatewayError::NotFound)?.profile())
    }
}
