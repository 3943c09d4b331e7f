//! SUBSCRIBE, UNSUBSCRIBE, PSUBSCRIBE and PUNSUBSCRIBE.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Answer, Flow};
use crate::frame::Frame;
use crate::server::{Kind, Session};

/// `SUBSCRIBE channel…`
pub(super) fn subscribe(session: &mut Session, names: &[Bytes]) -> Answer {
    add(session, Kind::Channel, names)
}

/// `PSUBSCRIBE pattern…`
pub(super) fn psubscribe(session: &mut Session, names: &[Bytes]) -> Answer {
    add(session, Kind::Pattern, names)
}

/// `UNSUBSCRIBE [channel…]`
pub(super) fn unsubscribe(session: &mut Session, names: &[Bytes]) -> Answer {
    remove(session, Kind::Channel, names)
}

/// `PUNSUBSCRIBE [pattern…]`
pub(super) fn punsubscribe(session: &mut Session, names: &[Bytes]) -> Answer {
    remove(session, Kind::Pattern, names)
}

/// All of the names or, beyond a limit, none.
fn add(session: &mut Session, kind: Kind, names: &[Bytes]) -> Answer {
    let limits = &session.shared.limits;
    if let Some(name) = names.iter().find(|name| name.len() > limits.name_bytes) {
        return Err(Frame::error(format!(
            "ERR a name of {} bytes is longer than the {} allowed",
            name.len(),
            limits.name_bytes
        )));
    }
    let limit = match kind {
        Kind::Channel => limits.channels_per_connection,
        Kind::Pattern => limits.patterns_per_connection,
    };
    let subscribed = session.subscribed(kind);
    let new: HashSet<&Bytes> = names.iter().filter(|name| !subscribed.contains(*name)).collect();
    if subscribed.len() + new.len() > limit {
        return Err(Frame::error(format!("ERR more than {limit} subscriptions on one connection")));
    }
    for name in names {
        session.subscribe(kind, name, |name, count| confirmation(verb(kind, true), Frame::Bulk(name.clone()), count));
    }
    Ok(Flow::Continue)
}

/// The names, or everything of this kind when none is given.
fn remove(session: &mut Session, kind: Kind, names: &[Bytes]) -> Answer {
    let all: Vec<Bytes>;
    let names = if names.is_empty() {
        all = session.subscribed(kind).iter().cloned().collect();
        &all
    } else {
        names
    };
    for name in names {
        session.unsubscribe(kind, name);
        let name = Frame::Bulk(name.clone());
        session.reply(&confirmation(verb(kind, false), name, session.subscriptions()));
    }
    if names.is_empty() {
        session.reply(&confirmation(verb(kind, false), Frame::Null, session.subscriptions()));
    }
    Ok(Flow::Continue)
}

fn verb(kind: Kind, add: bool) -> &'static str {
    match (kind, add) {
        (Kind::Channel, true) => "subscribe",
        (Kind::Channel, false) => "unsubscribe",
        (Kind::Pattern, true) => "psubscribe",
        (Kind::Pattern, false) => "punsubscribe",
    }
}

fn confirmation(verb: &'static str, name: Frame, count: usize) -> Frame {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Frame::Push(vec![Frame::text(verb), name, Frame::Integer(count)])
}
