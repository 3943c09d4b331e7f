//! `/api/me`: one's own account.

use http::{HeaderMap, StatusCode};
use kit::Caller;
use kit::http::{Response, Routes, filter, reply};
use proto::Problem;
use proto::api::account::{ChangePassword, DeleteMe, Me, PatchMe};
use warp::Filter;

use super::{App, any_of, cookies};
use crate::error::GatewayError;
use crate::service::sessions::Device;

/// All of them.
pub(super) fn routes(app: &App) -> Routes {
    any_of([get(app), patch(app), password(app), delete(app)])
}

fn get(app: &App) -> Routes {
    warp::path!("api" / "me")
        .and(warp::get())
        .and(filter::caller())
        .and(app.filter())
        .map(|caller: Caller, app: App| reply::answer(app.me(&caller)))
        .boxed()
}

fn patch(app: &App) -> Routes {
    warp::path!("api" / "me")
        .and(warp::patch())
        .and(filter::caller())
        .and(filter::json_body::<PatchMe>(app.json_limit()))
        .and(app.filter())
        .then(async |caller: Caller, body: Result<PatchMe, Problem>, app: App| {
            reply::answer(app.patch_me(&caller, body).await)
        })
        .boxed()
}

fn password(app: &App) -> Routes {
    warp::path!("api" / "me" / "password")
        .and(warp::put())
        .and(filter::caller())
        .and(filter::json_body::<ChangePassword>(app.json_limit()))
        .and(app.filter())
        .then(async |caller: Caller, body: Result<ChangePassword, Problem>, app: App| {
            reply::no_content(app.change_password(&caller, body).await)
        })
        .boxed()
}

fn delete(app: &App) -> Routes {
    warp::path!("api" / "me")
        .and(warp::delete())
        .and(filter::caller())
        .and(filter::headers())
        .and(filter::json_body::<DeleteMe>(app.json_limit()))
        .and(app.filter())
        .then(async |caller: Caller, headers: HeaderMap, body: Result<DeleteMe, Problem>, app: App| {
            reply::either(app.delete_me(&caller, &headers, body).await)
        })
        .boxed()
}

impl App {
    async fn delete_me(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Result<DeleteMe, Problem>,
    ) -> Result<Response, Problem> {
        let device = Device::new("", caller.address);
        self.service.delete_me(caller.signed_in()?, &body?, &device, kit::clock::now()).await?;
        let mut response = reply::empty(StatusCode::NO_CONTENT);
        cookies::clear(response.headers_mut(), self.source(caller, headers).is_secure());
        Ok(response)
    }

    fn me(&self, caller: &Caller) -> Result<Me, Problem> {
        let user = self.service.accounts.get(caller.signed_in()?)?.ok_or(GatewayError::NotFound)?;
        Ok(user.me())
    }

    async fn patch_me(&self, caller: &Caller, body: Result<PatchMe, Problem>) -> Result<Me, Problem> {
        let user = self.service.accounts.patch_me(caller.signed_in()?, &body?, kit::clock::now()).await?;
        Ok(user.me())
    }

    async fn change_password(&self, caller: &Caller, body: Result<ChangePassword, Problem>) -> Result<(), Problem> {
        let device = Device::new("", caller.address);
        Ok(self.service.change_password(caller.signed_in()?, caller.session, &body?, &device).await?)
    }
}
