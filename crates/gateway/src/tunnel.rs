//! The notification socket: a ticket is redeemed here, then bytes go untouched to a notification process.

use http::header::{self, HeaderMap};
use http::{Method, Request, Response};
use hyper::upgrade::OnUpgrade;
use kit::Caller;
use kit::http::{Body, tunnel};
use proto::{Problem, codes};
use tokio_util::sync::CancellationToken;

use crate::edge::Edge;
use crate::forward;
use crate::headers::check_same_site;
use crate::source::Source;

/// What an upgrade request may bring along (RFC 6455 §4.1).
const PASSED_ON: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
];

/// `GET /api/notifications/socket?ticket=&after=`
pub(crate) async fn open(edge: &Edge, mut request: Request<Body>, source: &Source) -> Result<Response<Body>, Problem> {
    check_same_site(request.headers(), source, &edge.service.config.http)?;
    if !tunnel::is_upgrade(request.headers()) {
        return Err(Problem::new(codes::INVALID_REQUEST, "This address speaks WebSocket only."));
    }
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let on_upgrade =
        on_upgrade.ok_or_else(|| Problem::new(codes::INVALID_REQUEST, "This connection cannot change."))?;
    let ticket = parameter(request.uri().query(), "ticket").unwrap_or_default();
    let holder = edge.service.tickets.redeem(&ticket, kit::clock::now())?;
    let identity = edge.service.of_session(holder.user, holder.session)?;
    let end = edge.service.sessions.end_of(holder.session).ok_or(crate::error::GatewayError::TokenInvalid)?;
    let caller = edge.caller(Some(&identity), source);
    connect(edge, &request, &on_upgrade, &caller, &end).await
}

/// Asks the caller's own notification process, and if that is away the next one.
async fn connect(
    edge: &Edge,
    request: &Request<Body>,
    on_upgrade: &OnUpgrade,
    caller: &Caller,
    end: &CancellationToken,
) -> Result<Response<Body>, Problem> {
    let user = caller.signed_in()?;
    let mut last = Problem::new(codes::SERVICE_UNAVAILABLE, "No notification process is running.");
    for peer in edge.peers.sockets_for(user) {
        match peer.tunnel(upstream(request, on_upgrade, caller)?, end.child_token()).await {
            Ok(response) => return Ok(response),
            Err(problem) if problem.is(codes::SERVICE_UNAVAILABLE) => last = problem,
            Err(problem) => return Err(problem),
        }
    }
    Err(last)
}

fn upstream(request: &Request<Body>, on_upgrade: &OnUpgrade, caller: &Caller) -> Result<Request<Body>, Problem> {
    let after = parameter(request.uri().query(), "after");
    let path = after.map_or_else(
        || "/api/notifications/socket".to_owned(),
        |after| format!("/api/notifications/socket?after={}", kit::peer::segment(&after)),
    );
    let mut headers = HeaderMap::new();
    for name in PASSED_ON {
        headers.extend(request.headers().get_all(&name).iter().map(|value| (name.clone(), value.clone())));
    }
    forward::introduce(&mut headers, caller);
    let mut upstream = Request::new(Body::empty());
    *upstream.method_mut() = Method::GET;
    *upstream.uri_mut() =
        path.parse().map_err(|_| Problem::new(codes::INVALID_REQUEST, "The address cannot be read."))?;
    *upstream.headers_mut() = headers;
    upstream.extensions_mut().insert(on_upgrade.clone());
    Ok(upstream)
}

/// A parameter of a query.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let found = form_urlencoded::parse(query?.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}
