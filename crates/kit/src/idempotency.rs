//! `Idempotency-Key`: a request that is repeated gets the answer that it got the first time.
//!
//! Key and answer are written in the batch of the effect, so one is never there without the other.

use proto::{Problem, Timestamp, UserId, codes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Batch, ReadError, Scan, Store, Table, Texts};

use crate::problem;

/// (user, `Idempotency-Key`): what was asked. A batch that fails its assertion on this table repeats a request
/// that was answered at the same moment.
pub const REMEMBERED: Table<(IdKey, String), Remembered> = Table::new("remembered");

/// (user, `Idempotency-Key`): what was answered.
const ANSWERS: Texts<(IdKey, String)> = Texts::new("remembered-answers");

/// (time, user, `Idempotency-Key`): what can be forgotten first.
const BY_TIME: Table<(i64, IdKey, String), ()> = Table::new("remembered-by-time");

type IdKey = [u8; 16];

/// How long an answer is kept.
const KEPT_MS: i64 = 24 * 3600 * 1000;

/// How many old answers each new one forgets: more than one, so that they do not pile up.
const FORGOTTEN_AT_ONCE: usize = 3;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Of what was asked.
    digest: [u8; 16],
    /// When.
    at: Timestamp,
}

/// A request that may come again.
#[derive(Debug, Clone)]
pub struct Idempotency {
    user: UserId,
    key: String,
    digest: [u8; 16],
}

impl Idempotency {
    /// The request of a user, by its key, its kind (with what the path names) and its body.
    pub fn of<T: Serialize>(user: UserId, key: Option<String>, kind: &str, body: &T) -> Option<Self> {
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

/// What was answered before, if this is a repetition.
///
/// # Errors
/// `idempotency-key-reused` if the key came with another request; or the store cannot be read.
pub fn remembered<T: DeserializeOwned>(
    store: &Store,
    request: Option<&Idempotency>,
    now: Timestamp,
) -> Result<Option<T>, Problem> {
    let Some(request) = request else { return Ok(None) };
    let key = (request.user.bytes(), request.key.clone());
    let known = store.get(REMEMBERED, &key).map_err(|error| problem::of_read(&error))?;
    let Some(known) = known.filter(|it| now.since(it.at) < KEPT_MS) else { return Ok(None) };
    if known.digest != request.digest {
        return Err(Problem::new(codes::IDEMPOTENCY_KEY_REUSED, "this Idempotency-Key was used with another request"));
    }
    let answer = store.text(ANSWERS, &key).map_err(|error| problem::of_read(&error))?;
    Ok(answer.and_then(|answer| serde_json::from_str(&answer).ok()))
}

/// Adds to a batch that this was answered, and forgets what is old.
///
/// # Errors
/// If the store cannot be read or the answer cannot be written as JSON.
pub fn remember<T: Serialize>(
    store: &Store,
    batch: Batch,
    request: Option<&Idempotency>,
    answer: &T,
    now: Timestamp,
) -> Result<Batch, Problem> {
    let Some(request) = request else { return Ok(batch) };
    let own = (request.user.bytes(), request.key.clone());
    let answer = serde_json::to_string(answer)
        .map_err(|error| Problem::new(codes::INTERNAL, format!("the answer cannot be kept: {error}")))?;
    let forgotten = forgotten(store, &own, now).map_err(|error| problem::of_read(&error))?;
    let batch = forgotten.into_iter().fold(batch, |batch, (at, user, key)| {
        let name = (user, key.clone());
        batch.delete(REMEMBERED, &name).delete_text(ANSWERS, &name).delete(BY_TIME, &(at, user, key))
    });
    Ok(batch
        .assert_absent(REMEMBERED, &own)
        .put(REMEMBERED, &own, &Remembered { digest: request.digest, at: now })
        .put_text(ANSWERS, &own, &answer)
        .put(BY_TIME, &(now.ms(), own.0, own.1), &()))
}

/// A batch that forgets some of what a person's requests were answered, and whether there is more: for the end of an
/// account.
///
/// # Errors
/// If the store cannot be read.
pub fn forget_user(store: &Store, user: UserId, limit: usize) -> Result<(Batch, bool), ReadError> {
    let rows = store.scan(REMEMBERED, Scan::prefix(&user.bytes())).take(limit).collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() == limit;
    let batch = rows.into_iter().fold(Batch::new(), |batch, (name, known)| {
        let (user, key) = name.clone();
        batch.delete(REMEMBERED, &name).delete_text(ANSWERS, &name).delete(BY_TIME, &(known.at.ms(), user, key))
    });
    Ok((batch, more))
}

/// Some of what is too old, and what is too old under this key.
fn forgotten(store: &Store, own: &(IdKey, String), now: Timestamp) -> Result<Vec<(i64, IdKey, String)>, ReadError> {
    let old = store.scan_keys(BY_TIME, Scan::all().until(&(now.ms() - KEPT_MS + 1,)));
    let mut forgotten = old.take(FORGOTTEN_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
    if let Some(expired) = store.get(REMEMBERED, own)?.filter(|it| now.since(it.at) >= KEPT_MS) {
        forgotten.push((expired.at.ms(), own.0, own.1.clone()));
    }
    Ok(forgotten)
}
