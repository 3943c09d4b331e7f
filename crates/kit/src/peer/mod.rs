//! Calls to another service over its Unix socket: HTTP/1.1, kept-alive connections, a cap on calls at once.
//!
//! What a call can meet: over the cap, 503 `overloaded` at once; nobody listens, 503 `service-unavailable`
//! with `Retry-After`; it breaks after it was sent, the same, and it is not repeated, since it may have taken
//! effect.

mod connect;
mod headers;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use proto::{Problem, codes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::caller::Caller;
use crate::context::Context;
use crate::http::{Body, BodyError, Permits, reply, tunnel};
use crate::limits::{
    CONNECTION_BUFFER_MAX_BYTES, PEER_ANSWER_MAX_BYTES, PEER_CALL_TIMEOUT, PEER_CALLS_AT_ONCE, PEER_IDLE_TIMEOUT,
    UPGRADE_TIMEOUT,
};
use connect::Connector;

/// The host that stands in requests to services; their sockets decide where they go.
const AUTHORITY: &str = "djstream";

/// A client of one service. Clones share connections and cap.
#[derive(Debug, Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    connector: Connector,
    client: Client<Connector, Body>,
    permits: Permits,
    tunnels: TaskTracker,
}

impl Peer {
    /// A client of the process with this name: a service, or `notification-1` …
    pub fn new(context: &Context, name: &str) -> Self {
        Self::build(name, &context.data.socket(name), context.shutdown.tracker())
    }

    /// A client of the process that serves this socket; `name` is for messages.
    pub fn at(name: &str, socket: &Path) -> Self {
        Self::build(name, socket, TaskTracker::new())
    }

    fn build(name: &str, socket: &Path, tunnels: TaskTracker) -> Self {
        let connector = Connector::new(socket);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(PEER_IDLE_TIMEOUT)
            .pool_max_idle_per_host(PEER_CALLS_AT_ONCE)
            .http1_max_buf_size(CONNECTION_BUFFER_MAX_BYTES)
            .build(connector.clone());
        let permits = Arc::new(Semaphore::new(PEER_CALLS_AT_ONCE));
        Self { inner: Arc::new(Inner { name: name.to_owned(), connector, client, permits, tunnels }) }
    }

