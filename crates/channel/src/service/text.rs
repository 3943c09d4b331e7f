//! Rules for names and texts.

use crate::error::{Error, Result};

/// A text of `min` to `max` characters, without what a person cannot see; line ends become `\n`.
pub(super) fn text(field: &'static str, value: &str, min: usize, max: usize) -> Result<String> {
    let value = value.replace("\r\n", "\n").replace('\r', "\n");
    let value = value.trim();
    let count = value.chars().count();
    let detail = if count > max || count < min {
        if min == 0 { format!("at most {max} characters") } else { format!("{min} to {max} characters") }
    } else if value.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        "control characters are not allowed".to_owned()
    } else {
        return Ok(value.to_owned());
    };
    Err(Error::Invalid { field, detail })
}

/// The same on one line.
pub(super) fn line(field: &'static str, value: &str, min: usize, max: usize) -> Result<String> {
    let value = text(field, value, min, max)?;
    if value.contains(['\n', '\t']) {
        return Err(Error::Invalid { field, detail: "one line only".to_owned() });
    }
    Ok(value)
}

/// A channel's name in addresses: `^[a-z0-9][a-z0-9_.-]{1,29}$`.
pub(super) fn check_handle(handle: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (2..=30).contains(&handle.len())
        && handle.bytes().next().is_some_and(plain)
        && handle.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'.' | b'-'));
    if fits {
        return Ok(());
    }
    let detail = "2 to 30 of a-z, 0-9, '_', '.' and '-', with a letter or digit first".to_owned();
    Err(Error::Invalid { field: "handle", detail })
}

/// An address that a browser may be led to.
pub(super) fn check_url(field: &'static str, url: &str) -> Result<()> {
    const URL_MAX_BYTES: usize = 400;
    let address = url.parse::<http::Uri>().ok();
    let leads_somewhere = address.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if url.len() <= URL_MAX_BYTES && leads_somewhere {
        return Ok(());
    }
    let detail = format!("an http or https address of at most {URL_MAX_BYTES} bytes");
    Err(Error::Invalid { field, detail })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn handles_follow_their_rule() {
        for good in ["ab", "a.b", "0_-", &"a".repeat(30)] {
            assert!(check_handle(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "A1", ".a", "-a", "a b", "ä1", "a/b", &"a".repeat(31)] {
            assert!(check_handle(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_lead_to_the_web_only() {
        assert!(check_url("links", "https://example.org/a?b=c").is_ok());
        for bad in ["javascript:alert(1)", "//example.org", "ftp://example.org", "https://a@b.org", "example.org", ""] {
            assert!(check_url("links", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_count_characters_and_keep_lines() {
        assert_eq!(text("t", " a\r\nb ", 1, 3).unwrap(), "a\nb");
        assert!(text("t", "   ", 1, 3).is_err());
        assert!(text("t", "ääää", 1, 3).is_err());
        assert!(text("t", "a\u{7}", 0, 3).is_err());
        assert!(line("t", "a\nb", 0, 3).is_err());
    }
}
