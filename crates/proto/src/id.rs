//! Public identifiers: UUIDv7 (RFC 9562 §5.7) shown as 22 characters of Flickr base58.
//!
//! A UUIDv7 of this century needs only 21 characters; it is padded with `1`, the alphabet's zero, since
//! clients written for other platforms accept exactly 22.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Length of every identifier in text, in characters.
pub const TEXT_LENGTH: usize = 22;

/// Sixteen bytes that order by time of creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

/// The text is not an identifier: wrong length, alphabet or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of {TEXT_LENGTH} base58 characters")]
pub struct InvalidId;

impl Id {
    /// A new identifier; ids made later sort after it.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().into_bytes())
    }

    /// The identifier made of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, as used in keys: they sort like the ids.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 24];
        let length =
            bs58::encode(self.0).with_alphabet(bs58::Alphabet::FLICKR).onto(&mut text[..]).map_err(|_| fmt::Error)?;
        // bs58 writes one zero digit per leading zero byte; the value's own digits are what counts.
        let digits = std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?;
        let digits = digits.trim_start_matches('1');
        write!(out, "{digits:1>TEXT_LENGTH$}")
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != TEXT_LENGTH {
            return Err(InvalidId);
        }
        let digits = text.trim_start_matches('1');
        let decoded = bs58::decode(digits).with_alphabet(bs58::Alphabet::FLICKR).into_vec().map_err(|_| InvalidId)?;
        let start = 16_usize.checked_sub(decoded.len()).ok_or(InvalidId)?;
        let mut bytes = [0_u8; 16];
        bytes[start..].copy_from_slice(&decoded);
        Ok(Self(bytes))
    }
}

impl Serialize for Id {
    /// Text where people read (JSON), bytes where they do not (MessagePack).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Id;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "an identifier of {TEXT_LENGTH} base58 characters")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
                bytes.try_into().map(Id).map_err(|_| E::custom("an identifier has 16 bytes"))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Text)
        } else {
            deserializer.deserialize_bytes(Text)
        }
    }
}

macro_rules! id_of {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Id);

        impl $name {
            /// A new identifier; ids made later sort after it.
            pub fn generate() -> Self {
                Self(Id::generate())
            }

            /// The identifier made of these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Id::from_bytes(bytes))
            }

            /// The sixteen bytes, as used in keys.
            pub const fn bytes(self) -> [u8; 16] {
                self.0.bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self)
            }
        }
    )+};
}

id_of! {
    /// A person with an account; owned by the gateway.
    UserId,
    /// A signed-in device; owned by the gateway.
    SessionId,
    /// A channel; owned by the channel service.
    ChannelId,
    /// A playlist; owned by the channel service.
    PlaylistId,
    /// A video's place in a playlist; owned by the channel service.
    ItemId,
    /// A video; owned by the video service.
    VideoId,
    /// A resumable upload; owned by the video service.
    UploadId,
    /// A comment or reply; owned by the interaction service.
    CommentId,
    /// An inbox entry; owned by the notification service.
    NotificationId,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_has_22_characters_and_reads_back() {
        for id in [Id::generate(), Id::from_bytes([0; 16]), Id::from_bytes([255; 16])] {
            let text = id.to_string();
            assert_eq!(text.len(), TEXT_LENGTH);
            assert_eq!(text.parse::<Id>().unwrap(), id);
        }
    }

    #[test]
    fn text_out_of_range_or_alphabet_is_refused() {
        for text in ["", "short", &"0".repeat(22), &"Z".repeat(22), &"é".repeat(11)] {
            assert_eq!(text.parse::<Id>(), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn ids_made_later_sort_later() {
        let ids: Vec<Id> = (0..100).map(|_| Id::generate()).collect();
        assert!(ids.is_sorted());
    }
}
