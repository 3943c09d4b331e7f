//! A warp filter as a handler of the accept loop.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use tower_service::Service;
use warp::Filter;

use super::body::Body;
use super::serve::Handler;
use super::{Routes, filter};

/// A [`Handler`] of a service's routes: what no route takes is answered 404 or 405, and GET answers HEAD.
pub fn service(routes: Routes) -> Filtered {
    Filtered { routes: routes.recover(filter::rejected).unify().boxed() }
}

/// See [`service`].
#[derive(Debug, Clone)]
pub struct Filtered {
    routes: Routes,
}

impl Filtered {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let mut service = warp::service(self.routes.clone());
        let answered = service.call(request).await;
        answered.unwrap_or_else(|never| match never {}).map(Body::new)
    }

    /// HEAD of a route that knows GET only (RFC 9110 §9.3.2).
    async fn head(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut again = Request::new(Body::empty());
        *again.method_mut() = Method::GET;
        *again.uri_mut() = parts.uri.clone();
        *again.headers_mut() = parts.headers.clone();
        let response = self.call(Request::from_parts(parts, body)).await;
        if response.status() != StatusCode::METHOD_NOT_ALLOWED {
            return response;
        }
        let (mut parts, body) = self.call(again).await.into_parts();
        if let Some(size) = body.size_hint().exact() {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(size));
        }
        Response::from_parts(parts, Body::empty())
    }
}

impl Handler for Filtered {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        match *request.method() {
            Method::HEAD => self.head(request).await,
            _ => self.call(request).await,
        }
    }
}
