//! PUBLISH.

use bytes::Bytes;

use super::{Answer, Flow};
use crate::frame::Frame;
use crate::server::Session;

/// `PUBLISH channel message`: answers how often it was given to a subscriber.
pub(super) fn publish(session: &mut Session, arguments: &[Bytes]) -> Answer {
    let receivers = session.shared.hub.publish(&arguments[0], &arguments[1]);
    session.reply(&Frame::Integer(i64::try_from(receivers).unwrap_or(i64::MAX)));
    Ok(Flow::Continue)
}
