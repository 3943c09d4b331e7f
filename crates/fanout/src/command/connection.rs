//! HELLO, AUTH, PING, QUIT and RESET.

use bytes::Bytes;

use super::{Answer, Flow, client};
use crate::frame::{Frame, Protocol};
use crate::server::Session;

/// The only user there is.
const USER: &[u8] = b"default";

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(super) fn hello(session: &mut Session, arguments: &[Bytes]) -> Answer {
    let (version, mut options) = match arguments.split_first() {
        Some((version, options)) => (Some(protocol(version)?), options),
        None => (None, arguments),
    };
    let mut name = None;
    let mut authenticated = session.authenticated;
    while let Some(option) = options.first() {
        if option.eq_ignore_ascii_case(b"AUTH") && options.len() >= 3 {
            check(session, &options[1], &options[2])?;
            authenticated = true;
            options = &options[3..];
        } else if option.eq_ignore_ascii_case(b"SETNAME") && options.len() >= 2 {
            name = Some(client::valid_name(&options[1])?);
            options = &options[2..];
        } else {
            let shown = super::printable(option);
            return Err(Frame::error(format!("ERR Syntax error in HELLO option '{shown}'")));
        }
    }
    if !authenticated {
        return Err(Frame::error(
            "NOAUTH HELLO needs AUTH <user> <password> on a connection that is not authenticated",
        ));
    }
    session.authenticated = true;
    if let Some(name) = name {
        session.name = name;
    }
    if let Some(version) = version {
        session.set_protocol(version);
    }
    session.reply(&greeting(session));
    Ok(Flow::Continue)
}

fn protocol(version: &[u8]) -> Result<Protocol, Frame> {
    match version {
        b"2" => Ok(Protocol::Resp2),
        b"3" => Ok(Protocol::Resp3),
        _ => Err(Frame::error("NOPROTO unsupported protocol version")),
    }
}

fn greeting(session: &Session) -> Frame {
    let version = if session.protocol() == Protocol::Resp3 { 3 } else { 2 };
    Frame::Map(vec![
        (Frame::text("server"), Frame::text("djstream-fanout")),
        (Frame::text("version"), Frame::text(env!("CARGO_PKG_VERSION"))),
        (Frame::text("proto"), Frame::Integer(version)),
        (Frame::text("id"), Frame::Integer(session.id.cast_signed())),
        (Frame::text("mode"), Frame::text("standalone")),
        (Frame::text("role"), Frame::text("master")),
        (Frame::text("modules"), Frame::Array(Vec::new())),
    ])
}

/// `AUTH [user] password`
pub(super) fn auth(session: &mut Session, arguments: &[Bytes]) -> Answer {
    match arguments {
        [password] => check(session, USER, password)?,
        [user, password] => check(session, user, password)?,
        _ => return Err(Frame::error("ERR syntax error")),
    }
    session.authenticated = true;
    session.reply(&Frame::OK);
    Ok(Flow::Continue)
}

fn check(session: &Session, user: &[u8], password: &[u8]) -> Result<(), Frame> {
    if session.shared.password.is_none() {
        return Err(Frame::error("ERR AUTH called, but no password is configured"));
    }
    if session.is_password(password) && user == USER {
        return Ok(());
    }
    Err(Frame::error("WRONGPASS invalid username-password pair or user is disabled."))
}

/// `PING [text]`; in RESP2 a subscriber is answered in the form of a message.
pub(super) fn ping(session: &mut Session, arguments: &[Bytes]) -> Answer {
    let text = arguments.first();
    let subscriber = session.protocol() == Protocol::Resp2 && session.subscriptions() > 0;
    let reply = match (subscriber, text) {
        (true, text) => {
            let text = text.cloned().unwrap_or_default();
            Frame::Array(vec![Frame::text("pong"), Frame::Bulk(text)])
        }
        (false, Some(text)) => Frame::Bulk(text.clone()),
        (false, None) => Frame::Simple(Bytes::from_static(b"PONG")),
    };
    session.reply(&reply);
    Ok(Flow::Continue)
}

/// `QUIT`
pub(super) fn quit(session: &mut Session, _: &[Bytes]) -> Answer {
    session.reply(&Frame::OK);
    Ok(Flow::Close)
}

/// `RESET`: as if just connected.
pub(super) fn reset(session: &mut Session, _: &[Bytes]) -> Answer {
    session.unsubscribe_all();
    session.set_protocol(Protocol::Resp2);
    session.name = Bytes::new();
    session.authenticated = session.shared.password.is_none();
    session.reply(&Frame::Simple(Bytes::from_static(b"RESET")));
    Ok(Flow::Continue)
}
