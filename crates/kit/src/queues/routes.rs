//! The routes: path, method, extract, one call.

use proto::Problem;
use warp::Filter;

use super::{Action, JobsQuery, Queues};
use crate::http::{Routes, filter, reply};

impl Queues {
    /// These routes, and those of the queues besides.
    pub fn beside(&self, routes: Routes) -> Routes {
        routes.or(self.routes()).unify().boxed()
    }

    /// `GET /internal/queues`, `GET …/{queue}/jobs`, `POST …/{queue}/jobs/{id}/retry` and `DELETE …/{queue}/jobs/{id}`.
    pub fn routes(&self) -> Routes {
        self.list_route()
            .or(self.jobs_route())
            .unify()
            .or(self.retry_route())
            .unify()
            .or(self.drop_route())
            .unify()
            .boxed()
    }

    fn list_route(&self) -> Routes {
        warp::path!("internal" / "queues")
            .and(warp::get())
            .and(filter::with(self.clone()))
            .then(async |this: Self| reply::answer(this.list().await))
            .boxed()
    }

    fn jobs_route(&self) -> Routes {
        warp::path!("internal" / "queues" / String / "jobs")
            .and(warp::get())
            .and(filter::with(self.clone()))
            .and(filter::query::<JobsQuery>())
            .then(async |queue: String, this: Self, query: Result<JobsQuery, Problem>| {
                reply::answer(match query {
                    Ok(query) => this.jobs(&queue, query).await,
                    Err(problem) => Err(problem),
                })
            })
            .boxed()
    }

    fn retry_route(&self) -> Routes {
        warp::path!("internal" / "queues" / String / "jobs" / u64 / "retry")
            .and(warp::post())
            .and(filter::with(self.clone()))
            .then(async |queue: String, id: u64, this: Self| {
                reply::no_content(this.act(&queue, id, Action::Retry).await)
            })
            .boxed()
    }

    fn drop_route(&self) -> Routes {
        warp::path!("internal" / "queues" / String / "jobs" / u64)
            .and(warp::delete())
            .and(filter::with(self.clone()))
            .then(async |queue: String, id: u64, this: Self| {
                reply::no_content(this.act(&queue, id, Action::Drop).await)
            })
            .boxed()
    }
}
