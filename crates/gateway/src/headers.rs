//! Headers that keep browsers on the safe side: who may read an answer, run what, and frame whom.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use kit::config::Http;
use kit::http::Body;
use proto::{Problem, codes};

use crate::source::Source;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Scripts and styles come from us and from nowhere else, as files. hls.js hands the film to the player as `blob:`.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors ";

/// A media file is never a page, whatever somebody put into it.
const MEDIA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// What other origins may do with an API that they may use.
const CORS_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const CORS_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Range, Tus-Resumable, \
     Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset",
);
const CORS_EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Content-Range, DjStream-Video, ETag, Location, Retry-After, Tus-Extension, Tus-Max-Size, \
     Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Offset",
);

/// Who may put a page into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Our own pages.
    Own,
    /// Everybody: it is made for that.
    All,
}

/// For pages of the web app.
pub(crate) fn page(headers: &mut HeaderMap, frames: Frames, secure: bool) {
    let ancestors = if frames == Frames::All { "*" } else { "'self'" };
    if let Ok(policy) = HeaderValue::from_maybe_shared(format!("{PAGE_POLICY}{ancestors}")) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    if frames == Frames::Own {
        headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    }
    everywhere(headers, secure);
}

/// For whatever we send.
pub(crate) fn everywhere(headers: &mut HeaderMap, secure: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if secure {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

/// For media files.
pub(crate) fn media(headers: &mut HeaderMap, public: bool) {
    headers.insert(header::CONTENT_SECURITY_POLICY, MEDIA_POLICY);
    if public {
        everybody(headers);
    }
    let policy = if public { "cross-origin" } else { "same-origin" };
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(policy));
}

/// Any origin may read this, without credentials.
pub(crate) fn everybody(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, CORS_EXPOSED);
}

/// The configured origin that a request comes from, if it comes from one.
pub(crate) fn allowed_origin(headers: &HeaderMap, config: &Http) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    config.cors_origins.iter().any(|allowed| allowed.trim_end_matches('/') == text).then(|| origin.clone())
}

/// Lets a configured origin read an answer of the API, with credentials.
pub(crate) fn cors(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, CORS_EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// Whether a request asks whether another may be sent (Fetch Standard, CORS-preflight).
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to such a question. Without any of these headers the browser takes it for a no.
pub(crate) fn preflight(allowed: Option<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Some(origin) = allowed {
        cors(headers, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    response
}

/// The same for what everybody may read.
pub(crate) fn preflight_everybody() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    everybody(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
    let allowed = HeaderValue::from_static("Content-Type, If-None-Match, Range");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// Refuses requests that another site's page made a browser send (`cross-site`). Clients that are no browsers
/// send neither header.
pub(crate) fn check_same_site(headers: &HeaderMap, source: &Source, config: &Http) -> Result<(), Problem> {
    let cross_site = || Problem::new(codes::CROSS_SITE, "This can only be asked from the site's own pages.");
    if allowed_origin(headers, config).is_some() {
        return Ok(());
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        return if origin.to_str().is_ok_and(|origin| source.is_own(origin)) { Ok(()) } else { Err(cross_site()) };
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(cross_site()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn other_sites_are_refused_and_configured_ones_are_not() {
        let source = Source {
            address: "127.0.0.1".parse().unwrap(),
            seen: "http://127.0.0.1:8080".to_owned(),
            origin: "https://video.example.org".to_owned(),
        };
        let config = Http { cors_origins: vec!["https://app.example.org".to_owned()], ..Http::default() };
        let check = |pairs: &[(&'static str, &'static str)]| check_same_site(&headers(pairs), &source, &config).is_ok();
        assert!(check(&[]));
        assert!(check(&[("origin", "https://video.example.org"), ("sec-fetch-site", "same-origin")]));
        assert!(check(&[("origin", "http://127.0.0.1:8080")]));
        assert!(check(&[("origin", "https://app.example.org"), ("sec-fetch-site", "same-site")]));
        assert!(check(&[("sec-fetch-site", "none")]));
        assert!(!check(&[("origin", "https://evil.example")]));
        assert!(!check(&[("origin", "null")]));
        assert!(!check(&[("origin", "https://video.example.org.evil.example")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("sec-fetch-site", "same-site")]));
    }
}
