//! RESP values and their bytes: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

mod decode;
pub(crate) mod encode;

use bytes::Bytes;

pub use decode::{FrameDecoder, ProtocolError};

/// The version of RESP that a connection speaks; `HELLO` changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every connection starts with.
    #[default]
    Resp2,
    /// Adds maps, booleans, doubles and push messages.
    Resp3,
}

/// One RESP value.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `+OK`: a line without CR or LF.
    Simple(Bytes),
    /// `-ERR …`: a line, its first word in capitals is the kind of error.
    Error(Bytes),
    /// `:1`
    Integer(i64),
    /// `$3`: any bytes.
    Bulk(Bytes),
    /// No value: `_` in RESP3, `$-1` or `*-1` in RESP2.
    Null,
    /// `#t`; an integer in RESP2.
    Boolean(bool),
    /// `,1.5`; a bulk string in RESP2.
    Double(f64),
    /// `*2`
    Array(Vec<Frame>),
    /// `%2`; an array of keys and values in turn in RESP2.
    Map(Vec<(Frame, Frame)>),
    /// `>3`: not the reply to a command; an array in RESP2.
    Push(Vec<Frame>),
}

impl Frame {
    /// `+OK`
    pub const OK: Self = Self::Simple(Bytes::from_static(b"OK"));

    /// A bulk string of constant text.
    pub const fn text(text: &'static str) -> Self {
        Self::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// An error line. Bytes that would end the line early become spaces.
    pub fn error(message: impl Into<String>) -> Self {
        let line = message.into().replace(['\r', '\n'], " ");
        Self::Error(Bytes::from(line))
    }

    /// The bytes of a string value, whichever kind of string it is.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }
}
