//! Reads JSON bodies and queries; says which field is at fault.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use proto::{Problem, codes};
use serde::de::DeserializeOwned;

/// 415 unless the body is said to be JSON. A body of another type may come from a form of another site.
pub(super) fn check_json_type(headers: &HeaderMap) -> Result<(), Problem> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(Problem::new(codes::UNSUPPORTED_MEDIA_TYPE, "The body has to be application/json."))
}

/// A body as `T`.
pub(super) fn json<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = {
        let tracked = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
        serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()))
    };
    let value = match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => value,
        Err(error) => return Err(json_problem(&error, &track.path().to_string())),
    };
    if unknown.is_empty() {
        return Ok(value);
    }
    let problem = Problem::new(codes::UNKNOWN_FIELD, format!("Unknown: {}.", unknown.join(", ")));
    Err(unknown.iter().fold(problem, |problem, field| problem.with_field(field, "There is no such field.")))
}

fn json_problem(error: &serde_json::Error, path: &str) -> Problem {
    let text = error.to_string();
    if error.classify() != serde_json::error::Category::Data {
        return Problem::new(codes::INVALID_JSON, format!("The body is not JSON: {text}."));
    }
    // The place in the text is of no use to a person who filled in a form.
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    field_problem(message, path)
}

/// A query as `T`.
pub(super) fn query<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(reader)
        .map_err(|error| field_problem(&error.inner().to_string(), &error.path().to_string()))
}

/// `invalid-field` or `unknown-field` for what serde says about the place `path`.
fn field_problem(message: &str, path: &str) -> Problem {
    let named = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?;
        rest.split('`').next().map(str::to_owned)
    };
    let path = if path == "." { "" } else { path };
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some(name) = named("unknown field `") {
        let field = below(&name);
        let problem = Problem::new(codes::UNKNOWN_FIELD, format!("Unknown: {field}."));
        return problem.with_field(&field, "There is no such field.");
    }
    if let Some(name) = named("missing field `") {
        let field = below(&name);
        return Problem::new(codes::INVALID_FIELD, format!("{field} is missing."))
            .with_field(&field, "This field is needed.");
    }
    let field = if path.is_empty() { "body" } else { path };
    Problem::new(codes::INVALID_FIELD, format!("{field}: {message}.")).with_field(field, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Playlist {
        title: String,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Item {
        start_seconds: f64,
    }

    fn problem(text: &'static str) -> Problem {
        json::<Playlist>(&Bytes::from_static(text.as_bytes())).unwrap_err()
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let fine = json::<Playlist>(&Bytes::from_static(br#"{"title":"a","items":[{"startSeconds":1}]}"#)).unwrap();
        assert_eq!((fine.title.as_str(), fine.items[0].start_seconds), ("a", 1.0));
        for (text, code, field) in [
            (r#"{"title":"a","colour":1}"#, codes::UNKNOWN_FIELD, "colour"),
            (r#"{"title":"a","items":[{"startSeconds":1,"end":2}]}"#, codes::UNKNOWN_FIELD, "items[0].end"),
            (r#"{"title":7}"#, codes::INVALID_FIELD, "title"),
            (r#"{"items":[]}"#, codes::INVALID_FIELD, "title"),
            (r#"{"title":"a","items":[{}]}"#, codes::INVALID_FIELD, "items[0].startSeconds"),
            ("7", codes::INVALID_FIELD, "body"),
        ] {
            let problem = problem(text);
            assert!(problem.is(code), "{text}: {problem}");
            assert_eq!(problem.errors[0].field, field, "{text}: {problem}");
            assert!(!problem.detail.contains("line"), "{problem}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_so() {
        for text in ["", "{", "{\"title\":\"a\"} trailing", "\u{feff}{}"] {
            assert!(problem(text).is(codes::INVALID_JSON), "{text}");
        }
    }

    #[test]
    fn queries_name_the_parameter() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Query {
            limit: Option<u32>,
            page_token: Option<String>,
        }
        let query: Query = super::query("limit=7&pageToken=a%20b&utm=1").unwrap();
        assert_eq!((query.limit, query.page_token.as_deref()), (Some(7), Some("a b")));
        let problem = super::query::<Query>("limit=many").unwrap_err();
        assert_eq!(problem.errors[0].field, "limit");
        assert_eq!(problem.status, 422);
    }
}
