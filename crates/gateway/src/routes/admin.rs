//! `/api/admin/…`: people and deletions.

use kit::http::{Routes, filter, reply};
use kit::paging::{self, PageQuery};
use proto::api::Page;
use proto::api::account::{AdminUser, CreateUser, PatchUser};
use proto::{Problem, UserId};
use warp::Filter;

use super::{App, any_of};
use crate::error::GatewayError;

/// All of them.
pub(super) fn routes(app: &App) -> Routes {
    any_of([list(app), create(app), patch(app), delete(app), deletions(app), retry_deletion(app)])
}

fn list(app: &App) -> Routes {
    warp::path!("api" / "admin" / "users")
        .and(warp::get())
        .and(filter::query::<PageQuery>())
        .and(app.filter())
        .map(|query, app: App| reply::answer(app.users(query)))
        .boxed()
}

fn create(app: &App) -> Routes {
    warp::path!("api" / "admin" / "users")
        .and(warp::post())
        .and(filter::json_body::<CreateUser>(app.json_limit()))
        .and(app.filter())
        .then(async |body: Result<CreateUser, Problem>, app: App| reply::created(app.create_user(body).await))
        .boxed()
}

fn patch(app: &App) -> Routes {
    warp::path!("api" / "admin" / "users" / String)
        .and(warp::patch())
        .and(filter::json_body::<PatchUser>(app.json_limit()))
        .and(app.filter())
        .then(async |id: String, body: Result<PatchUser, Problem>, app: App| {
            reply::answer(app.patch_user(&id, body).await)
        })
        .boxed()
}

fn delete(app: &App) -> Routes {
    warp::path!("api" / "admin" / "users" / String)
        .and(warp::delete())
        .and(app.filter())
        .then(async |id: String, app: App| reply::no_content(app.delete_user(&id).await))
        .boxed()
}

fn deletions(app: &App) -> Routes {
    warp::path!("api" / "admin" / "deletions")
        .and(warp::get())
        .and(app.filter())
        .then(async |app: App| reply::answer(app.deletions().await))
        .boxed()
}

fn retry_deletion(app: &App) -> Routes {
    warp::path!("api" / "admin" / "deletions" / String / "retry")
        .and(warp::post())
        .and(app.filter())
        .then(async |id: String, app: App| reply::no_content(app.retry_deletion(&id).await))
        .boxed()
}

impl App {
    fn users(&self, query: Result<PageQuery, Problem>) -> Result<Page<AdminUser>, Problem> {
        let query = query?;
        let limit = query.limit()?;
        let (users, more) = self.service.accounts.page(query.position::<UserId>()?, limit)?;
        let next_page_token = users.last().filter(|_| more).map(|user| paging::encode_token(&user.id));
        Ok(Page { items: users.iter().map(|user| user.admin_user()).collect(), next_page_token })
    }

    async fn create_user(&self, body: Result<CreateUser, Problem>) -> Result<AdminUser, Problem> {
        Ok(self.service.create_user(&body?, kit::clock::now()).await?.admin_user())
    }

    async fn delete_user(&self, id: &str) -> Result<(), Problem> {
        let id: UserId = id.parse().map_err(|_| GatewayError::NotFound)?;
        Ok(self.service.delete_user(id, kit::clock::now()).await?)
    }

    async fn patch_user(&self, id: &str, body: Result<PatchUser, Problem>) -> Result<AdminUser, Problem> {
        let id: UserId = id.parse().map_err(|_| GatewayError::NotFound)?;
        Ok(self.service.patch_user(id, &body?, kit::clock::now()).await?.admin_user())
    }
}
