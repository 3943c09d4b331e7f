//! From bytes to values, a piece at a time: what was read is never looked at twice.

use bytes::{Buf, Bytes, BytesMut};

use super::Frame;

/// Values inside values: `INFO` and friends need two.
const MAXIMAL_DEPTH: usize = 8;

/// Longest header line (`$1048576`); longer lines are simple strings, errors or inline commands.
const MAXIMAL_LINE_BYTES: usize = 16 * 1024;

/// What was received is not RESP, or is more than is allowed. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A length is no number, or negative where that means nothing.
    #[error("invalid length")]
    InvalidLength,
    /// A number, boolean or the end of a string is not as RESP writes it.
    #[error("invalid value")]
    InvalidValue,
    /// No RESP value starts with this byte.
    #[error("unexpected type byte {0:#04x}")]
    UnknownType(u8),
    /// An inline command leaves a quotation open.
    #[error("unbalanced quotes")]
    UnbalancedQuotes,
    /// More bytes or values than one frame may have.
    #[error("frame too large")]
    TooLarge,
    /// Values inside values inside values.
    #[error("frame nested too deeply")]
    TooDeep,
}

/// Turns a stream of bytes into values, however it is cut into pieces.
#[derive(Debug)]
pub struct FrameDecoder {
    maximal_bytes: usize,
    maximal_elements: usize,
    /// A server takes commands typed by hand (`PING\r\n`); a client takes none.
    inline: bool,
    open: Vec<Open>,
    string: Option<PendingString>,
    /// Bytes of the line that is not complete yet, known to have no LF.
    scanned: usize,
    bytes: usize,
    elements: usize,
}

/// An aggregate of which values are missing.
#[derive(Debug)]
struct Open {
    kind: Aggregate,
    missing: usize,
    items: Vec<Frame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Array,
    Map,
    Push,
    /// Data about the next value, which is read and thrown away.
    Attribute,
}

#[derive(Clone, Copy, Debug)]
struct PendingString {
    length: usize,
    /// `=15 txt:…`: three letters and a colon before the text.
    verbatim: bool,
}

impl FrameDecoder {
    /// A decoder for replies, of at most so many bytes and values each.
    pub fn new(maximal_bytes: usize, maximal_elements: usize) -> Self {
        Self {
            maximal_bytes,
            maximal_elements,
            inline: false,
            open: Vec::new(),
            string: None,
            scanned: 0,
            bytes: 0,
            elements: 0,
        }
    }

    /// A decoder for commands, which may be inline ones.
    pub(crate) fn for_commands(maximal_bytes: usize, maximal_elements: usize) -> Self {
        Self { inline: true, ..Self::new(maximal_bytes, maximal_elements) }
    }

    /// Changes how many bytes a frame may have, from the next frame on.
    pub(crate) fn set_maximal_bytes(&mut self, bytes: usize) {
        self.maximal_bytes = bytes;
    }

