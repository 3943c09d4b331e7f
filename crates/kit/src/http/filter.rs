//! Filters that every service needs. None of them rejects: what can fail yields a `Result`, and the handler
//! passes it on with `?`. So a rejection means 'not my route' and nothing else.
//!
//! In a route, the path comes first, then the method, then these; otherwise a wrong method is told as 404.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::header::{self, HeaderMap};
use hyper::upgrade::OnUpgrade;
use proto::{Problem, codes};
use serde::de::DeserializeOwned;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::body::{Body, BodyError};
use super::etag::Condition;
use super::{decode, reply};
use crate::caller::Caller;
use crate::limits::IDEMPOTENCY_KEY_MAX_CHARS;

/// A request's body, piece by piece.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send + Sync>>;

/// A clone of `value` for each request.
pub fn with<T: Clone + Send + Sync + 'static>(value: T) -> BoxedFilter<(T,)> {
    warp::any().map(move || value.clone()).boxed()
}

/// Who is asking, as the gateway said. A call between services has no user.
pub fn caller() -> BoxedFilter<(Caller,)> {
    warp::header::headers_cloned().map(|headers: HeaderMap| Caller::read(&headers)).boxed()
}

/// All headers.
pub fn headers() -> BoxedFilter<(HeaderMap,)> {
    warp::header::headers_cloned().boxed()
}

/// The body as JSON of at most `limit_bytes`: 415 without a JSON type, 413 when longer, 400 when it is not
/// JSON, 422 with the field's name when a field is unknown, missing or of the wrong type.
pub fn json_body<T: DeserializeOwned + Send + 'static>(limit_bytes: usize) -> BoxedFilter<(Result<T, Problem>,)> {
    warp::header::headers_cloned()
        .and(body())
        .then(move |headers: HeaderMap, body: Body| async move {
            decode::check_json_type(&headers)?;
            let bytes = body.read(limit_bytes).await.map_err(|error| reply::body_problem(&error))?;
            decode::json(&bytes)
        })
        .boxed()
}

/// The body as bytes, at most `limit_bytes` (413 when longer).
pub fn bytes_body(limit_bytes: usize) -> BoxedFilter<(Result<Bytes, Problem>,)> {
    body()
        .then(
            move |body: Body| async move { body.read(limit_bytes).await.map_err(|error| reply::body_problem(&error)) },
        )
        .boxed()
}

/// The body piece by piece, for uploads. Whoever reads it counts.
pub fn body_stream() -> BoxedFilter<(BodyStream,)> {
    warp::body::stream().map(|stream| Box::pin(pieces(stream)) as BodyStream).boxed()
}

/// The body as it is, to be passed on.
pub fn body() -> BoxedFilter<(Body,)> {
    warp::header::optional::<u64>("content-length")
        .or(warp::any().map(|| None))
        .unify()
        .and(warp::body::stream())
        .map(|length: Option<u64>, stream| Body::stream_of(length, pieces(stream)))
        .boxed()
}

fn pieces(
    stream: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + Sync + 'static,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Sync + 'static {
    stream.map_ok(|mut piece| piece.copy_to_bytes(piece.remaining())).map(|piece| piece.map_err(|e| BodyError::of(&e)))
}

/// The query as `T`; 422 with the parameter's name. Parameters that `T` does not know are ignored.
pub fn query<T: DeserializeOwned + Send + 'static>() -> BoxedFilter<(Result<T, Problem>,)> {
    raw_query().map(|text: String| decode::query(&text)).boxed()
}

/// The query as it stands in the address, without the question mark; empty if there is none.
pub fn raw_query() -> BoxedFilter<(String,)> {
    warp::query::raw().or(warp::any().map(String::new)).unify().boxed()
}

/// `If-Match`.
pub fn if_match() -> BoxedFilter<(Condition,)> {
    condition(header::IF_MATCH)
}

/// `If-None-Match`.
pub fn if_none_match() -> BoxedFilter<(Condition,)> {
    condition(header::IF_NONE_MATCH)
}

fn condition(name: header::HeaderName) -> BoxedFilter<(Condition,)> {
    warp::header::headers_cloned().map(move |headers: HeaderMap| Condition::from_header(&headers, name.clone())).boxed()
}

/// `Idempotency-Key`, if the client sent one; 422 when it is too long.
pub fn idempotency_key() -> BoxedFilter<(Result<Option<String>, Problem>,)> {
    warp::header::headers_cloned()
        .map(|headers: HeaderMap| {
            let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
            match value.to_str() {
                Ok(key) if !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_MAX_CHARS => Ok(Some(key.to_owned())),
                _ => {
                    let detail = format!("Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX_CHARS} ASCII characters.");
                    Err(Problem::field("Idempotency-Key", detail))
                }
            }
        })
        .boxed()
}

/// hyper's promise of the raw connection, when the client asks for another protocol (websockets). Answer
/// 101 and await it.
pub fn upgrade() -> BoxedFilter<(Option<OnUpgrade>,)> {
    warp::ext::optional::<OnUpgrade>().boxed()
}

/// Whatever was not anybody's route: 405 if the path is known with another method, else 404.
pub(super) async fn rejected(rejection: warp::Rejection) -> Result<super::Response, Infallible> {
    let problem = if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        Problem::new(codes::METHOD_NOT_ALLOWED, "Use another method.")
    } else {
        Problem::new(codes::NOT_FOUND, "There is nothing at this address.")
    };
    Ok(reply::problem(problem))
}
