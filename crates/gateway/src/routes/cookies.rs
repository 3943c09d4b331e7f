//! The two cookies (RFC 6265): one renews the session, one lets players and pictures at a person's videos.

use http::HeaderValue;
use http::header::{self, HeaderMap};

use crate::source::Source;

/// Over TLS the name makes sure that no other host and no insecure page has set it (`__Host-`).
const REFRESH_SECURE: &str = "__Host-djstream-refresh";
const REFRESH_PLAIN: &str = "djstream-refresh";
const MEDIA_SECURE: &str = "__Secure-djstream-media";
const MEDIA_PLAIN: &str = "djstream-media";

const fn refresh_name(secure: bool) -> &'static str {
    if secure { REFRESH_SECURE } else { REFRESH_PLAIN }
}

const fn media_name(secure: bool) -> &'static str {
    if secure { MEDIA_SECURE } else { MEDIA_PLAIN }
}

/// The refresh token that a browser brings.
pub(crate) fn refresh(headers: &HeaderMap, secure: bool) -> Option<&str> {
    find(headers, refresh_name(secure))
}

/// The media token that a browser brings.
pub(crate) fn media<'a>(headers: &'a HeaderMap, source: &Source) -> Option<&'a str> {
    find(headers, media_name(source.is_secure()))
}

/// Both cookies for somebody who signed in: how long each is kept is in seconds.
pub(crate) fn set(headers: &mut HeaderMap, secure: bool, refresh: (&str, u64), media: (&str, u32)) {
    append(headers, refresh_name(secure), refresh.0, "/", refresh.1, secure);
    append(headers, media_name(secure), media.0, "/media", media.1.into(), secure);
}

/// Takes both cookies away.
pub(crate) fn clear(headers: &mut HeaderMap, secure: bool) {
    append(headers, refresh_name(secure), "", "/", 0, secure);
    append(headers, media_name(secure), "", "/media", 0, secure);
}

fn append(headers: &mut HeaderMap, name: &str, value: &str, path: &str, max_age_s: u64, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    match HeaderValue::from_maybe_shared(text) {
        Ok(value) => drop(headers.append(header::SET_COOKIE, value)),
        Err(_) => tracing::error!(name, "a cookie cannot be sent"),
    }
}

fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "xdjstream-refresh=no; djstream-refresh=yes; a=b".parse().unwrap());
        headers.append(header::COOKIE, "djstream-media=m".parse().unwrap());
        assert_eq!(refresh(&headers, false), Some("yes"));
        assert_eq!(refresh(&headers, true), None);
        assert_eq!(find(&headers, "djstream-media"), Some("m"));
    }

    #[test]
    fn over_tls_they_are_kept_from_everything_else() {
        let mut headers = HeaderMap::new();
        set(&mut headers, true, ("r", 60), ("m", 30));
        let all: Vec<_> = headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(
            all,
            [
                "__Host-djstream-refresh=r; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure",
                "__Secure-djstream-media=m; Path=/media; Max-Age=30; HttpOnly; SameSite=Strict; Secure",
            ]
        );
    }
}
