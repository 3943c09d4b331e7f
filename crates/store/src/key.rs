//! Keys whose encoding sorts as their values do.

/// A key: its encoding keeps the order and says itself where it ends, so that tuples work and
/// the first parts of a tuple make a prefix.
pub trait Key: Sized {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);
    /// Takes one key from the front of `input`. `None`: it is not one.
    fn decode(input: &mut &[u8]) -> Option<Self>;
}

/// Sorts the other way round: `(channel, Desc(time))` lists the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Desc<T>(pub T);

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(front)
}

macro_rules! unsigned_key {
    ($($number:ty),*) => {$(
        impl Key for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(input: &mut &[u8]) -> Option<Self> {
                let bytes = take(input, size_of::<Self>())?;
                Some(Self::from_be_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}
unsigned_key!(u8, u16, u32, u64, u128);

impl Key for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        ((*self as u64) ^ (1 << 63)).encode(out);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        Some((u64::decode(input)? ^ (1 << 63)) as i64)
    }
}

impl Key for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        match u8::decode(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        take(input, N)?.try_into().ok()
    }
}

/// Zero bytes are written `00 01`, the end `00 00`: so a text sorts before its extensions.
pub(crate) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_bytes_open(bytes, out);
    out.extend_from_slice(&[0, 0]);
}

/// The same without the end: the prefix of everything that starts so.
pub(crate) fn encode_bytes_open(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(1);
        }
    }
}

fn decode_bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match u8::decode(input)? {
            0 => match u8::decode(input)? {
                0 => return Some(bytes),
                1 => bytes.push(0),
                _ => return None,
            },
            byte => bytes.push(byte),
        }
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(decode_bytes(input)?).ok()
    }
}

impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self, out);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        decode_bytes(input)
    }
}

impl<T: Key> Key for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(key) = self {
            key.encode(out);
        }
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        Some(if bool::decode(input)? { Some(T::decode(input)?) } else { None })
    }
}

impl<T: Key> Key for Desc<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.encode(out);
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        let turned: Vec<u8> = input.iter().map(|byte| !byte).collect();
        let mut rest = turned.as_slice();
        let key = T::decode(&mut rest)?;
        take(input, turned.len() - rest.len())?;
        Some(Self(key))
    }
}

impl Key for () {
    fn encode(&self, _out: &mut Vec<u8>) {}
    fn decode(_input: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

macro_rules! tuple_key {
    ($($part:ident),*) => {
        impl<$($part: Key),*> Key for ($($part,)*) {
            #[allow(non_snake_case)]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($part,)*) = self;
                $($part.encode(out);)*
            }
            fn decode(input: &mut &[u8]) -> Option<Self> {
                Some(($($part::decode(input)?,)*))
            }
        }
    };
}
tuple_key!(A);
tuple_key!(A, B);
tuple_key!(A, B, C);
tuple_key!(A, B, C, D);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn encoded(key: &impl Key) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    type Sample = (String, i64, Option<u16>, [u8; 3]);

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_values(
            a: (String, i64, Option<u16>, [u8; 3]),
            b: (String, i64, Option<u16>, [u8; 3]),
        ) {
            prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), a.cmp(&b));
            prop_assert_eq!(
                encoded(&(Desc(a.0.clone()), a.1)).cmp(&encoded(&(Desc(b.0.clone()), b.1))),
                b.0.cmp(&a.0).then(a.1.cmp(&b.1))
            );
        }

        #[test]
        fn what_is_written_is_read(a: (String, i64, Option<u16>, [u8; 3]), after: Vec<u8>) {
            let mut bytes = encoded(&(Desc(a.clone()), a.clone()));
            bytes.extend_from_slice(&after);
            let mut input = bytes.as_slice();
            let back = <(Desc<Sample>, Sample)>::decode(&mut input).unwrap();
            prop_assert_eq!(back, (Desc(a.clone()), a));
            prop_assert_eq!(input, after.as_slice());
        }

        #[test]
        fn no_input_panics(bytes: Vec<u8>) {
            let _ = <(Desc<Sample>, Sample)>::decode(&mut bytes.as_slice());
        }
    }

    #[test]
    fn short_or_wrong_input_is_refused() {
        assert_eq!(u32::decode(&mut [1, 2, 3].as_slice()), None);
        assert_eq!(bool::decode(&mut [2].as_slice()), None);
        assert_eq!(String::decode(&mut b"ab".as_slice()), None);
        assert_eq!(String::decode(&mut [b'a', 0, 7].as_slice()), None);
        assert_eq!(String::decode(&mut [0xFF, 0, 0].as_slice()), None);
    }
}
