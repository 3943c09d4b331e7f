//! The front door: looks at every request once, and says who answers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use kit::Caller;
use kit::http::{Body, Filtered, Handler, reply};
use proto::api::account::Role;
use proto::routes::{self, Found, Route, Service as Owner};
use proto::{Problem, codes};

use crate::error::GatewayError;
use crate::forward::Peers;
use crate::headers;
use crate::media::Media;
use crate::pages::Pages;
use crate::service::Service;
use crate::service::identity::{Identity, LOCAL_ADMIN};
use crate::service::tokens::TokenKind;
use crate::source::Source;
use crate::tunnel;

/// By which door a request comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The TCP listener: anybody.
    Public,
    /// The gateway's own Unix socket: this machine's user and root only (the accept loop sees to that). Who
    /// brings no token is the admin of this machine.
    Local,
}

/// Answers every request of one door. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    parts: Arc<Parts>,
    door: Door,
}

/// What all doors share.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) service: Arc<Service>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) media: Media,
    pub(crate) pages: Pages,
    /// The gateway's own routes.
    pub(crate) own: Filtered,
    requests: AtomicU64,
}

impl std::ops::Deref for Edge {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Parts {
    /// These parts.
    pub(crate) fn new(service: Arc<Service>, peers: Arc<Peers>, media: Media, pages: Pages, own: Filtered) -> Self {
        Self { service, peers, media, pages, own, requests: AtomicU64::new(rand::random()) }
    }
}

impl Handler for Edge {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let source = Source::of(&request, &self.service.config.http);
        let result = self.dispatch(request, &source).await;
        let mut response = result.unwrap_or_else(|problem| reply::problem_body(&problem));
        headers::everywhere(response.headers_mut(), source.is_secure());
        response
    }
}

impl Edge {
    /// The door to these parts.
    pub(crate) fn new(parts: Arc<Parts>, door: Door) -> Self {
        Self { parts, door }
    }

    async fn dispatch(&self, request: Request<Body>, source: &Source) -> Result<Response<Body>, Problem> {
        let path = request.uri().path();
        if path.starts_with("/api/") || path.starts_with("/.well-known/") {
            return self.api(request, source).await;
        }
        match self.door {
            Door::Public if path.starts_with("/media/") => self.media(request, source).await,
            Door::Public if path.starts_with("/internal") => Err(nothing_here()),
            Door::Public => self.pages.answer(self, &request, source).await,
            Door::Local => Err(nothing_here()),
        }
    }

    async fn api(&self, request: Request<Body>, source: &Source) -> Result<Response<Body>, Problem> {
        let allowed = headers::allowed_origin(request.headers(), &self.service.config.http);
        if headers::is_preflight(&request) {
            let view = allowed.is_none() && is_view(request.uri().path());
            return Ok(if view { headers::preflight_everybody() } else { headers::preflight(allowed) });
        }
        let for_everybody = allowed.is_none() && is_for_embeds(&request);
        let answered = self.answer(request, source).await;
        let mut response = answered.unwrap_or_else(|problem| reply::problem_body(&problem));
        match allowed {
            Some(origin) => headers::cors(response.headers_mut(), origin),
            None if for_everybody => headers::everybody(response.headers_mut()),
            None => {}
        }
        Ok(response)
    }

    async fn answer(&self, request: Request<Body>, source: &Source) -> Result<Response<Body>, Problem> {
        if self.door == Door::Public {
            self.service.throttle.request(source.address)?;
        }
        let route = match routes::find(request.method().as_str(), request.uri().path()) {
            Found::Route(route) => route,
            Found::OtherMethod => return Err(Problem::new(codes::METHOD_NOT_ALLOWED, "Use another method.")),
            Found::Nothing => return Err(nothing_here()),
        };
        let identity = self.authenticate(route, request.headers())?;
        let caller = self.caller(identity.as_ref(), source);
        allow(route, &caller)?;
        match route.service {
            Owner::Gateway if route.pattern == "/api/notifications/socket" => tunnel::open(self, request, source).await,
            Owner::Gateway => Ok(self.own(request, &caller).await),
            service => self.peers.forward(service, request, &caller).await,
        }
    }