    /// Takes the next value out of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What was received is not RESP or exceeds a limit; the decoder must not be used again.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        loop {
            let value = match self.string {
                Some(pending) => match self.take_string(pending, buffer)? {
                    Some(value) => value,
                    None => return Ok(None),
                },
                None => {
                    let Some(line) = self.take_line(buffer)? else { return Ok(None) };
                    match self.start(line)? {
                        Some(value) => value,
                        None => continue,
                    }
                }
            };
            if let Some(frame) = self.close(value) {
                self.bytes = 0;
                self.elements = 0;
                return Ok(Some(frame));
            }
        }
    }

    /// A line without its end, counted against the frame's bytes.
    fn take_line(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, ProtocolError> {
        let limit = MAXIMAL_LINE_BYTES.min(self.maximal_bytes.saturating_sub(self.bytes));
        let Some(found) = buffer[self.scanned..].iter().position(|byte| *byte == b'\n') else {
            self.scanned = buffer.len();
            return if self.scanned > limit { Err(ProtocolError::TooLarge) } else { Ok(None) };
        };
        let end = self.scanned + found;
        self.scanned = 0;
        if end + 1 > limit {
            return Err(ProtocolError::TooLarge);
        }
        self.bytes += end + 1;
        let mut line = buffer.split_to(end + 1).freeze();
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 1);
        } else if !(self.inline && self.open.is_empty()) {
            return Err(ProtocolError::InvalidValue);
        }
        Ok(Some(line))
    }

    /// The string that was announced, once all of it is there.
    fn take_string(&mut self, pending: PendingString, buffer: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        if buffer.len() < pending.length + 2 {
            buffer.reserve(pending.length + 2 - buffer.len());
            return Ok(None);
        }
        self.string = None;
        let mut bytes = buffer.split_to(pending.length).freeze();
        if !buffer.starts_with(b"\r\n") {
            return Err(ProtocolError::InvalidValue);
        }
        buffer.advance(2);
        if pending.verbatim {
            if bytes.len() < 4 {
                return Err(ProtocolError::InvalidValue);
            }
            bytes.advance(4);
        }
        Ok(Some(Frame::Bulk(bytes)))
    }

    /// Reads a header line: a whole value, or `None` when more belongs to it.
    fn start(&mut self, line: Bytes) -> Result<Option<Frame>, ProtocolError> {
        self.elements += 1;
        if self.elements > self.maximal_elements {
            return Err(ProtocolError::TooLarge);
        }
        let Some(&kind) = line.first() else {
            // An empty line between commands is nobody's fault; inside a frame it is.
            return if self.inline && self.open.is_empty() {
                self.bytes = 0;
                self.elements = 0;
                Ok(None)
            } else {
                Err(ProtocolError::InvalidValue)
            };
        };
        let rest = line.slice(1..);
        match kind {
            b'*' => self.open(Aggregate::Array, &rest),
            b'$' if !(self.inline && self.open.is_empty()) => self.announce(&rest, false),
            _ if self.inline && self.open.is_empty() => inline_command(&line).map(Some),
            _ if self.inline => Err(ProtocolError::UnknownType(kind)),
            b'=' => self.announce(&rest, true),
            b'~' => self.open(Aggregate::Array, &rest),
            b'%' => self.open(Aggregate::Map, &rest),
            b'>' => self.open(Aggregate::Push, &rest),
            b'|' => self.open(Aggregate::Attribute, &rest),
            _ => scalar(kind, rest).map(Some),
        }
    }

    fn announce(&mut self, rest: &[u8], verbatim: bool) -> Result<Option<Frame>, ProtocolError> {
        let Some(length) = length(rest)? else { return Ok(Some(Frame::Null)) };
        let total = self.bytes.saturating_add(length).saturating_add(2);
        if total > self.maximal_bytes {
            return Err(ProtocolError::TooLarge);
        }
        self.bytes = total;
        self.string = Some(PendingString { length, verbatim });
        Ok(None)
    }

    fn open(&mut self, kind: Aggregate, rest: &[u8]) -> Result<Option<Frame>, ProtocolError> {
        let Some(count) = length(rest)? else { return Ok(Some(Frame::Null)) };
        let pairs = matches!(kind, Aggregate::Map | Aggregate::Attribute);
        let missing = if pairs { count.saturating_mul(2) } else { count };
        if missing > self.maximal_elements - self.elements {
            return Err(ProtocolError::TooLarge);
        }
        if self.open.len() >= MAXIMAL_DEPTH {
            return Err(ProtocolError::TooDeep);
        }
        // The capacity follows what arrives, not what is announced.
        self.open.push(Open { kind, missing, items: Vec::with_capacity(missing.min(16)) });
        if missing > 0 {
            return Ok(None);
        }
        Ok(self.open.pop().and_then(Open::into_frame))
    }

    /// Puts a complete value where it belongs; gives back a frame that is complete by that.
    fn close(&mut self, mut value: Frame) -> Option<Frame> {
        loop {
            let Some(top) = self.open.last_mut() else { return Some(value) };
            top.items.push(value);
            top.missing -= 1;
            if top.missing > 0 {
                return None;
            }
            value = self.open.pop()?.into_frame()?;
        }
    }
}

impl Open {
    /// `None` for an attribute: the value that it is about follows.
    fn into_frame(self) -> Option<Frame> {
        match self.kind {
            Aggregate::Array => Some(Frame::Array(self.items)),
            Aggregate::Push => Some(Frame::Push(self.items)),
            Aggregate::Attribute => None,
            Aggregate::Map => {
                let mut items = self.items.into_iter();
                let mut pairs = Vec::with_capacity(items.len() / 2);
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Some(Frame::Map(pairs))
            }
        }
    }
}

fn scalar(kind: u8, rest: Bytes) -> Result<Frame, ProtocolError> {
    match kind {
        b'+' => Ok(Frame::Simple(rest)),
        b'-' | b'!' => Ok(Frame::Error(rest)),
        b':' => number(&rest).map(Frame::Integer),
        b'_' if rest.is_empty() => Ok(Frame::Null),
        b'#' => match &rest[..] {
            b"t" => Ok(Frame::Boolean(true)),
            b"f" => Ok(Frame::Boolean(false)),
            _ => Err(ProtocolError::InvalidValue),
        },
        b',' => std::str::from_utf8(&rest)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Frame::Double)
            .ok_or(ProtocolError::InvalidValue),
        b'(' => Ok(Frame::Bulk(rest)),
        _ => Err(ProtocolError::UnknownType(kind)),
    }
}

fn number(digits: &[u8]) -> Result<i64, ProtocolError> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(ProtocolError::InvalidValue)
}

/// A length, or `None` for the `-1` that means no value.
fn length(digits: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match number(digits) {
        Ok(-1) => Ok(None),
        Ok(value) => usize::try_from(value).map(Some).map_err(|_| ProtocolError::InvalidLength),
        Err(_) => Err(ProtocolError::InvalidLength),
    }
}

/// A command as a person types it: words, or text in single or double quotes.
fn inline_command(line: &[u8]) -> Result<Frame, ProtocolError> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { return Ok(Frame::Array(words)) };
        let word = if first == b'"' || first == b'\'' {
            let end = rest[1..].iter().position(|byte| *byte == first);
            let end = end.ok_or(ProtocolError::UnbalancedQuotes)? + 1;
            let word = &rest[1..end];
            rest = &rest[end + 1..];
            word
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            let word = &rest[..end];
            rest = &rest[end..];
            word
        };
        words.push(Frame::Bulk(Bytes::copy_from_slice(word)));
    }
}
