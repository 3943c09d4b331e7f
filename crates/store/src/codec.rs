//! Records as bytes: MessagePack maps with named fields, so that an older version can read a newer one's.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ReadError, WriteError};

pub(crate) fn encode<V: Serialize + ?Sized>(table: &'static str, value: &V) -> Result<Vec<u8>, WriteError> {
    rmp_serde::to_vec_named(value).map_err(|error| WriteError::Encode { table, reason: error.to_string() })
}

pub(crate) fn decode<V: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<V, ReadError> {
    rmp_serde::from_slice(bytes).map_err(|error| ReadError::Decode { table, reason: error.to_string() })
}

/// Rewrites a stored record the way this version writes it: two versions' bytes of one value become equal.
pub(crate) fn normalize<V: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(&rmp_serde::from_slice::<V>(bytes).ok()?).ok()
}
