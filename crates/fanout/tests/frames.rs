//! Values survive being written, cut anywhere and read again.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use fanout::{Frame, FrameDecoder, Protocol, ProtocolError};
use proptest::prelude::*;

fn frames() -> impl Strategy<Value = Frame> {
    let line = "[ -~]{0,20}".prop_map(Bytes::from);
    let leaf = prop_oneof![
        line.clone().prop_map(Frame::Simple),
        line.prop_map(Frame::Error),
        any::<i64>().prop_map(Frame::Integer),
        proptest::collection::vec(any::<u8>(), 0..64).prop_map(|bytes| Frame::Bulk(bytes.into())),
        Just(Frame::Null),
        any::<bool>().prop_map(Frame::Boolean),
        (-1e9..1e9).prop_map(Frame::Double),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Frame::Array),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Frame::Push),
            proptest::collection::vec((inner.clone(), inner), 0..3).prop_map(Frame::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        written in proptest::collection::vec(frames(), 1..5),
        cuts in proptest::collection::vec(1usize..40, 1..20),
    ) {
        let mut bytes = BytesMut::new();
        for frame in &written {
            frame.encode(Protocol::Resp3, &mut bytes);
        }
        let mut decoder = FrameDecoder::new(1024 * 1024, 4096);
        let (mut buffer, mut read, mut cut) = (BytesMut::new(), Vec::new(), cuts.iter().cycle());
        while !bytes.is_empty() {
            let size = (*cut.next().unwrap()).min(bytes.len());
            buffer.extend_from_slice(&bytes.split_to(size));
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                read.push(frame);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(read, written);
    }

    #[test]
    fn rubbish_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = FrameDecoder::new(100, 10);
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
    }
}

fn decode(text: &str) -> Result<Option<Frame>, ProtocolError> {
    FrameDecoder::new(1024, 16).decode(&mut BytesMut::from(text))
}

#[test]
fn values_that_only_others_write() {
    let bulk = |text: &'static str| Frame::Bulk(Bytes::from_static(text.as_bytes()));
    assert_eq!(decode("$-1\r\n"), Ok(Some(Frame::Null)));
    assert_eq!(decode("*-1\r\n"), Ok(Some(Frame::Null)));
    assert_eq!(decode("=7\r\ntxt:abc\r\n"), Ok(Some(bulk("abc"))));
    assert_eq!(decode("(12345678901234567890\r\n"), Ok(Some(bulk("12345678901234567890"))));
    assert_eq!(decode("~1\r\n:1\r\n"), Ok(Some(Frame::Array(vec![Frame::Integer(1)]))));
    assert_eq!(decode(",inf\r\n"), Ok(Some(Frame::Double(f64::INFINITY))));
    assert_eq!(decode("|1\r\n+ttl\r\n:5\r\n+OK\r\n"), Ok(Some(Frame::OK)));
    assert_eq!(decode("*1\r\n|1\r\n+ttl\r\n:5\r\n:1\r\n"), Ok(Some(Frame::Array(vec![Frame::Integer(1)]))));
}

#[test]
fn what_is_announced_is_checked_before_it_comes() {
    assert_eq!(decode("$2000\r\n"), Err(ProtocolError::TooLarge));
    assert_eq!(decode("*17\r\n"), Err(ProtocolError::TooLarge));
    assert_eq!(decode("%9\r\n"), Err(ProtocolError::TooLarge));
    assert_eq!(decode("*99999999999999999999\r\n"), Err(ProtocolError::InvalidLength));
    assert_eq!(decode(&"*1\r\n".repeat(9)), Err(ProtocolError::TooDeep));
    assert_eq!(decode("=2\r\nab\r\n"), Err(ProtocolError::InvalidValue));
    assert_eq!(decode("+a\n"), Err(ProtocolError::InvalidValue));
    assert_eq!(decode("?\r\n"), Err(ProtocolError::UnknownType(b'?')));
}
