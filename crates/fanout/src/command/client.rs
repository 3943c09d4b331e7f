//! CLIENT: what a connection says about itself.

use bytes::Bytes;

use super::{Answer, Flow, wrong_subcommand};
use crate::frame::Frame;
use crate::server::Session;

const MAXIMAL_NAME_BYTES: usize = 128;

/// `CLIENT SETNAME name | GETNAME | SETINFO attribute value | ID`
pub(super) fn client(session: &mut Session, arguments: &[Bytes]) -> Answer {
    let subcommand = arguments[0].to_ascii_uppercase();
    let reply = match (&subcommand[..], &arguments[1..]) {
        (b"SETNAME", [name]) => {
            session.name = valid_name(name)?;
            Frame::OK
        }
        (b"GETNAME", []) if session.name.is_empty() => Frame::Null,
        (b"GETNAME", []) => Frame::Bulk(session.name.clone()),
        (b"SETINFO", [attribute, value]) => set_info(attribute, value)?,
        (b"ID", []) => Frame::Integer(session.id.cast_signed()),
        _ => return Err(wrong_subcommand("CLIENT", &arguments[0])),
    };
    session.reply(&reply);
    Ok(Flow::Continue)
}

/// The library's name and version are checked and forgotten: nothing here shows them.
fn set_info(attribute: &[u8], value: &[u8]) -> Result<Frame, Frame> {
    if !attribute.eq_ignore_ascii_case(b"LIB-NAME") && !attribute.eq_ignore_ascii_case(b"LIB-VER") {
        let shown = super::printable(attribute);
        return Err(Frame::error(format!("ERR Unrecognized option '{shown}'")));
    }
    valid_name(value).map(|_| Frame::OK)
}

/// A name of printable characters without spaces, copied out of the read buffer.
pub(super) fn valid_name(name: &[u8]) -> Result<Bytes, Frame> {
    if name.len() > MAXIMAL_NAME_BYTES || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Frame::error(
            "ERR names have at most 128 characters and no spaces, newlines or special characters",
        ));
    }
    Ok(Bytes::copy_from_slice(name))
}
