//! `Idempotency-Key`: a request that is repeated gets the answer that it got the first time.

use proto::{Timestamp, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use store::{Batch, Scan, WriteError};

use super::Service;
use crate::data::{REMEMBERED, REMEMBERED_ANSWERS, REMEMBERED_BY_TIME, Remembered};
use crate::error::{Error, Result};

/// How long an answer is kept.
const KEPT_MS: i64 = 24 * 3600 * 1000;

/// How many old answers each new one forgets: more than one, so that they do not pile up.
const FORGOTTEN_AT_ONCE: usize = 3;

/// A request that may come again.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    user: UserId,
    key: String,
    digest: [u8; 16],
}

impl Idempotency {
    /// The request of a user, by its key, its kind (with what the path names) and its body.
    pub(crate) fn of<T: Serialize>(user: UserId, key: Option<String>, kind: &str, body: &T) -> Option<Self> {
        let key = key?;
        let mut hash = Sha256::new();
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(serde_json::to_vec(body).unwrap_or_default());
        let digest = hash.finalize();
        let digest = std::array::from_fn(|index| digest[index]);
        Some(Self { user, key, digest })
    }
}

impl Service {
    /// What was answered before, if this is a repetition.
    pub(super) fn remembered<T: DeserializeOwned>(
        &self,
        request: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<Option<T>> {
        let Some(request) = request else { return Ok(None) };
        let key = (request.user.bytes(), request.key.clone());
        let Some(remembered) = self.store.get(REMEMBERED, &key)?.filter(|it| now.since(it.at) < KEPT_MS) else {
            return Ok(None);
        };
        if remembered.digest != request.digest {
            return Err(Error::KeyReused);
        }
        let answer = self.store.text(REMEMBERED_ANSWERS, &key)?;
        Ok(answer.and_then(|answer| serde_json::from_str(&answer).ok()))
    }

    /// Adds to a batch that this was answered, and forgets what is old.
    pub(super) fn remember<T: Serialize>(
        &self,
        mut batch: Batch,
        request: Option<&Idempotency>,
        answer: &T,
        now: Timestamp,
    ) -> Result<Batch> {
        let Some(request) = request else { return Ok(batch) };
        let old = self.store.scan_keys(REMEMBERED_BY_TIME, Scan::all().until(&(now.ms() - KEPT_MS + 1,)));
        let own = (request.user.bytes(), request.key.clone());
        let mut forgotten = old.take(FORGOTTEN_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
        if let Some(expired) = self.store.get(REMEMBERED, &own)?.filter(|it| now.since(it.at) >= KEPT_MS) {
            forgotten.push((expired.at.ms(), own.0, own.1.clone()));
        }
        for (at, user, key) in forgotten {
            let name = (user, key.clone());
            batch = batch.delete(REMEMBERED, &name).delete_text(REMEMBERED_ANSWERS, &name);
            batch = batch.delete(REMEMBERED_BY_TIME, &(at, user, key));
        }
        let answer = serde_json::to_string(answer).map_err(|error| {
            Error::Write(WriteError::Encode { table: REMEMBERED.name(), reason: error.to_string() })
        })?;
        Ok(batch
            .assert_absent(REMEMBERED, &own)
            .put(REMEMBERED, &own, &Remembered { digest: request.digest, at: now })
            .put_text(REMEMBERED_ANSWERS, &own, &answer)
            .put(REMEMBERED_BY_TIME, &(now.ms(), own.0, own.1), &()))
    }
}
