//! Texts that are longer than one record may be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, start_of};
use crate::error::ReadError;
use crate::key::Key;
use crate::scan::Scan;
use crate::store::Store;
use crate::table::Table;

/// Bytes of a text in one record: the rest of [`VALUE_BYTES_MAX`](crate::limits::VALUE_BYTES_MAX) is for the
/// record around it.
const PART_BYTES: usize = 6 * 1024;

/// Parts of a text at most; a longer text is [`WriteError::TooLarge`](crate::WriteError::TooLarge).
const PARTS_MAX: u8 = 8;

/// How often a text is read again that was being replaced.
const READ_ATTEMPTS: usize = 8;

/// A text for each key, of at most 48 KiB: 12,000 characters of any script. It lies in parts under (key, part).
pub struct Texts<K> {
    parts: Table<(K, u8), Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    /// How many there are.
    of: u8,
    /// CRC32C of the whole text: parts of two texts are never put together.
    crc: u32,
    text: String,
}

impl<K> Texts<K> {
    /// Names the texts. The name is part of every stored key, shared with tables: it never changes.
    pub const fn new(name: &'static str) -> Self {
        Self { parts: Table::new(name) }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.parts.name()
    }
}

impl<K> Clone for Texts<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Texts<K> {}
impl<K> fmt::Debug for Texts<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Texts({})", self.name())
    }
}

impl Batch {
    /// Writes a text, whether there was one or not. Eight operations.
    pub fn put_text<K: Key + Clone>(self, texts: Texts<K>, key: &K, text: &str) -> Self {
        let parts = split(text);
        let of = u8::try_from(parts.len()).unwrap_or(PARTS_MAX);
        let crc = crc32c::crc32c(text.as_bytes());
        let mut batch = self;
        for (index, text) in (0_u8..).zip(parts) {
            let part = Part { of, crc, text: text.to_owned() };
            batch = batch.put(texts.parts, &(key.clone(), index), &part);
        }
        (of..PARTS_MAX).fold(batch, |batch, index| batch.delete(texts.parts, &(key.clone(), index)))
    }

    /// Removes a text, if there is one. Eight operations.
    pub fn delete_text<K: Key + Clone>(self, texts: Texts<K>, key: &K) -> Self {
        (0..PARTS_MAX).fold(self, |batch, index| batch.delete(texts.parts, &(key.clone(), index)))
    }
}

impl Store {
    /// One text.
    pub fn text<K: Key>(&self, texts: Texts<K>, key: &K) -> Result<Option<String>, ReadError> {
        for _ in 0..READ_ATTEMPTS {
            let parts = self.scan(texts.parts, Scan::prefix(key)).map(|entry| entry.map(|(_, part)| part));
            let parts = parts.collect::<Result<Vec<Part>, _>>()?;
            let Some(first) = parts.first() else { return Ok(None) };
            let text: String = parts.iter().map(|part| part.text.as_str()).collect();
            if parts.len() == usize::from(first.of) && crc32c::crc32c(text.as_bytes()) == first.crc {
                return Ok(Some(text));
            }
            // It is being replaced: no two reads are of one moment.
            std::thread::yield_now();
        }
        Err(ReadError::Decode { table: texts.name(), reason: "the parts do not belong together".to_owned() })
    }
}

/// Cuts a text between characters. A text that is too long keeps a last part that the batch refuses.
fn split(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.len() > PART_BYTES && parts.len() + 1 < usize::from(PARTS_MAX) {
        let (part, rest) = text.split_at(start_of(text, PART_BYTES).len());
        parts.push(part);
        text = rest;
    }
    parts.push(text);
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Options, WriteError};

    const TEXTS: Texts<u64> = Texts::new("texts");

    #[tokio::test]
    async fn long_texts_are_read_back_and_replaced_by_short_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let long = "ä€😀".repeat(4_000);
        for text in [long.as_str(), "short", "", &"x".repeat(PART_BYTES), &"x".repeat(PART_BYTES + 1)] {
            store.write(Batch::new().put_text(TEXTS, &7, text)).await.unwrap();
            assert_eq!(store.text(TEXTS, &7).unwrap().as_deref(), Some(text));
            assert_eq!(store.text(TEXTS, &8).unwrap(), None);
        }
        store.write(Batch::new().delete_text(TEXTS, &7)).await.unwrap();
        assert_eq!(store.text(TEXTS, &7).unwrap(), None);
    }

    #[tokio::test]
    async fn a_text_beyond_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let refused = store.write(Batch::new().put_text(TEXTS, &7, &"x".repeat(60_000))).await;
        assert!(matches!(refused, Err(WriteError::TooLarge { .. })), "{refused:?}");
    }
}
