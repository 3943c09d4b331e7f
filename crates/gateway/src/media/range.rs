//! One range of bytes (RFC 9110 §14).

use std::ops::Range;

/// What part of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several, or something that is none and has to be ignored.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Bytes that the file does not have (416).
    Nothing,
}

/// Reads a `Range` header for a file of `length` bytes. Several ranges are answered with the whole file, which
/// RFC 9110 §14.2 allows.
pub(crate) fn parse(header: &str, length: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Number::None, Number::Some(0)) => Wanted::Nothing,
        (Number::None, Number::Some(_)) if length == 0 => Wanted::Nothing,
        (Number::None, Number::Some(count)) => Wanted::Part(length.saturating_sub(count)..length),
        (Number::Some(first), Number::None) if first < length => Wanted::Part(first..length),
        (Number::Some(first), Number::Some(last)) if last < first => Wanted::Whole,
        (Number::Some(first), Number::Some(last)) if first < length => {
            Wanted::Part(first..last.saturating_add(1).min(length))
        }
        (Number::Some(_), Number::None | Number::Some(_)) => Wanted::Nothing,
        _ => Wanted::Whole,
    }
}

enum Number {
    None,
    Some(u64),
    Invalid,
}

/// Digits only: `u64::from_str` would take a sign. A number too large for us is larger than any file.
fn number(text: &str) -> Number {
    let text = text.trim();
    if text.is_empty() {
        return Number::None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Invalid;
    }
    Number::Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_file_with_ten_bytes() {
        let part = |range| Wanted::Part(range);
        for (header, wanted) in [
            ("bytes=0-3", part(0..4)),
            ("bytes=0-0", part(0..1)),
            ("bytes=4-", part(4..10)),
            ("bytes=9-", part(9..10)),
            ("bytes=4-99", part(4..10)),
            ("bytes=4-99999999999999999999999", part(4..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-10", part(0..10)),
            ("bytes=-99", part(0..10)),
            ("BYTES = 0-3", part(0..4)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-11", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
        ] {
            assert_eq!(parse(header, 10), wanted, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_range() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(parse(header, 0), Wanted::Nothing, "{header}");
        }
    }
}
