//! Who is asking: what the gateway tells the services in `X-DjStream-*` headers.
//!
//! The services believe these headers, since nobody but this user and root can reach their sockets; the
//! gateway strips whatever a client sends under these names.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use proto::api::account::Role;
use proto::{Problem, SessionId, UserId, codes};

const PREFIX: &str = "x-djstream-";
const USER: HeaderName = HeaderName::from_static("x-djstream-user");
const USERNAME: HeaderName = HeaderName::from_static("x-djstream-username");
const ROLE: HeaderName = HeaderName::from_static("x-djstream-role");
const SESSION: HeaderName = HeaderName::from_static("x-djstream-session");
const ADDRESS: HeaderName = HeaderName::from_static("x-djstream-address");
const ORIGIN: HeaderName = HeaderName::from_static("x-djstream-origin");
const REQUEST: HeaderName = HeaderName::from_static("x-djstream-request");

/// Who is asking, from where, and under which address people reach this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account; `None` when not signed in.
    pub user: Option<UserId>,
    /// Its login name.
    pub username: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The device that is signed in.
    pub session: Option<SessionId>,
    /// The client's address.
    pub address: IpAddr,
    /// Scheme and host that the client used, or `[http] public_url`; without a slash at the end.
    pub origin: String,
    /// A name for this request in logs.
    pub request: String,
}

impl Caller {
    /// Nobody in particular: not signed in.
    pub fn guest() -> Self {
        Self {
            user: None,
            username: None,
            role: Role::Guest,
            session: None,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            origin: String::new(),
            request: String::new(),
        }
    }

    /// Reads the headers. Whatever is absent or cannot be read gives no right: without a readable user,
    /// the caller is a guest.
    pub fn read(headers: &HeaderMap) -> Self {
        let user: Option<UserId> = parsed(headers, &USER);
        let guest = Self::guest();
        let signed_in = user.is_some();
        Self {
            user,
            username: text(headers, &USERNAME).filter(|_| signed_in).map(str::to_owned),
            role: text(headers, &ROLE).filter(|_| signed_in).and_then(role).unwrap_or(Role::Guest),
            session: parsed(headers, &SESSION).filter(|_| signed_in),
            address: parsed(headers, &ADDRESS).unwrap_or(guest.address),
            origin: text(headers, &ORIGIN).unwrap_or_default().to_owned(),
            request: text(headers, &REQUEST).unwrap_or_default().to_owned(),
        }
    }

    /// Writes the headers, over whatever stands there.
    pub fn write(&self, headers: &mut HeaderMap) {
        remove_prefixed(headers, PREFIX);
        let mut put = |name: HeaderName, value: String| match HeaderValue::from_maybe_shared(value) {
            Ok(value) => drop(headers.insert(name, value)),
            Err(_) => tracing::error!(%name, "a caller's header cannot be sent"),
        };
        if let Some(user) = self.user {
            put(USER, user.to_string());
            put(ROLE, role_name(self.role).to_owned());
            self.username.iter().for_each(|name| put(USERNAME, name.clone()));
            self.session.iter().for_each(|session| put(SESSION, session.to_string()));
        }
        put(ADDRESS, self.address.to_string());
        put(ORIGIN, self.origin.clone());
        put(REQUEST, self.request.clone());
    }

    /// The account.
    ///
    /// # Errors
    /// `not-signed-in` (401) for guests.
    pub fn signed_in(&self) -> Result<UserId, Problem> {
        self.user.ok_or_else(|| Problem::new(codes::NOT_SIGNED_IN, "This needs an account."))
    }

    /// The account, if it has at least this role.
    ///
    /// # Errors
    /// `not-signed-in` (401) for guests, `forbidden` (403) for lower roles.
    pub fn at_least(&self, role: Role) -> Result<UserId, Problem> {
        let user = self.signed_in()?;
        if self.role >= role {
            return Ok(user);
        }
        Err(Problem::new(codes::FORBIDDEN, format!("This needs the role {}.", role_name(role))))
    }

    /// Whether this is the account `user`.
    pub fn is(&self, user: UserId) -> bool {
        self.user == Some(user)
    }
}

/// Removes every header by which a client could pretend to be somebody or somewhere else: our own, and those
/// of proxies (RFC 7239).
pub fn strip(headers: &mut HeaderMap) {
    remove_prefixed(headers, PREFIX);
    remove_prefixed(headers, "x-forwarded-");
    headers.remove("forwarded");
    headers.remove("x-real-ip");
}

fn remove_prefixed(headers: &mut HeaderMap, prefix: &str) {
    let named: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(prefix)).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parsed<T: FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    text(headers, name)?.parse().ok()
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Guest => "guest",
        Role::User => "user",
        Role::Moderator => "moderator",
        Role::Admin => "admin",
    }
}

fn role(name: &str) -> Option<Role> {
    [Role::Guest, Role::User, Role::Moderator, Role::Admin].into_iter().find(|role| role_name(*role) == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let caller = Caller {
            user: Some(UserId::generate()),
            username: Some("ada".to_owned()),
            role: Role::Moderator,
            session: Some(SessionId::generate()),
            address: "2001:db8::1".parse().unwrap(),
            origin: "https://video.example.org".to_owned(),
            request: "r1".to_owned(),
        };
        let mut headers = HeaderMap::new();
        caller.write(&mut headers);
        assert_eq!(Caller::read(&headers), caller);
        assert!(caller.at_least(Role::User).is_ok() && caller.at_least(Role::Admin).unwrap_err().is(codes::FORBIDDEN));
        let guest = Caller::guest();
        guest.write(&mut headers);
        assert_eq!(Caller::read(&headers), guest);
        assert!(guest.signed_in().unwrap_err().is(codes::NOT_SIGNED_IN));
    }

    #[test]
    fn a_role_without_a_readable_user_is_no_role() {
        let mut headers = HeaderMap::new();
        headers.insert(ROLE, "admin".parse().unwrap());
        headers.insert(USER, "not-an-id".parse().unwrap());
        assert_eq!(Caller::read(&headers).role, Role::Guest);
    }

    #[test]
    fn a_clients_own_claims_are_stripped() {
        let mut headers = HeaderMap::new();
        for name in
            ["x-djstream-user", "X-DjStream-Role", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip"]
        {
            headers.append(name.to_lowercase().parse::<HeaderName>().unwrap(), "a".parse().unwrap());
            headers.append(name.to_lowercase().parse::<HeaderName>().unwrap(), "b".parse().unwrap());
        }
        headers.insert("accept", "*/*".parse().unwrap());
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
