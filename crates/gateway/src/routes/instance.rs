//! `/api/instance` and `/api/health`: what the instance is, and how it is.

use kit::http::{Routes, filter, reply};
use kit::{Caller, Peer};
use proto::api::account::Role;
use proto::api::instance::{Health, HealthStatus, ServiceHealth};
use proto::internal::StoreHealth;
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
        .and(filter::caller())
        .and(filter::with(app.clone()))
        .then(async |caller: Caller, app: App| {
            // Whoever is nobody in particular may know that something is down, and no more.
            let is_admin = caller.role == Role::Admin;
            reply::json(http::StatusCode::OK, &app.health(is_admin).await)
        })
        .boxed()
}

impl App {
    async fn health(&self, for_admin: bool) -> Health {
        let asked = self.peers.all().map(|peer| self.health_of(peer));
        let StoreHealth { nearly_full, mut notes } = kit::storage::health(Some(&self.service.store));
        notes.extend(self.backups.note());
        let name = Owner::Gateway.name().to_owned();
        let mut services = vec![ServiceHealth { name, status: HealthStatus::Ok, notes: sentences(nearly_full, notes) }];
        services.extend(futures_util::future::join_all(asked).await);
        if !for_admin {
            services.iter_mut().for_each(|service| service.notes.clear());
        }
        let all_well = services.iter().all(|service| service.status == HealthStatus::Ok);
        Health { status: if all_well { HealthStatus::Ok } else { HealthStatus::Degraded }, services }
    }

    async fn health_of(&self, peer: &Peer) -> ServiceHealth {
        let name = peer.name().to_owned();
        match within(peer.get::<StoreHealth>("/internal/health")).await {
            Some(Ok(StoreHealth { nearly_full, notes })) => {
                ServiceHealth { name, status: HealthStatus::Ok, notes: sentences(nearly_full, notes) }
            }
            // One that was stopped for good has left a note.
            _ => {
                let note = std::fs::read_to_string(self.data.stopped_note(&name)).ok();
                ServiceHealth { name, status: HealthStatus::Down, notes: note.into_iter().collect() }
            }
        }
    }
}

/// What is to be said of a store.
fn sentences(nearly_full: bool, mut notes: Vec<String>) -> Vec<String> {
    if nearly_full {
        notes.push("The disk is nearly full: only what is essential is written.".to_owned());
    }
    notes
}

pub(super) async fn within<T>(asked: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(HEALTH_TIMEOUT, asked).await.ok()
}
