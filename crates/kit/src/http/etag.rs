//! Entity tags and the conditions that clients put on them (RFC 9110 §8.8.3, §13).

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use proto::{Problem, codes};

use super::{Response, reply};

/// A strong entity tag: the version of a thing that can be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// The tag of a version. Characters that a tag may not have are left out.
    pub fn of(version: impl std::fmt::Display) -> Self {
        let text: String = version.to_string().chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
        Self(format!("\"{text}\""))
    }

    /// As it stands in a header, with its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a client knows, or insists on: the value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition(Option<Tags>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Some(Vec<String>),
}

impl Condition {
    /// The header's value as a condition; without the header there is none.
    pub(super) fn from_header(headers: &HeaderMap, name: header::HeaderName) -> Self {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if values.is_empty() {
            return Self(None);
        }
        let text = values.join(",");
        if text.trim() == "*" {
            return Self(Some(Tags::Any));
        }
        Self(Some(Tags::Some(text.split(',').map(|tag| tag.trim().to_owned()).collect())))
    }

    /// Whether the client stated it.
    pub fn is_stated(&self) -> bool {
        self.0.is_some()
    }

    /// `If-Match`: 412 when the client insists on another version. Weak tags never match here.
    ///
    /// # Errors
    /// `precondition-failed`.
    pub fn require(&self, current: &Etag) -> Result<(), Problem> {
        match &self.0 {
            None | Some(Tags::Any) => Ok(()),
            Some(Tags::Some(tags)) if tags.contains(&current.0) => Ok(()),
            Some(Tags::Some(_)) => {
                Err(Problem::new(codes::PRECONDITION_FAILED, "Read it again and repeat the change."))
            }
        }
    }

    /// `If-None-Match`: whether the client has this version already. Weak tags count.
    pub fn knows(&self, current: &Etag) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::Some(tags)) => tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == current.0),
        }
    }
}

/// Adds the tag, and answers 304 without a body when the client knows this version. For GET and HEAD only.
#[must_use]
pub fn with_etag(mut response: Response, etag: &Etag, known: &Condition, method: &Method) -> Response {
    let reads = method == Method::GET || method == Method::HEAD;
    if response.status() == StatusCode::OK && reads && known.knows(etag) {
        response = reply::empty(StatusCode::NOT_MODIFIED);
    }
    if let Ok(value) = HeaderValue::from_str(&etag.0) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn condition(value: &str) -> Condition {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, value.parse().unwrap());
        Condition::from_header(&headers, header::IF_MATCH)
    }

    #[test]
    fn conditions_follow_the_rules_for_strong_and_weak_tags() {
        let tag = Etag::of(7);
        assert_eq!(tag.as_str(), "\"7\"");
        assert!(condition("\"6\", \"7\"").require(&tag).is_ok());
        assert!(condition("*").require(&tag).is_ok());
        assert!(Condition::default().require(&tag).is_ok());
        assert!(condition("W/\"7\"").require(&tag).unwrap_err().is(codes::PRECONDITION_FAILED));
        assert!(condition("W/\"7\"").knows(&tag));
        assert!(!condition("\"8\"").knows(&tag));
        assert!(!Condition::default().knows(&tag));
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let whole = || reply::json(StatusCode::OK, "text");
        let known = with_etag(whole(), &Etag::of(7), &condition("\"7\""), &Method::GET);
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(known.headers()[header::ETAG], "\"7\"");
        let new = with_etag(whole(), &Etag::of(8), &condition("\"7\""), &Method::GET);
        assert_eq!(new.status(), StatusCode::OK);
    }
}
