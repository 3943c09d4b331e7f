//! Conditions that a client puts on an answer (RFC 9110 §13).

use std::time::SystemTime;

use http::Method;
use http::header::{self, HeaderMap, HeaderName};

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Strong, with its quotes.
    pub(crate) etag: String,
    /// To the second, as the header has it.
    pub(crate) modified: SystemTime,
}

/// What the conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it.
    Send,
    /// The client has it (304).
    NotModified,
    /// The client insists on another version (412).
    Failed,
}

/// The conditions in their order of precedence (RFC 9110 §13.2.2).
pub(crate) fn judge(method: &Method, headers: &HeaderMap, version: &Version) -> Verdict {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let Some(tags) = joined(headers, header::IF_MATCH) {
        if !names(&tags, &version.etag, false) {
            return Verdict::Failed;
        }
    } else if date(headers, header::IF_UNMODIFIED_SINCE).is_some_and(|date| version.modified > date) {
        return Verdict::Failed;
    }
    if let Some(tags) = joined(headers, header::IF_NONE_MATCH) {
        return match (names(&tags, &version.etag, true), reads) {
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Failed,
            (false, _) => Verdict::Send,
        };
    }
    if reads && date(headers, header::IF_MODIFIED_SINCE).is_some_and(|date| version.modified <= date) {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether a range is still of the version that the client has the rest of (`If-Range`, RFC 9110 §13.1.5).
pub(crate) fn range_holds(headers: &HeaderMap, version: &Version) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else { return true };
    match value.to_str() {
        Ok(text) if text.starts_with('"') => text == version.etag,
        Ok(text) => httpdate::parse_http_date(text).is_ok_and(|date| date == version.modified),
        Err(_) => false,
    }
}

/// Whether a list of tags has this one. Weak tags count for `If-None-Match` only.
fn names(tags: &str, etag: &str, weakly: bool) -> bool {
    tags.trim() == "*"
        || tags.split(',').map(str::trim).any(|tag| match tag.strip_prefix("W/") {
            Some(tag) => weakly && tag == etag,
            None => tag == etag,
        })
}

fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn version() -> Version {
        Version { etag: "\"a\"".to_owned(), modified: UNIX_EPOCH + Duration::from_secs(784_111_777) }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn conditions_and_their_precedence() {
        for (pairs, verdict) in [
            (&[][..], Verdict::Send),
            (&[("if-none-match", "\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "\"b\", W/\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"b\""), ("if-modified-since", LATER)], Verdict::Send),
            (&[("if-modified-since", SAME)], Verdict::NotModified),
            (&[("if-modified-since", EARLIER)], Verdict::Send),
            (&[("if-modified-since", "yesterday")], Verdict::Send),
            (&[("if-match", "\"a\"")], Verdict::Send),
            (&[("if-match", "W/\"a\"")], Verdict::Failed),
            (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], Verdict::Failed),
            (&[("if-unmodified-since", EARLIER)], Verdict::Failed),
            (&[("if-unmodified-since", SAME)], Verdict::Send),
            (&[("if-match", "\"a\""), ("if-unmodified-since", EARLIER)], Verdict::Send),
        ] {
            assert_eq!(judge(&Method::GET, &headers(pairs), &version()), verdict, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_not_one() {
        for (value, holds) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (SAME, true),
            (EARLIER, false),
            (LATER, false),
            ("x", false),
        ] {
            assert_eq!(range_holds(&headers(&[("if-range", value)]), &version()), holds, "{value}");
        }
        assert!(range_holds(&HeaderMap::new(), &version()));
    }
}
