//! Where things lie in the one ordered key space of the engine: kind, name, 0, key.

use crate::key::Key;

/// What a physical key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The store itself.
    Meta = b'm' as isize,
    /// A table's record.
    Table = b't' as isize,
    /// A counter.
    Counter = b'c' as isize,
    /// An event log.
    Log = b'l' as isize,
    /// A work queue.
    Queue = b'q' as isize,
}

/// What every key of that table, counter, log or queue starts with.
pub(crate) fn prefix(kind: Kind, name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 48);
    out.push(kind as u8);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out
}

/// The physical key of one thing.
pub(crate) fn key(kind: Kind, name: &str, key: &impl Key) -> Vec<u8> {
    let mut out = prefix(kind, name);
    key.encode(&mut out);
    out
}

/// Whether a physical key is of a log or a queue: what is found there is about records.
pub(crate) fn leads_to_records(key: &[u8]) -> bool {
    key.first().is_some_and(|&kind| kind == Kind::Log as u8 || kind == Kind::Queue as u8)
}

/// The first key after everything that starts with `prefix`.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut out = prefix[..=last].to_vec();
    out[last] += 1;
    Some(out)
}

/// Holds names to a form that keeps key spaces apart; a wrong one in a `const` does not compile.
pub(crate) const fn check_name(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() <= 64, "a name has 1 to 64 characters");
    let mut at = 0;
    while at < bytes.len() {
        assert!(
            matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'),
            "a name has only the characters a-z 0-9 - _ ."
        );
        at += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_names_do_not_meet() {
        let short = prefix(Kind::Table, "user");
        let long = key(Kind::Table, "user-mail", &1_u8);
        assert!(!long.starts_with(&short));
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 0xFF, 0xFF]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xFF]), None);
    }
}
