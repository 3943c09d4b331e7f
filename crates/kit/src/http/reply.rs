//! Answers: values turned into responses, errors into RFC 9457 problem details, in one place.

use bytes::Bytes;
use futures_util::Stream;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response as HttpResponse, StatusCode};
use http_body::Body as _;
use http_body_util::BodyDataStream;
use proto::{Problem, codes};
use serde::Serialize;
use warp::Reply;

use super::Response;
use super::body::{Body, BodyError, BoxError};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `value` as JSON.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => bytes(status, APPLICATION_JSON, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            problem(Problem::new(codes::INTERNAL, "The answer cannot be written."))
        }
    }
}

/// An answer without a body, such as 204.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Vec::new().into_response();
    response.headers_mut().clear();
    *response.status_mut() = status;
    response
}

/// These bytes, of this `Content-Type`.
pub fn bytes(status: StatusCode, content_type: HeaderValue, bytes: impl Into<Bytes>) -> Response {
    let mut response = HttpResponse::new(bytes.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Pieces as they come. Set `Content-Length` on the answer when it is known.
pub fn stream<S, E>(status: StatusCode, content_type: HeaderValue, stream: S) -> Response
where
    S: Stream<Item = Result<Bytes, E>> + Send + Sync + 'static,
    E: Into<BoxError> + Send + 'static,
{
    let mut response = warp::reply::stream(stream).into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// A response of ours as one that a warp filter yields: what [`Peer::forward`](crate::peer::Peer::forward)
/// gave, for example.
pub fn from_http(response: HttpResponse<Body>) -> Response {
    let (parts, body) = response.into_parts();
    let size = body.size_hint().exact();
    let mut out = match size {
        Some(0) => empty(parts.status),
        _ => warp::reply::stream(BodyDataStream::new(body)).into_response(),
    };
    *out.status_mut() = parts.status;
    *out.headers_mut() = parts.headers;
    *out.extensions_mut() = parts.extensions;
    if let Some(size) = size.filter(|size| *size > 0) {
        out.headers_mut().insert(header::CONTENT_LENGTH, size.into());
    }
    out
}

/// A problem, with its status and `Retry-After`.
pub fn problem(problem: impl Into<Problem>) -> Response {
    let problem = problem.into();
    let mut response = bytes(status_of(&problem), PROBLEM_JSON, problem_text(&problem));
    problem_headers(&problem, response.headers_mut());
    response
}

/// The same for handlers that do without warp.
pub fn problem_body(problem: &Problem) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::full(problem_text(problem)));
    *response.status_mut() = status_of(problem);
    response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
    problem_headers(problem, response.headers_mut());
    response
}

fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn problem_text(problem: &Problem) -> Vec<u8> {
    // Strings and numbers only: this cannot fail.
    serde_json::to_vec(problem).unwrap_or_default()
}

fn problem_headers(problem: &Problem, headers: &mut HeaderMap) {
    if problem.status >= 500 && problem.status != 503 {
        tracing::error!(code = problem.code, detail = problem.detail, "answered with an error");
    }
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if problem.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// 200 with the value as JSON, or the problem.
pub fn answer<T: Serialize, E: Into<Problem>>(result: Result<T, E>) -> Response {
    answer_with(StatusCode::OK, result)
}

/// `status` with the value as JSON, or the problem.
pub fn answer_with<T: Serialize, E: Into<Problem>>(status: StatusCode, result: Result<T, E>) -> Response {
    result.map_or_else(problem, |value| json(status, &value))
}

/// 201 with the value as JSON, or the problem.
pub fn created<T: Serialize, E: Into<Problem>>(result: Result<T, E>) -> Response {
    answer_with(StatusCode::CREATED, result)
}

/// 204, or the problem.
pub fn no_content<E: Into<Problem>>(result: Result<(), E>) -> Response {
    result.map_or_else(problem, |()| empty(StatusCode::NO_CONTENT))
}

/// The answer itself, or the problem.
pub fn either<E: Into<Problem>>(result: Result<Response, E>) -> Response {
    result.unwrap_or_else(problem)
}

/// Adds a header; a value that no header can carry is left out, with an error in the log.
#[must_use]
pub fn with_header(mut response: Response, name: HeaderName, value: impl AsRef<[u8]>) -> Response {
    match HeaderValue::from_bytes(value.as_ref()) {
        Ok(value) => drop(response.headers_mut().insert(name, value)),
        Err(_) => tracing::error!(%name, "a header's value cannot be sent"),
    }
    response
}

/// What a failed body is answered with.
pub fn body_problem(error: &BodyError) -> Problem {
    match error {
        BodyError::TooLarge { limit_bytes } => {
            Problem::new(codes::BODY_TOO_LARGE, format!("At most {limit_bytes} bytes are accepted here."))
        }
        BodyError::TooSlow => Problem::new(codes::INVALID_REQUEST, "The body arrived too slowly."),
        BodyError::Broken(_) => Problem::new(codes::INVALID_REQUEST, "The body broke off before its end."),
    }
}
