//! The public data shapes of the JSON API, by topic: camelCase, RFC 3339 times, durations in seconds,
//! sizes in bytes.
//!
//! Request bodies refuse unknown fields; answers may grow new fields, so clients ignore those they do
//! not know.

pub mod account;
pub mod backup;
pub mod channel;
pub mod instance;
pub mod interaction;
pub mod notification;
pub mod playlist;
pub mod projection;
pub mod queue;
pub mod search;
pub mod video;

use serde::{Deserialize, Deserializer, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items of this page, in the list's order.
    pub items: Vec<T>,
    /// Ask for the next page with `?pageToken=`; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A person as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The login name, `^[a-z0-9][a-z0-9_.-]{1,29}$`.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Where the avatar is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// For PATCH bodies where `null` clears a value and absence keeps it: use with
/// `#[serde(default, deserialize_with = "nullable")]` on an `Option<Option<T>>`.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
