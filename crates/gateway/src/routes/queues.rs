//! `/api/admin/queues…`: the work queues of every service, and what an admin does with their dead letters.

use http::Method;
use kit::Peer;
use kit::http::{Routes, filter, reply};
use kit::peer::segment;
use proto::Problem;
use proto::api::Page;
use proto::api::instance::QueueDepth;
use proto::api::queue::QueuedJob;
use warp::Filter;

use super::instance::within;
use super::{App, any_of};
use crate::error::GatewayError;

/// All of them.
pub(super) fn routes(app: &App) -> Routes {
    any_of([list(app), jobs(app), retry(app), drop_dead(app)])
}

fn list(app: &App) -> Routes {
    warp::path!("api" / "admin" / "queues")
        .and(warp::get())
        .and(app.filter())
        .then(async |app: App| reply::answer(app.queues().await))
        .boxed()
}

fn jobs(app: &App) -> Routes {
    warp::path!("api" / "admin" / "queues" / String / String / "jobs")
        .and(warp::get())
        .and(filter::raw_query())
        .and(app.filter())
        .then(async |service: String, queue: String, query: String, app: App| {
            reply::answer(app.queued_jobs(&service, &queue, &query).await)
        })
        .boxed()
}

fn retry(app: &App) -> Routes {
    warp::path!("api" / "admin" / "queues" / String / String / "jobs" / u64 / "retry")
        .and(warp::post())
        .and(app.filter())
        .then(async |service: String, queue: String, id: u64, app: App| {
            let path = format!("{}/jobs/{id}/retry", segment(&queue));
            reply::no_content(app.ask_of_queues(&service, Method::POST, &path).await)
        })
        .boxed()
}

fn drop_dead(app: &App) -> Routes {
    warp::path!("api" / "admin" / "queues" / String / String / "jobs" / u64)
        .and(warp::delete())
        .and(app.filter())
        .then(async |service: String, queue: String, id: u64, app: App| {
            let path = format!("{}/jobs/{id}", segment(&queue));
            reply::no_content(app.ask_of_queues(&service, Method::DELETE, &path).await)
        })
        .boxed()
}

impl App {
    /// Every service's queues. One that is away is left out: its queues are in its own store.
    async fn queues(&self) -> Result<Page<QueueDepth>, Problem> {
        let asked = self.peers.all().map(|peer| async move { (peer, within(peer.get("/internal/queues")).await) });
        let mut queues: Vec<QueueDepth> = Vec::new();
        for (peer, answer) in futures_util::future::join_all(asked).await {
            match answer {
                Some(Ok::<Vec<QueueDepth>, Problem>(more)) => queues.extend(more),
                Some(Err(problem)) if problem.status == 404 => {}
                _ => tracing::warn!(service = peer.name(), "the queues of a service are not known"),
            }
        }
        Ok(Page { items: queues, next_page_token: None })
    }

    async fn queued_jobs(&self, service: &str, queue: &str, query: &str) -> Result<Page<QueuedJob>, Problem> {
        let path = format!("/internal/queues/{}/jobs", segment(queue));
        let path = if query.is_empty() { path } else { format!("{path}?{query}") };
        self.worker(service)?.get(&path).await
    }

    async fn ask_of_queues(&self, service: &str, method: Method, path: &str) -> Result<(), Problem> {
        self.worker(service)?.call(method, &format!("/internal/queues/{path}"), None, None::<&()>).await
    }

    /// The process whose store has the queues of a service.
    fn worker(&self, service: &str) -> Result<&Peer, Problem> {
        Ok(self.peers.named(service).ok_or(GatewayError::NotFound)?)
    }
}
