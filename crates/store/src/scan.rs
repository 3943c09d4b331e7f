//! Which part of a table to read, and in which direction.

use std::ops::Bound;

use crate::key::{Key, encode_bytes_open};
use crate::space::after_prefix;

/// A part of a table: `Scan::prefix(&channel).after(&last_seen).reverse()`.
///
/// `from` and `until` bound the keys whatever the direction; `after` goes on in the scan's direction
/// behind a key that was seen. Bounds narrow each other, and the prefix holds always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    from: Option<Vec<u8>>,
    until: Option<Vec<u8>>,
    pub(crate) reverse: bool,
}

/// Where a range of physical keys starts and ends.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

fn encoded(key: &impl Key) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    key.encode(&mut out);
    Some(out)
}

impl Scan {
    /// The whole table.
    pub fn all() -> Self {
        Self::default()
    }

    /// Keys that start with these parts: with keys `(A, B)`, all `B` of one `A`.
    pub fn prefix(key: &impl Key) -> Self {
        Self { prefix: encoded(key).unwrap_or_default(), ..Self::default() }
    }

    /// Keys whose first part is a text that starts with `text`.
    pub fn starts_with(text: &str) -> Self {
        let mut scan = Self::default();
        encode_bytes_open(text.as_bytes(), &mut scan.prefix);
        scan
    }

    /// Goes on behind this key (the full key), in the direction of the scan.
    pub fn after(mut self, key: &impl Key) -> Self {
        self.after = encoded(key);
        self
    }

    /// Not below this key.
    pub fn from(mut self, key: &impl Key) -> Self {
        self.from = encoded(key);
        self
    }

    /// Below this key.
    pub fn until(mut self, key: &impl Key) -> Self {
        self.until = encoded(key);
        self
    }

    /// From the last to the first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The physical bounds, given what the table's keys start with. `None`: nothing can match.
    pub(crate) fn bounds(&self, table: &[u8]) -> Option<Bounds> {
        let physical = |key: &Vec<u8>| [table, key].concat();
        let prefix = physical(&self.prefix);
        let mut end = after_prefix(&prefix);
        let mut start = prefix;
        let mut start_excluded = false;
        if let Some(from) = self.from.as_ref().map(physical) {
            start = start.max(from);
        }
        if let Some(until) = self.until.as_ref().map(physical) {
            end = Some(end.map_or(until.clone(), |end| end.min(until)));
        }
        match self.after.as_ref().map(physical) {
            Some(after) if self.reverse => {
                end = Some(end.map_or(after.clone(), |end| end.min(after)));
            }
            Some(after) if after >= start => {
                start = after;
                start_excluded = true;
            }
            _ => {}
        }
        if end.as_ref().is_some_and(|end| *end <= start) {
            return None;
        }
        let start = if start_excluded { Bound::Excluded(start) } else { Bound::Included(start) };
        Some((start, end.map_or(Bound::Unbounded, Bound::Excluded)))
    }
}
