//! `/api/admin/projections…`: what each service keeps of the others' data, and the request to make it anew.

use kit::Peer;
use kit::http::{Routes, filter, reply};
use proto::Problem;
use proto::api::Page;
use proto::api::projection::{DeadLetter, DeadLetterName, Projection, Rebuild};
use proto::routes::Service as Owner;
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::Filter;

use super::instance::within;
use super::{App, any_of};
use crate::error::GatewayError;

/// The services that keep something of others.
const SERVICES: [Owner; 4] = [Owner::Channel, Owner::Video, Owner::Interaction, Owner::Notification];

/// All of them.
pub(super) fn routes(app: &App) -> Routes {
    any_of([
        list(app),
        dead(app),
        post::<Rebuild, Vec<Projection>>(app, "rebuild"),
        post::<DeadLetterName, ()>(app, "dead/retry"),
        post::<DeadLetterName, ()>(app, "dead/drop"),
    ])
}

fn list(app: &App) -> Routes {
    warp::path!("api" / "admin" / "projections")
        .and(warp::get())
        .and(app.filter())
        .then(async |app: App| reply::answer(app.projections().await))
        .boxed()
}

fn dead(app: &App) -> Routes {
    warp::path!("api" / "admin" / "projections" / String / "dead")
        .and(warp::get())
        .and(app.filter())
        .then(async |service: String, app: App| reply::answer(app.dead_letters(&service).await))
        .boxed()
}

/// `POST …/{service}/{action}`, answered by the service.
fn post<B, T>(app: &App, action: &'static str) -> Routes
where
    B: Serialize + DeserializeOwned + Send + Sync + 'static,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let path = warp::path!("api" / "admin" / "projections" / String / ..);
    let path = match action.split_once('/') {
        Some((first, second)) => path.and(warp::path(first)).and(warp::path(second)).boxed(),
        None => path.and(warp::path(action)).boxed(),
    };
    path.and(warp::path::end())
        .and(warp::post())
        .and(filter::json_body::<B>(app.json_limit()))
        .and(filter::with((app.clone(), action)))
        .then(async |service: String, body: Result<B, Problem>, (app, action): (App, &'static str)| {
            reply::answer(app.ask_of_projections::<B, T>(&service, action, body).await)
        })
        .boxed()
}

impl App {
    /// Every service's projections. One that is away is left out: what it keeps is in its own store.
    async fn projections(&self) -> Result<Page<Projection>, Problem> {
        let peers = SERVICES.iter().filter_map(|service| self.peers.named(service.name()));
        let asked = peers.map(|peer| async move { (peer, within(peer.get("/internal/projections")).await) });
        let mut items: Vec<Projection> = Vec::new();
        for (peer, answer) in futures_util::future::join_all(asked).await {
            match answer {
                Some(Ok::<Vec<Projection>, Problem>(more)) => items.extend(more),
                _ => tracing::warn!(service = peer.name(), "the projections of a service are not known"),
            }
        }
        Ok(Page { items, next_page_token: None })
    }

    async fn dead_letters(&self, service: &str) -> Result<Page<DeadLetter>, Problem> {
        let items = self.keeper(service)?.get("/internal/projections/dead").await?;
        Ok(Page { items, next_page_token: None })
    }

    async fn ask_of_projections<B: Serialize, T: DeserializeOwned>(
        &self,
        service: &str,
        action: &str,
        body: Result<B, Problem>,
    ) -> Result<T, Problem> {
        self.keeper(service)?.post(&format!("/internal/projections/{action}"), &body?).await
    }

    fn keeper(&self, service: &str) -> Result<&Peer, Problem> {
        let known = SERVICES.iter().any(|known| known.name() == service);
        Ok(self.peers.named(service).filter(|_| known).ok_or(GatewayError::NotFound)?)
    }
}
