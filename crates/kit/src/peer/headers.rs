//! Which headers end at a hop (RFC 9110 §7.6.1), so that every hop is encoded anew.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes what concerns the connection to the client only. The body's length is told anew by what follows,
/// so a request with both `Content-Length` and `Transfer-Encoding` smuggles nothing.
pub(super) fn clean_request(headers: &mut HeaderMap) {
    clean_hop(headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    headers.remove(header::HOST);
}

/// The same for a request to speak another protocol, which has no body.
pub(super) fn clean_upgrade(headers: &mut HeaderMap) {
    let protocol = headers.get(header::UPGRADE).cloned();
    clean_request(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    headers.insert(header::HOST, HeaderValue::from_static(super::AUTHORITY));
}

/// Removes what concerns the connection to the service only. `Content-Length` stays: an answer to HEAD has
/// one without a body.
pub(super) fn clean_response(headers: &mut HeaderMap) {
    clean_hop(headers);
}

fn clean_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}
