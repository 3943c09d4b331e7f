//! Addresses of a fan-out.

use std::path::PathBuf;
use std::str::FromStr;

/// What `redis://host` means.
const DEFAULT_PORT: u16 = 6379;

/// An address that the client cannot connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Neither `unix:` nor `redis://`. TLS (`rediss://`) is not supported.
    #[error("expected unix:/path or redis://[[user]:password@]host[:port]")]
    Scheme,
    /// `unix:` without a path.
    #[error("unix: needs the path of a socket")]
    Path,
    /// `redis://` without a host, or with a port that is no number from 1 to 65535.
    #[error("redis:// needs a host and, if any, a port from 1 to 65535")]
    Host,
    /// A `%` in the user or password is not followed by two hexadecimal digits.
    #[error("the user or password is not percent-encoded")]
    Credentials,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: u16, login: Option<Login> },
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Login")
    }
}

impl FromStr for Address {
    type Err = ConnectError;

    fn from_str(url: &str) -> Result<Self, ConnectError> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(ConnectError::Path) } else { Ok(Self::Unix(path.into())) };
        }
        let rest = url.strip_prefix("redis://").ok_or(ConnectError::Scheme)?;
        let rest = rest.split(['/', '?']).next().unwrap_or_default();
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(parse_login(login)?), place),
            None => (None, rest),
        };
        let (host, port) = parse_place(place).ok_or(ConnectError::Host)?;
        Ok(Self::Tcp { host, port, login })
    }
}

/// `host`, `host:port` or `[::1]:port`.
fn parse_place(place: &str) -> Option<(String, u16)> {
    let (host, rest) = match place.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match rest {
        "" => DEFAULT_PORT,
        _ => rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn parse_login(login: &str) -> Result<Login, ConnectError> {
    let (user, password) = login.split_once(':').unwrap_or(("", login));
    let user = if user.is_empty() { "default" } else { user };
    Ok(Login { user: percent_decode(user)?, password: percent_decode(password)? })
}

fn percent_decode(text: &str) -> Result<Vec<u8>, ConnectError> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(ConnectError::Credentials),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tcp(host: &str, port: u16, login: Option<(&str, &str)>) -> Address {
        let login = login
            .map(|(user, password)| Login { user: user.as_bytes().to_vec(), password: password.as_bytes().to_vec() });
        Address::Tcp { host: host.to_owned(), port, login }
    }

    #[test]
    fn reads_addresses() {
        for (url, expected) in [
            ("unix:/run/f.sock", Address::Unix("/run/f.sock".into())),
            ("unix:///run/f.sock", Address::Unix("/run/f.sock".into())),
            ("redis://localhost", tcp("localhost", 6379, None)),
            ("redis://127.0.0.1:7000/0", tcp("127.0.0.1", 7000, None)),
            ("redis://[::1]:7000", tcp("::1", 7000, None)),
            ("redis://:p%40ss@h", tcp("h", 6379, Some(("default", "p@ss")))),
            ("redis://u:p@h:1", tcp("h", 1, Some(("u", "p")))),
        ] {
            assert_eq!(url.parse::<Address>().unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_reach() {
        for (url, expected) in [
            ("", ConnectError::Scheme),
            ("rediss://h", ConnectError::Scheme),
            ("unix:", ConnectError::Path),
            ("redis://", ConnectError::Host),
            ("redis://h:0", ConnectError::Host),
            ("redis://h:x", ConnectError::Host),
            ("redis://::1", ConnectError::Host),
            ("redis://:%4@h", ConnectError::Credentials),
        ] {
            assert_eq!(url.parse::<Address>(), Err(expected), "{url}");
        }
    }
}
