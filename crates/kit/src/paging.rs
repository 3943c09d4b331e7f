//! Lists in pages: `?limit=` and `?pageToken=`.
//!
//! A token is a position, not a page number: the key of the last entry given, so that nothing is repeated or
//! skipped while entries come and go. It is opaque to clients, and not a secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::api::Page;
use proto::{Problem, codes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PAGE_TOKEN_MAX_CHARS};

/// The part of a query that pages a list. It may be flattened into a larger query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageQuery {
    #[serde(default, deserialize_with = "number")]
    limit: Option<u32>,
    #[serde(default)]
    page_token: Option<String>,
}

/// A flattened query hands numbers on as texts.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
    }
    match Option::<Either>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(serde::de::Error::custom("a whole number is expected")),
        },
    }
}

impl PageQuery {
    /// A query with these values, as it would have come from a client.
    pub fn new(limit: Option<u32>, page_token: Option<String>) -> Self {
        Self { limit, page_token }
    }

    /// How many entries are asked for.
    ///
    /// # Errors
    /// `invalid-field` unless it is from 1 to 100.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(PAGE_LIMIT_DEFAULT) {
            limit @ 1..=PAGE_LIMIT_MAX => Ok(limit as usize),
            _ => Err(Problem::field("limit", format!("A number from 1 to {PAGE_LIMIT_MAX} is expected."))),
        }
    }

    /// Where the last page ended; `None` for the first page.
    ///
    /// # Errors
    /// `invalid-page-token` if it is not a token of this kind of list.
    pub fn position<T: DeserializeOwned>(&self) -> Result<Option<T>, Problem> {
        self.page_token.as_deref().map(decode_token).transpose()
    }
}

/// A position as a token.
pub fn encode_token<T: Serialize>(position: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// A token as a position.
///
/// # Errors
/// `invalid-page-token`.
pub fn decode_token<T: DeserializeOwned>(token: &str) -> Result<T, Problem> {
    let invalid = || Problem::new(codes::INVALID_PAGE_TOKEN, "Start again at the first page.");
    if token.len() > PAGE_TOKEN_MAX_CHARS {
        return Err(invalid());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    serde_json::from_slice(&bytes).map_err(|_| invalid())
}

/// A page of at most `limit` of `entries`, each with its position. Give it one entry more than the limit, if
/// there is one: that is how it knows whether there is a next page.
pub fn page<T, P: Serialize>(entries: impl IntoIterator<Item = (P, T)>, limit: usize) -> Page<T> {
    let mut items = Vec::new();
    let mut last = None;
    let mut next_page_token = None;
    for (position, item) in entries {
        if items.len() == limit {
            next_page_token = last.as_ref().map(encode_token);
            break;
        }
        items.push(item);
        last = Some(position);
    }
    Page { items, next_page_token }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let all: Vec<u32> = (0..45).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let query = PageQuery::new(None, token);
            let after: Option<u32> = query.position().unwrap();
            let rest = all.iter().copied().filter(|n| after.is_none_or(|after| *n > after)).map(|n| (n, n));
            let page = page(rest, query.limit().unwrap());
            seen.extend(page.items);
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn limits_and_tokens_are_checked() {
        for limit in [0, 101, u32::MAX] {
            assert_eq!(PageQuery::new(Some(limit), None).limit().unwrap_err().errors[0].field, "limit");
        }
        for token in ["", "%", "bm90IGpzb24", &encode_token(&"text"), &"a".repeat(5_000)] {
            let query = PageQuery::new(None, Some(token.to_owned()));
            assert!(query.position::<u64>().unwrap_err().is(codes::INVALID_PAGE_TOKEN), "{token}");
        }
    }

    #[test]
    fn it_may_be_flattened() {
        #[derive(Deserialize)]
        struct Query {
            sort: String,
            #[serde(flatten)]
            page: PageQuery,
        }
        let query: Query = serde_urlencoded::from_str("sort=new&limit=7").unwrap();
        assert_eq!((query.sort.as_str(), query.page.limit().unwrap()), ("new", 7));
        let bare: PageQuery = serde_urlencoded::from_str("limit=7&pageToken=x").unwrap();
        assert_eq!(bare, PageQuery::new(Some(7), Some("x".to_owned())));
    }
}
