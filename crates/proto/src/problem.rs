//! Errors as clients see them: RFC 9457 problem details with a stable code.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes::Code;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name as in the request, e.g. `password`.
    pub field: String,
    /// A sentence that a person understands.
    pub detail: String,
}

/// An error that is answered to a client (RFC 9457 §3.1).
///
/// `code` is the part that programs rely on; `detail` is for people and may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI reference for the kind of problem; `about:blank` when the code says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short summary, the same for every occurrence of `code`.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, kebab-case.
    pub code: String,
    /// What happened this time, for people.
    pub detail: String,
    /// The fields at fault, when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds after which a retry makes sense; sent as the `Retry-After` header too.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "retryAfter")]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// The problem `code` with its detail for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: code.title.to_owned(),
            status: code.status,
            code: code.name.to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: code.retry_after_s,
        }
    }

    /// `invalid-field` (422) for one field.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(crate::codes::INVALID_FIELD, detail.clone()).with_field(field, detail)
    }

    /// Adds a field at fault.
    #[must_use]
    pub fn with_field(mut self, field: &str, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.to_owned(), detail: detail.into() });
        self
    }

    /// Says when a retry makes sense, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Whether this is the problem `code`.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.name
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}): {}", self.code, self.status, self.detail)
    }
}

impl std::error::Error for Problem {}
