//! Where a request comes from: the client's address, and the address under which it reaches us.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{HOST, HeaderMap};
use http::uri::Authority;
use http::{Request, Uri};
use kit::config::Http;
use kit::http::RemoteAddress;

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) address: IpAddr,
    /// The scheme and host that the client used, without a slash at the end.
    pub(crate) seen: String,
    /// Scheme and host for links: `[http] public_url`, else what the client used.
    pub(crate) origin: String,
}

impl Source {
    /// Looks at the connection, and at what a trusted proxy says of the one before it.
    pub(crate) fn of<B>(request: &Request<B>, config: &Http) -> Self {
        let peer = request.extensions().get::<RemoteAddress>().map(|remote| remote.0.ip().to_canonical());
        let proxied = peer.is_some_and(|peer| is_trusted(config, peer));
        let headers = request.headers();
        let address =
            peer.map_or(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                |peer| {
                    if proxied { client_of(headers, config, peer) } else { peer }
                },
            );
        let scheme = if proxied && last(headers, "x-forwarded-proto") == Some("https") { "https" } else { "http" };
        let host = host(request.uri(), headers).unwrap_or_else(|| config.listen.to_string());
        let seen = format!("{scheme}://{host}");
        let origin = if config.public_url.is_empty() { seen.clone() } else { config.public_url.clone() };
        Self { address, seen, origin }
    }

    /// Whether browsers reach us over TLS, so that cookies can be kept from the rest.
    pub(crate) fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Whether `origin`, as a browser names it, is our own.
    pub(crate) fn is_own(&self, origin: &str) -> bool {
        origin == self.origin || origin == self.seen
    }
}

fn is_trusted(config: &Http, address: IpAddr) -> bool {
    config.trusted_proxies.iter().any(|network| network.contains(address))
}

/// The last address of `X-Forwarded-For` that is not one of our proxies: what stands before it, the client may
/// have written itself.
fn client_of(headers: &HeaderMap, config: &Http, peer: IpAddr) -> IpAddr {
    let values: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for text in values.iter().flat_map(|value| value.split(',')).rev() {
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(config, client) {
            break;
        }
    }
    client
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next().map(str::trim)
}

/// Host and port that the client asked for; checked, since it is written into pages.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let text = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST)?.to_str().ok()?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    (text.chars().all(plain) && text.parse::<Authority>().is_ok()).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(config: &Http, peer: &str, headers: &[(&str, &str)]) -> Source {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let remote = RemoteAddress(format!("{peer}:4711").parse().unwrap());
        Source::of(&request.extension(remote).body(()).unwrap(), config)
    }

    #[test]
    fn a_client_cannot_say_where_it_is() {
        let headers =
            [("host", "video.example.org"), ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")];
        let found = source(&Http::default(), "198.51.100.1", &headers);
        assert_eq!(found.address.to_string(), "198.51.100.1");
        assert_eq!(found.origin, "http://video.example.org");
    }

    #[test]
    fn a_trusted_proxy_can_but_only_for_the_last_hop() {
        let config = Http { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Http::default() };
        let headers = [
            ("host", "video.example.org"),
            ("x-forwarded-for", "1.2.3.4, 203.0.113.9"),
            ("x-forwarded-for", "10.0.0.7"),
            ("x-forwarded-proto", "https"),
        ];
        let found = source(&config, "10.0.0.8", &headers);
        assert_eq!(found.address.to_string(), "203.0.113.9");
        assert_eq!(found.origin, "https://video.example.org");
        assert!(found.is_secure());
    }

    #[test]
    fn a_host_that_is_none_is_not_repeated() {
        for host in ["\"><script>", "a b", "user@evil", "evil/path", "x?y"] {
            let found = source(&Http::default(), "198.51.100.1", &[("host", host)]);
            assert_eq!(found.origin, "http://127.0.0.1:8080", "{host}");
        }
        let config = Http { public_url: "https://video.example.org".to_owned(), ..Http::default() };
        let found = source(&config, "127.0.0.1", &[("host", "127.0.0.1:8080")]);
        assert!(found.is_own("https://video.example.org") && found.is_own("http://127.0.0.1:8080"));
        assert!(!found.is_own("https://evil.example") && !found.is_own("null"));
    }
}
