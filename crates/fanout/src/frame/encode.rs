//! From values to bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Frame, Protocol};

impl Frame {
    /// Appends the bytes of this value. What RESP2 lacks is written as its nearest RESP2 value.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) {
        let resp3 = protocol == Protocol::Resp3;
        match self {
            Self::Simple(line) => write_line(b'+', line, out),
            Self::Error(line) => write_line(b'-', line, out),
            Self::Integer(value) => write_line(b':', value.to_string().as_bytes(), out),
            Self::Bulk(bytes) => write_bulk(bytes, out),
            Self::Null if resp3 => out.put_slice(b"_\r\n"),
            Self::Null => out.put_slice(b"$-1\r\n"),
            Self::Boolean(value) if resp3 => write_line(b'#', if *value { b"t" } else { b"f" }, out),
            Self::Boolean(value) => write_line(b':', if *value { b"1" } else { b"0" }, out),
            Self::Double(value) if resp3 => write_line(b',', value.to_string().as_bytes(), out),
            Self::Double(value) => write_bulk(value.to_string().as_bytes(), out),
            Self::Array(items) => write_items(b'*', items, protocol, out),
            Self::Push(items) => write_items(if resp3 { b'>' } else { b'*' }, items, protocol, out),
            Self::Map(pairs) => {
                let (kind, count) = if resp3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
                write_line(kind, count.to_string().as_bytes(), out);
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
        }
    }

    /// The bytes of this value alone.
    pub fn to_bytes(&self, protocol: Protocol) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(protocol, &mut out);
        out.freeze()
    }
}

/// Appends a command: an array of bulk strings, which is the same in both versions.
pub(crate) fn write_command<'a>(arguments: impl ExactSizeIterator<Item = &'a [u8]>, out: &mut BytesMut) {
    write_line(b'*', arguments.len().to_string().as_bytes(), out);
    for argument in arguments {
        write_bulk(argument, out);
    }
}

fn write_items(kind: u8, items: &[Frame], protocol: Protocol, out: &mut BytesMut) {
    write_line(kind, items.len().to_string().as_bytes(), out);
    for item in items {
        item.encode(protocol, out);
    }
}

fn write_line(kind: u8, line: &[u8], out: &mut BytesMut) {
    out.reserve(line.len() + 3);
    out.put_u8(kind);
    out.put_slice(line);
    out.put_slice(b"\r\n");
}

fn write_bulk(bytes: &[u8], out: &mut BytesMut) {
    write_line(b'$', bytes.len().to_string().as_bytes(), out);
    out.reserve(bytes.len() + 2);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}
