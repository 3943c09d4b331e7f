//! Entity tags of channels and playlists: `"<version>.<digest>"`.
//!
//! The digest covers the whole answer, so that a client that has it is told 304 only when nothing changed, counts
//! included. The version counts edits: `If-Match` compares only that, so that a new subscriber gets in nobody's way.

use http::header::{HeaderMap, IF_MATCH};
use http::{Method, StatusCode};
use kit::http::etag::{Condition, Etag, with_etag};
use kit::http::{Response, reply};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// 200 with the value and its tag; 304 when the client has it.
pub(super) fn tagged<T: Serialize>(value: &T, version: u64, known: &Condition, method: &Method) -> Response {
    let digest = Sha256::digest(serde_json::to_vec(value).unwrap_or_default());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    with_etag(reply::json(StatusCode::OK, value), &Etag::of(format!("{version}.{digest}")), known, method)
}

/// Whether `If-Match` lets this version be changed.
pub(super) fn accepts(headers: &HeaderMap, version: u64) -> bool {
    let stated = headers.get_all(IF_MATCH);
    let mut tags = stated.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).peekable();
    tags.peek().is_none() || tags.any(|tag| is_version(tag.trim(), version))
}

fn is_version(tag: &str, version: u64) -> bool {
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    tag == "*" || inner.is_some_and(|tag| tag.split('.').next() == Some(version.to_string().as_str()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_version_counts_for_edits() {
        let accepted = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, value.parse().unwrap());
            accepts(&headers, 7)
        };
        assert!(accepts(&HeaderMap::new(), 7));
        assert!(accepted("\"7.abc\"") && accepted("\"7.def\"") && accepted("\"7\"") && accepted("*"));
        assert!(accepted("\"6.abc\", \"7.abc\""));
        for other in ["\"6.abc\"", "\"77.abc\"", "W/\"7.abc\"", "7.abc", "\"\"", ""] {
            assert!(!accepted(other), "{other}");
        }
    }
}
