//! `/api/instance` and `/api/health`: what the instance is, and how it is.

use kit::Peer;
use kit::http::{Routes, filter, reply};
use proto::Problem;
use proto::api::Page;
use proto::api::instance::{Health, HealthStatus, QueueDepth, ServiceHealth};
use proto::routes::Service as Owner;
use warp::Filter;

use super::{App, any_of};
use crate::limits::HEALTH_TIMEOUT;

/// Both.
pub(super) fn routes(app: &App) -> Routes {
    any_of([instance(app), health(app)])
}

fn instance(app: &App) -> Routes {
    warp::path!("api" / "instance")
        .and(warp::get())
        .and(app.filter())
        .map(|app: App| reply::answer(app.service.instance()))
        .boxed()
}

fn health(app: &App) -> Routes {
    warp::path!("api" / "health")
        .and(warp::get())
        .and(filter::with(app.clone()))
        .then(async |app: App| reply::json(http::StatusCode::OK, &app.health().await))
        .boxed()
}

impl App {
    async fn health(&self) -> Health {
        let asked = self.peers.all().map(health_of);
        let gateway = ServiceHealth { name: Owner::Gateway.name().to_owned(), status: HealthStatus::Ok };
        let mut services = vec![gateway];
        services.extend(futures_util::future::join_all(asked).await);
        let all_well = services.iter().all(|service| service.status == HealthStatus::Ok);
        Health { status: if all_well { HealthStatus::Ok } else { HealthStatus::Degraded }, services }
    }

    /// Every service's queues. One that is away is left out: its queues are in its own store.
    pub(super) async fn queues(&self) -> Result<Page<QueueDepth>, Problem> {
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
}

async fn health_of(peer: &Peer) -> ServiceHealth {
    let well = matches!(within(peer.get::<()>("/internal/health")).await, Some(Ok(())));
    let status = if well { HealthStatus::Ok } else { HealthStatus::Down };
    ServiceHealth { name: peer.name().to_owned(), status }
}

pub(super) async fn within<T>(asked: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(HEALTH_TIMEOUT, asked).await.ok()
}
