//! Entity tags of videos: `"<version>.<digest>"`.
//!
//! The digest covers the whole answer, so 304 means that nothing changed, counts included. The version counts
//! edits: `If-Match` compares only that, so that a new view gets in nobody's way.

use std::hash::Hasher;

use http::header::{HeaderMap, IF_MATCH};
use http::{Method, StatusCode};
use kit::http::etag::{Condition, Etag, with_etag};
use kit::http::{Response, reply};
use serde::Serialize;

/// 200 with the value and its tag; 304 when the client has it.
pub(super) fn tagged<T: Serialize>(value: &T, version: u64, known: &Condition, method: &Method) -> Response {
    let Ok(text) = serde_json::to_vec(value) else { return reply::json(StatusCode::OK, value) };
    // Not against anybody's malice: whoever can choose the text has nothing to gain from an equal tag.
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(&text);
    let tag = Etag::of(format!("{version}.{:016x}", hasher.finish()));
    let json = http::HeaderValue::from_static("application/json");
    with_etag(reply::bytes(StatusCode::OK, json, text), &tag, known, method)
}

/// The versions that `If-Match` lets be changed; `None` when it says nothing, or `*`.
pub(super) fn insisted(headers: &HeaderMap) -> Option<Vec<String>> {
    let stated = headers.get_all(IF_MATCH);
    let tags: Vec<&str> = stated
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    if headers.get(IF_MATCH).is_none() || tags.contains(&"*") {
        return None;
    }
    let version = |tag: &str| {
        let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
        inner.split('.').next().map(str::to_owned)
    };
    Some(tags.into_iter().filter_map(version).collect())
}

/// Whether a version is among those insisted on.
pub(super) fn accepts(insisted: Option<&Vec<String>>, version: u64) -> bool {
    insisted.is_none_or(|versions| versions.contains(&version.to_string()))
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
            accepts(insisted(&headers).as_ref(), 7)
        };
        assert!(accepts(insisted(&HeaderMap::new()).as_ref(), 7));
        for right in ["\"7.abc\"", "\"7\"", "*", "\"6.abc\", \"7.def\""] {
            assert!(accepted(right), "{right}");
        }
        for other in ["\"6.abc\"", "\"77.abc\"", "W/\"7.abc\"", "7.abc", "\"\"", ""] {
            assert!(!accepted(other), "{other}");
        }
    }
}
