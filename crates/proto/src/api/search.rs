//! Search.

use serde::{Deserialize, Serialize};

use super::video::VideoCard;

/// An item of `GET /api/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// What was found.
    pub video: VideoCard,
    /// Where the words stand.
    pub highlights: Vec<Highlight>,
    /// Places in the film where the words are said.
    pub moments: Vec<Moment>,
}

/// A passage in which words were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Highlight {
    /// `title`, `description` or `tags`.
    pub field: String,
    /// Plain text.
    pub text: String,
    /// `[start, end)` in characters (Unicode scalar values) of `text`.
    pub ranges: Vec<(u32, u32)>,
}

/// A place in the film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Where, in seconds.
    pub start_seconds: f64,
    /// What is said there.
    pub text: String,
}

/// `GET /api/search/suggest`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestions {
    /// Whole queries, best first, at most 10.
    pub items: Vec<String>,
}
