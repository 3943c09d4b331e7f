//! `/api/admin/backups`: make, list and verify backups. What takes long is begun here and goes on by itself; the
//! list says how far it is.

use http::StatusCode;
use kit::clock;
use kit::http::{Routes, reply};
use proto::Problem;
use proto::api::backup::BackupProgress;
use warp::Filter;

use super::{App, any_of};

/// All of them.
pub(super) fn routes(app: &App) -> Routes {
    any_of([list(app), create(app), verify(app)])
}

fn list(app: &App) -> Routes {
    warp::path!("api" / "admin" / "backups")
        .and(warp::get())
        .and(app.filter())
        .then(async |app: App| reply::answer(app.backups.show().await))
        .boxed()
}

fn create(app: &App) -> Routes {
    warp::path!("api" / "admin" / "backups")
        .and(warp::post())
        .and(app.filter())
        .then(async |app: App| reply::either(accepted(app.backups.start(clock::now()).await)))
        .boxed()
}

fn verify(app: &App) -> Routes {
    warp::path!("api" / "admin" / "backups" / String / "verify")
        .and(warp::post())
        .and(app.filter())
        .then(async |id: String, app: App| reply::either(accepted(app.backups.verify(&id, clock::now()).await)))
        .boxed()
}

fn accepted(begun: Result<BackupProgress, Problem>) -> Result<kit::http::Response, Problem> {
    begun.map(|progress| reply::json(StatusCode::ACCEPTED, &progress))
}
