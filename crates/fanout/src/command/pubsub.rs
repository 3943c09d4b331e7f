//! PUBSUB: who is subscribed to what.

use bytes::Bytes;

use super::{Answer, Flow, wrong_subcommand};
use crate::frame::Frame;
use crate::server::Session;

/// `PUBSUB CHANNELS [pattern] | NUMSUB [channel…] | NUMPAT`
pub(super) fn pubsub(session: &mut Session, arguments: &[Bytes]) -> Answer {
    let hub = &session.shared.hub;
    let subcommand = arguments[0].to_ascii_uppercase();
    let reply = match (&subcommand[..], &arguments[1..]) {
        (b"CHANNELS", [] | [_]) => {
            let channels = hub.channels(arguments.get(1).map(|pattern| &pattern[..]));
            Frame::Array(channels.into_iter().map(Frame::Bulk).collect())
        }
        (b"NUMSUB", channels) => {
            let mut counts = Vec::with_capacity(channels.len() * 2);
            for channel in channels {
                counts.push(Frame::Bulk(channel.clone()));
                counts.push(count(hub.subscribers(channel)));
            }
            Frame::Array(counts)
        }
        (b"NUMPAT", []) => count(hub.pattern_count()),
        _ => return Err(wrong_subcommand("PUBSUB", &arguments[0])),
    };
    session.reply(&reply);
    Ok(Flow::Continue)
}

fn count(value: usize) -> Frame {
    Frame::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