    /// Hands a request to one of our own routes, which read the caller as those of any service do.
    async fn own(&self, mut request: Request<Body>, caller: &Caller) -> Response<Body> {
        kit::caller::strip(request.headers_mut());
        caller.write(request.headers_mut());
        let mut response = self.parts.own.handle(request).await;
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    async fn media(&self, request: Request<Body>, source: &Source) -> Result<Response<Body>, Problem> {
        if request.method() == Method::OPTIONS {
            return Ok(headers::preflight_everybody());
        }
        let identity = match bearer(request.headers())? {
            Some(token) => Some(self.service.identify(token, TokenKind::Access, kit::clock::now())?),
            None => crate::routes::cookies::media(request.headers(), source)
                .and_then(|token| self.service.identify(token, TokenKind::Media, kit::clock::now()).ok()),
        };
        let caller = self.caller(identity.as_ref(), source);
        self.media.answer(&request, caller).await
    }

    /// Who brings a token. The routes that make tokens do not look at an old one.
    fn authenticate(&self, route: &Route, headers: &HeaderMap) -> Result<Option<Identity>, Problem> {
        if route.pattern == "/api/auth/logout" {
            // Whose token has run out wants to leave all the same.
            let token = bearer(headers).ok().flatten();
            return Ok(token.and_then(|token| self.service.identify(token, TokenKind::Access, kit::clock::now()).ok()));
        }
        if route.least == Role::Guest && route.pattern.starts_with("/api/auth/") {
            return Ok(None);
        }
        match bearer(headers)? {
            Some(token) => Ok(Some(self.service.identify(token, TokenKind::Access, kit::clock::now())?)),
            None => Ok(None),
        }
    }

    /// The caller as services get to know it.
    pub(crate) fn caller(&self, identity: Option<&Identity>, source: &Source) -> Caller {
        let number = self.parts.requests.fetch_add(1, Ordering::Relaxed);
        let guest = Caller {
            address: source.address,
            origin: source.origin.clone(),
            request: format!("{number:016x}"),
            ..Caller::guest()
        };
        match identity {
            Some(identity) => Caller {
                user: Some(identity.user),
                username: Some(identity.username.clone()),
                role: identity.role,
                session: Some(identity.session),
                ..guest
            },
            None if self.door == Door::Local => Caller { user: Some(LOCAL_ADMIN), role: Role::Admin, ..guest },
            None => guest,
        }
    }
}

fn nothing_here() -> Problem {
    Problem::new(codes::NOT_FOUND, "There is nothing at this address.")
}

/// Whether a caller may use a route. What of the answer it may see is the service's to decide.
fn allow(route: &Route, caller: &Caller) -> Result<(), Problem> {
    if caller.role >= route.least {
        return Ok(());
    }
    match caller.user {
        None => Err(Problem::new(codes::NOT_SIGNED_IN, "Sign in first.")),
        Some(_) => Err(Problem::new(codes::FORBIDDEN, "Your account may not do that.")),
    }
}

/// The bearer token, if there is any authorization (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, GatewayError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or(GatewayError::TokenInvalid)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(GatewayError::TokenInvalid),
    }
}

/// Whether the embed page asks this. It runs in frames without an origin, so everybody may, but nobody with
/// credentials.
fn is_for_embeds<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let single = path.strip_prefix("/api/videos/").is_some_and(|id| !id.is_empty() && !id.contains('/'));
    let asked = match *request.method() {
        Method::GET => single || path == "/api/instance",
        Method::POST => is_view(path),
        _ => false,
    };
    asked && !request.headers().contains_key(header::AUTHORIZATION)
}

/// `/api/videos/{id}/views`: a player says that a guest watches.
fn is_view(path: &str) -> bool {
    let id = path.strip_prefix("/api/videos/").and_then(|rest| rest.strip_suffix("/views"));
    id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}