    /// The name of the process.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// `GET path` as one service to another, with the answer's JSON as `T`.
    ///
    /// # Errors
    /// The service's own problem, or one of this module's.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.call(Method::GET, path, None, None::<&()>).await
    }

    /// `GET path`; `None` when the answer is 404.
    ///
    /// # Errors
    /// As [`Peer::get`], without `not-found`.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Problem> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(problem) if problem.status == 404 => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// `POST path` with `body` as JSON, as one service to another.
    ///
    /// # Errors
    /// As [`Peer::get`].
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Problem> {
        self.call(Method::POST, path, None, Some(body)).await
    }

    /// Any call, on behalf of `caller` when there is one. An empty answer is read as JSON `null`, so `T` may
    /// be `()`.
    ///
    /// # Errors
    /// As [`Peer::get`].
    pub async fn call<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        caller: Option<&Caller>,
        body: Option<&B>,
    ) -> Result<T, Problem> {
        let request = self.request(method, path, caller, body)?;
        let answer = async {
            let response = self.send(request).await?;
            let status = response.status();
            let bytes = response.into_body().read(PEER_ANSWER_MAX_BYTES).await.map_err(|error| self.broke(&error))?;
            self.decode(status, &bytes)
        };
        match tokio::time::timeout(PEER_CALL_TIMEOUT, answer).await {
            Ok(result) => result,
            Err(_) => Err(self.unavailable("did not answer in time")),
        }
    }

    fn request<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        caller: Option<&Caller>,
        body: Option<&B>,
    ) -> Result<Request<Body>, Problem> {
        let defect = |what: &str| Problem::new(codes::INTERNAL, format!("A call to {} has {what}.", self.inner.name));
        let uri: Uri = path.parse().map_err(|_| defect("a path that is none"))?;
        let body = body.map(serde_json::to_vec).transpose().map_err(|_| defect("a body that is no JSON"))?;
        let has_body = body.is_some();
        let mut request = Request::new(body.map_or_else(Body::empty, Body::full));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if has_body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(caller) = caller {
            caller.write(request.headers_mut());
        }
        Ok(request)
    }

    fn decode<T: DeserializeOwned>(&self, status: StatusCode, bytes: &Bytes) -> Result<T, Problem> {
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { bytes };
        let unreadable = |error: serde_json::Error| {
            tracing::error!(peer = self.inner.name, %status, %error, "an answer cannot be read");
            Problem::new(codes::INTERNAL, format!("{} gave an answer that cannot be read.", self.inner.name))
        };
        if status.is_success() {
            return serde_json::from_slice(bytes).map_err(unreadable);
        }
        Err(serde_json::from_slice(bytes).unwrap_or_else(unreadable))
    }

    /// Passes a client's request on, and the answer back; bodies stream both ways. The request is encoded anew:
    /// what the client said about lengths and connections stays here. Identity headers are not touched; see
    /// [`Caller::write`] and [`strip`](crate::caller::strip).
    ///
    /// # Errors
    /// Only when the service could not be asked; its own errors are answers.
    pub async fn forward(&self, mut request: Request<Body>) -> Result<Response<Body>, Problem> {
        headers::clean_request(request.headers_mut());
        let mut response = self.send(request).await?;
        headers::clean_response(response.headers_mut());
        Ok(response)
    }

    /// Sends a request as it is, apart from its address.
    ///
    /// # Errors
    /// Only when the service could not be asked.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Problem> {
        let permit = self.permit()?;
        *request.uri_mut() = absolute(request.uri())?;
        match self.inner.client.request(request).await {
            Ok(response) => Ok(response.map(|body| Body::incoming(body).holding(permit))),
            Err(error) if error.is_connect() => {
                tracing::debug!(peer = self.inner.name, error = %chain(&error), "nobody listens");
                Err(self.unavailable("is not running at the moment"))
            }
            Err(error) => Err(self.broke(&BodyError::of(&error))),
        }
    }

    /// Passes on a client's request for another protocol (websocket), and if the service agrees, connects the
    /// two ends until one of them closes or `end` is cancelled. Such connections do not count as calls.
    ///
    /// # Errors
    /// As [`Peer::forward`]; a service that does not agree gives its answer.
    pub async fn tunnel(&self, mut request: Request<Body>, end: CancellationToken) -> Result<Response<Body>, Problem> {
        let permit = self.permit()?;
        let client = hyper::upgrade::on(&mut request);
        headers::clean_upgrade(request.headers_mut());
        let (parts, _) = request.into_parts();
        let asked = tokio::time::timeout(UPGRADE_TIMEOUT, self.inner.connector.upgrade(parts)).await;
        let mut response = match asked {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.unavailable(&format!("cannot be reached: {error}"))),
            Err(_) => return Err(self.unavailable("did not answer in time")),
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::clean_response(response.headers_mut());
            return Ok(response.map(|body| Body::incoming(body).holding(permit)));
        }
        let service = hyper::upgrade::on(&mut response);
        self.inner.tunnels.spawn(async move {
            let Ok((client, service)) = tokio::try_join!(client, service) else { return };
            let (client, service) = (hyper_util::rt::TokioIo::new(client), hyper_util::rt::TokioIo::new(service));
            if let Err(error) = tunnel::copy(client, service, &end).await {
                tracing::debug!(%error, "a tunnel broke");
            }
        });
        Ok(response.map(|_| Body::empty()))
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.inner.permits.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("peer_calls_refused_total", "peer" => self.inner.name.clone()).increment(1);
            Problem::new(codes::OVERLOADED, format!("{} has enough to do.", self.inner.name))
        })
    }

    fn unavailable(&self, what: &str) -> Problem {
        Problem::new(codes::SERVICE_UNAVAILABLE, format!("The {} service {what}.", self.inner.name))
    }

    /// A call that broke after it was sent: because of the client's own body, or of the service.
    fn broke(&self, error: &BodyError) -> Problem {
        match error {
            BodyError::Broken(reason) => {
                tracing::warn!(peer = self.inner.name, reason, "a call broke");
                self.unavailable("went away during the call, which may or may not have taken effect")
            }
            error => reply::body_problem(error),
        }
    }
}

/// The causes of an error in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The address with a scheme and host, as the client wants it.
fn absolute(uri: &Uri) -> Result<Uri, Problem> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::from_static(AUTHORITY));
    parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| Problem::new(codes::INVALID_REQUEST, "The address cannot be read."))
}

/// One segment of a path, with everything but unreserved characters percent-encoded (RFC 3986 §2.3).
pub fn segment(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
