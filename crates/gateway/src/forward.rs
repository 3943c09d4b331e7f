//! Passes requests on to the service that answers them, with who is asking, and nothing that a client could say
//! about that itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response};
use kit::http::Body;
use kit::{Caller, Context, Peer, caller};
use moka::sync::Cache;
use proto::routes::Service;
use proto::{Problem, UserId, codes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The processes of the other services.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) channel: Peer,
    pub(crate) video: Peer,
    pub(crate) interaction: Peer,
    /// The first is the home.
    notification: Vec<Peer>,
    /// Requests of one person that are being answered.
    running: Cache<UserId, Arc<Semaphore>>,
    calls_at_once: usize,
}

impl Peers {
    /// The processes of this instance.
    pub(crate) fn new(context: &Context) -> Self {
        let notification = 0..context.config.notification.processes.max(1);
        Self {
            channel: Peer::new(context, Service::Channel.name()),
            video: Peer::new(context, Service::Video.name()),
            interaction: Peer::new(context, Service::Interaction.name()),
            notification: notification.map(|k| Peer::new(context, &format!("notification-{k}"))).collect(),
            running: Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(600)).build(),
            calls_at_once: usize::try_from(context.config.limits.calls_at_once).unwrap_or(usize::MAX),
        }
    }

    /// Every process, in the order in which they are shown.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        [&self.channel, &self.video, &self.interaction].into_iter().chain(&self.notification)
    }

    /// The process that keeps a service's data.
    pub(crate) fn named(&self, service: &str) -> Option<&Peer> {
        Service::ALL.into_iter().find(|known| known.name() == service).and_then(|service| self.of(service))
    }

    /// The processes that hold websockets; each person's own one first.
    pub(crate) fn sockets_for(&self, user: UserId) -> impl Iterator<Item = &Peer> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let count = self.notification.len();
        let first = usize::try_from(hasher.finish() % count.max(1) as u64).unwrap_or(0);
        (0..count).map(move |offset| &self.notification[(first + offset) % count])
    }

    /// The process that answers a service's calls; `None` for the gateway itself.
    fn of(&self, service: Service) -> Option<&Peer> {
        match service {
            Service::Gateway => None,
            Service::Channel => Some(&self.channel),
            Service::Video => Some(&self.video),
            Service::Interaction => Some(&self.interaction),
            Service::Notification => self.notification.first(),
        }
    }

    /// Passes a request on; bodies stream both ways.
    pub(crate) async fn forward(
        &self,
        service: Service,
        mut request: Request<Body>,
        caller: &Caller,
    ) -> Result<Response<Body>, Problem> {
        let peer = self.of(service).ok_or_else(|| Problem::new(codes::NOT_FOUND, "There is nothing here."))?;
        let _turn = self.turn(caller)?;
        introduce(request.headers_mut(), caller);
        let mut response = peer.forward(request).await?;
        // Readable by its owner only, and asked for again each time, unless the service says otherwise.
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
        Ok(response)
    }

    /// One of the requests that a person may have running.
    fn turn(&self, caller: &Caller) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let Some(user) = caller.user else { return Ok(None) };
        let running = self.running.get_with(user, || Arc::new(Semaphore::new(self.calls_at_once)));
        running.try_acquire_owned().map(Some).map_err(|_| {
            Problem::new(codes::RATE_LIMITED, format!("{} of your requests are running.", self.calls_at_once))
        })
    }
}

/// Takes away what a client could use to pretend, and what is not for services, and says who it is.
pub(crate) fn introduce(headers: &mut HeaderMap, caller: &Caller) {
    caller::strip(headers);
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    caller.write(headers);
}
