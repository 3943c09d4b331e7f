//! What the fields of an account may hold, and their normal forms.

use crate::error::GatewayError;
use crate::limits::{
    BIO_CHARS_MAX, CLIENT_CHARS_MAX, DISPLAY_NAME_CHARS_MAX, EMAIL_BYTES_MAX, EMAIL_LOCAL_BYTES_MAX, REASON_CHARS_MAX,
};

/// The username, if it is `^[a-z0-9][a-z0-9_.-]{1,29}$`.
pub(crate) fn username(text: &str) -> Result<String, GatewayError> {
    let good = |index: usize, byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' => true,
        b'_' | b'.' | b'-' => index > 0,
        _ => false,
    };
    if (2..=30).contains(&text.len()) && text.bytes().enumerate().all(|(index, byte)| good(index, byte)) {
        return Ok(text.to_owned());
    }
    Err(GatewayError::field(
        "username",
        "A username has 2 to 30 characters: small letters a–z, digits, and after the first also . _ and -.",
    ))
}

/// The e-mail address without the space around it. Whether it arrives is not for a rule to say.
pub(crate) fn email(text: &str) -> Result<String, GatewayError> {
    let text = text.trim();
    let plausible = text.len() <= EMAIL_BYTES_MAX
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            (1..=EMAIL_LOCAL_BYTES_MAX).contains(&local.len())
                && !local.contains('@')
                && !domain.is_empty()
                && domain.split('.').all(|label| (1..=63).contains(&label.len()))
                && !domain.contains(|c: char| c.is_ascii_punctuation() && c != '.' && c != '-')
        });
    if plausible { Ok(text.to_owned()) } else { Err(GatewayError::field("email", "This is no e-mail address.")) }
}

/// By which an e-mail address is found and compared.
pub(crate) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A name to show: one line.
pub(crate) fn display_name(text: &str) -> Result<String, GatewayError> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=DISPLAY_NAME_CHARS_MAX).contains(&length) && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    let detail = format!("A name has 1 to {DISPLAY_NAME_CHARS_MAX} characters, in one line.");
    Err(GatewayError::field("displayName", detail))
}

/// A few words about oneself.
pub(crate) fn bio(text: &str) -> Result<String, GatewayError> {
    paragraph("bio", text, BIO_CHARS_MAX)
}

/// Why one wants an account.
pub(crate) fn reason(text: &str) -> Result<String, GatewayError> {
    paragraph("reason", text, REASON_CHARS_MAX)
}

fn paragraph(field: &str, text: &str, chars_max: usize) -> Result<String, GatewayError> {
    let text = text.trim();
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t' && c != '\r';
    if text.chars().count() <= chars_max && !text.contains(bad) {
        return Ok(text.to_owned());
    }
    Err(GatewayError::field(field, format!("At most {chars_max} characters.")))
}

/// A client's name for itself, fit to be stored and shown.
pub(crate) fn client(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(CLIENT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_have_the_form_of_the_contract() {
        for good in ["al", "alice", "a.b-c_d", "0x", &"a".repeat(30)] {
            assert!(username(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "Alice", ".al", "-al", "al ice", "älice", "al\n", &"a".repeat(31), "a/b"] {
            assert!(username(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_any_are_refused() {
        for good in ["a@example.org", " a.b+c@sub.example.org ", "x@localhost", "jürgen@münchen.example"] {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "@b.c", "a@", "a b@c.d", "a@b..c", "a@b@c", "a@b.c\r\nBcc: d@e.f", "a@<b>"] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert_eq!(email_key(" A@Example.ORG"), "a@example.org");
    }

    #[test]
    fn names_to_show_are_one_line() {
        assert_eq!(display_name("  Ann  ").ok().as_deref(), Some("Ann"));
        for bad in ["", "  ", "a\nb", "a\u{0}b", &"a".repeat(61)] {
            assert!(display_name(bad).is_err(), "{bad:?}");
        }
    }
}
