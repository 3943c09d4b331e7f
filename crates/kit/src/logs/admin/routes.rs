//! `/internal/projections…`: what the admin asks a service about its projections.

use proto::Problem;
use proto::api::projection::{DeadLetterName, Rebuild};
use warp::Filter;

use crate::http::{Routes, filter, reply};
use crate::logs::registry::Projections;

/// The largest body of these calls, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What is done with a dead event.
#[derive(Debug, Clone, Copy)]
enum Action {
    Retry,
    Drop,
}

impl Projections {
    /// These routes, and those of this list besides.
    pub fn beside(&self, routes: Routes) -> Routes {
        routes.or(self.routes()).unify().boxed()
    }

    /// `GET /internal/projections`, `POST …/rebuild`, `GET …/dead`, `POST …/dead/retry` and `POST …/dead/drop`.
    pub fn routes(&self) -> Routes {
        self.list_route()
            .or(self.rebuild_route())
            .unify()
            .or(self.dead_route())
            .unify()
            .or(self.letter_route("retry", Action::Retry))
            .unify()
            .or(self.letter_route("drop", Action::Drop))
            .unify()
            .boxed()
    }

    fn list_route(&self) -> Routes {
        warp::path!("internal" / "projections")
            .and(warp::get())
            .and(filter::with(self.clone()))
            .then(async |this: Self| reply::answer(this.list()))
            .boxed()
    }

    fn rebuild_route(&self) -> Routes {
        warp::path!("internal" / "projections" / "rebuild")
            .and(warp::post())
            .and(filter::with(self.clone()))
            .and(filter::json_body(BODY_BYTES_MAX))
            .then(async |this: Self, body: Result<Rebuild, Problem>| {
                reply::answer(match body {
                    Ok(Rebuild { owner }) => this.rebuild(owner.as_deref()).await,
                    Err(problem) => Err(problem),
                })
            })
            .boxed()
    }

    fn dead_route(&self) -> Routes {
        warp::path!("internal" / "projections" / "dead")
            .and(warp::get())
            .and(filter::with(self.clone()))
            .then(async |this: Self| reply::answer(this.dead()))
            .boxed()
    }

    fn letter_route(&self, name: &'static str, action: Action) -> Routes {
        warp::path!("internal" / "projections" / "dead" / ..)
            .and(warp::path(name))
            .and(warp::path::end())
            .and(warp::post())
            .and(filter::with((self.clone(), action)))
            .and(filter::json_body(BODY_BYTES_MAX))
            .then(async |(this, action): (Self, Action), body: Result<DeadLetterName, Problem>| {
                reply::answer(match (body, action) {
                    (Ok(DeadLetterName { owner, sequence }), Action::Retry) => this.retry(&owner, sequence).await,
                    (Ok(DeadLetterName { owner, sequence }), Action::Drop) => this.forget(&owner, sequence).await,
                    (Err(problem), _) => Err(problem),
                })
            })
            .boxed()
    }
}
