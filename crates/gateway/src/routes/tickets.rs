//! `POST /api/notifications/ticket`: the socket itself is in `tunnel`.

use kit::Caller;
use kit::http::{Routes, filter, reply};
use proto::Problem;
use proto::api::notification::Ticket;
use warp::Filter;

use super::App;
use crate::limits::TICKET_TTL_MS;
use crate::service::tickets::Holder;

/// That one.
pub(super) fn routes(app: &App) -> Routes {
    warp::path!("api" / "notifications" / "ticket")
        .and(warp::post())
        .and(filter::caller())
        .and(app.filter())
        .map(|caller: Caller, app: App| reply::answer(app.ticket(&caller)))
        .boxed()
}

impl App {
    fn ticket(&self, caller: &Caller) -> Result<Ticket, Problem> {
        let user = caller.signed_in()?;
        // The admin of this machine has no inbox.
        let session = caller.session.ok_or_else(|| Problem::new(proto::codes::NOT_SIGNED_IN, "Sign in first."))?;
        let (ticket, _) = self.service.tickets.make(Holder { user, session }, kit::clock::now())?;
        Ok(Ticket { ticket, expires_in: u32::try_from(TICKET_TTL_MS / 1000).unwrap_or(0) })
    }
}
