//! Sessions: signed-in devices, each a family of refresh tokens of which one is good.
//!
//! A refresh token is opaque: 16 bytes that name the session, 16 that all tokens of the family share, and 16 of
//! its own. Only hashes of the last two are kept. So a token that was replaced can be told from one that never
//! was ours, however long ago that was: the first ends the family, the second does nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use proto::{SessionId, Timestamp, UserId};
use sha2::{Digest, Sha256};
use store::{Batch, Scan, Store};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use super::fields;
use crate::data::{IdKey, SESSIONS, SESSIONS_BY_USER, SessionRecord, USERS};
use crate::error::GatewayError;
use crate::limits::{REFRESH_GRACE_MS, REFRESH_LOCKS, SESSIONS_PER_USER_MAX, SWEEP_SESSIONS_MAX};

/// The device that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// As it names itself, shortened.
    pub(crate) client: String,
    pub(crate) address: IpAddr,
}

impl Device {
    /// The device that calls itself `user_agent`.
    pub(crate) fn new(user_agent: &str, address: IpAddr) -> Self {
        Self { client: fields::client(user_agent), address }
    }
}

/// A refresh token on its way out. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    session: IdKey,
    family: [u8; 16],
    own: [u8; 16],
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("RefreshToken(…)")
    }
}

impl RefreshToken {
    fn new(session: SessionId, family: [u8; 16]) -> Self {
        Self { session: session.bytes(), family, own: rand::random() }
    }

    /// The text that clients keep.
    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.session, self.family, self.own].concat())
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 48] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let part = |at: usize| -> [u8; 16] { std::array::from_fn(|index| bytes[at + index]) };
        Some(Self { session: part(0), family: part(16), own: part(32) })
    }

    fn family_hash(&self) -> [u8; 32] {
        Sha256::digest(self.family).into()
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest([self.session, self.family, self.own].concat()).into()
    }
}

/// A session and the token to renew it with.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) record: SessionRecord,
    pub(crate) token: RefreshToken,
}

/// A session that has not ended, in memory, so that every request can ask.
#[derive(Debug)]
struct Live {
    user: UserId,
    /// Made when somebody wants to know of the end: most sessions have no socket.
    ends: Option<CancellationToken>,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    store: Store,
    idle_ms: i64,
    live: RwLock<HashMap<SessionId, Live>>,
    all_end: CancellationToken,
    locks: Vec<tokio::sync::Mutex<()>>,
    /// The token that was given out last, while the one before it is still good.
    recent: Cache<SessionId, RefreshToken>,
}

impl Sessions {
    /// With what the store has. What hangs on sessions ends when `all_end` is cancelled.
    pub(crate) fn open(
        store: &Store,
        idle_s: u64,
        all_end: CancellationToken,
        now: Timestamp,
    ) -> Result<Self, GatewayError> {
        let mut live = HashMap::new();
        for entry in store.scan(SESSIONS, Scan::all()) {
            let (_, record) = entry?;
            if record.expires_at > now {
                live.insert(record.id, Live { user: record.user, ends: None });
            }
        }
        Ok(Self {
            store: store.clone(),
            idle_ms: i64::try_from(idle_s).unwrap_or(i64::MAX / 1000).saturating_mul(1000),
            live: RwLock::new(live),
            all_end,
            locks: (0..REFRESH_LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
            recent: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_millis(REFRESH_GRACE_MS.unsigned_abs()))
                .build(),
        })
    }

    /// Whether this session of this person goes on.
    pub(crate) fn is_live(&self, id: SessionId, user: UserId) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.get(&id).is_some_and(|live| live.user == user)
    }

    /// A token that is cancelled when the session ends, or all of them do; `None` if it has ended.
    pub(crate) fn end_of(&self, id: SessionId) -> Option<CancellationToken> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let live = live.get_mut(&id)?;
        Some(live.ends.get_or_insert_with(|| self.all_end.child_token()).clone())
    }

    /// Signs a device in. `more` is written in the same batch.
    pub(crate) async fn begin(
        &self,
        user: UserId,
        device: &Device,
        now: Timestamp,
        more: Batch,
    ) -> Result<Opened, GatewayError> {
        let id = SessionId::generate();
        let token = RefreshToken::new(id, rand::random());
        let record = SessionRecord {
            id,
            user,
            client: device.client.clone(),
            address: device.address.to_string(),
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus_ms(self.idle_ms),
            family_hash: token.family_hash(),
            token_hash: token.hash(),
            previous_hash: None,
            rotated_at: now,
        };
        let mut ended = self.list(user)?;
        ended.sort_by_key(|session| std::cmp::Reverse(session.last_seen_at));
        let ended: Vec<SessionId> = ended.iter().skip(SESSIONS_PER_USER_MAX - 1).map(|session| session.id).collect();
        let batch = ended.iter().fold(more.essential(), |batch, old| without(batch, user, *old));
        let batch = batch.assert_present(USERS, &user.bytes()).put(SESSIONS, &id.bytes(), &record).put(
            SESSIONS_BY_USER,
            &(user.bytes(), id.bytes()),
            &(),
        );
        match self.store.write(batch).await {
            Ok(_) => {}
            // Deleted while its password was being checked.
            Err(store::WriteError::Assertion { table, .. }) if table == USERS.name() => {
                return Err(GatewayError::LoginFailed);
            }
            Err(error) => return Err(error.into()),
        }
        self.forget(&ended);
        let live = Live { user, ends: None };
        self.live.write().unwrap_or_else(PoisonError::into_inner).insert(id, live);
        Ok(Opened { record, token })
    }

    /// Replaces a refresh token by the next one. An old one ends the family, but for a short grace for the
    /// client that replaced it: that one gets the same next token again.
    pub(crate) async fn renew(&self, text: &str, device: &Device, now: Timestamp) -> Result<Opened, GatewayError> {
        let token = RefreshToken::parse(text).ok_or(GatewayError::RefreshInvalid)?;
        let lock = usize::from(token.session[15]) % self.locks.len();
        let _alone = self.locks[lock].lock().await;
        let record = self.family_of(&token)?;
        if record.expires_at <= now {
            self.end(record.user, record.id).await?;
            return Err(GatewayError::RefreshInvalid);
        }
        if same(&record.token_hash, &token.hash()) {
            return self.rotate(record, &token, device, now).await;
        }
        if self.in_grace(&record, &token, device, now) {
            return match self.recent.get(&record.id) {
                Some(token) => Ok(Opened { record, token }),
                None => self.rotate(record, &token, device, now).await,
            };
        }
        tracing::warn!(user = %record.user, session = %record.id, address = %device.address,
            "an old refresh token was used again; its session ends");
        self.end(record.user, record.id).await?;
        Err(GatewayError::RefreshInvalid)
    }

    /// The session of a token, if the token is or was one of its family.
    fn family_of(&self, token: &RefreshToken) -> Result<SessionRecord, GatewayError> {
        let record = self.store.get(SESSIONS, &token.session)?.ok_or(GatewayError::RefreshInvalid)?;
        if same(&record.family_hash, &token.family_hash()) { Ok(record) } else { Err(GatewayError::RefreshInvalid) }
    }

    fn in_grace(&self, record: &SessionRecord, token: &RefreshToken, device: &Device, now: Timestamp) -> bool {
        record.previous_hash.is_some_and(|previous| same(&previous, &token.hash()))
            && (0..=REFRESH_GRACE_MS).contains(&now.since(record.rotated_at))
            && record.client == device.client
            && record.address == device.address.to_string()
    }

    async fn rotate(
        &self,
        record: SessionRecord,
        old: &RefreshToken,
        device: &Device,
        now: Timestamp,
    ) -> Result<Opened, GatewayError> {
        let token = RefreshToken::new(record.id, old.family);
        let next = SessionRecord {
            client: device.client.clone(),
            address: device.address.to_string(),
            last_seen_at: now,
            expires_at: now.plus_ms(self.idle_ms),
            token_hash: token.hash(),
            previous_hash: Some(record.token_hash),
            rotated_at: now,
            ..record.clone()
        };
        let key = record.id.bytes();
        let batch = Batch::new().essential().assert_equal(SESSIONS, &key, &record).put(SESSIONS, &key, &next);
        match self.store.write(batch).await {
            Ok(_) => {}
            // Ended in between.
            Err(store::WriteError::Assertion { .. }) => return Err(GatewayError::RefreshInvalid),
            Err(error) => return Err(error.into()),
        }
        self.recent.insert(record.id, token.clone());
        Ok(Opened { record: next, token })
    }

    /// Ends the session that a refresh token belongs to, and says which it was.
    pub(crate) async fn end_by_token(&self, text: &str) -> Result<Option<SessionId>, GatewayError> {
        let Some(token) = RefreshToken::parse(text) else { return Ok(None) };
        match self.family_of(&token) {
            Ok(record) => self.end(record.user, record.id).await.map(|()| Some(record.id)),
            Err(GatewayError::RefreshInvalid) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A person's sessions.
    pub(crate) fn list(&self, user: UserId) -> Result<Vec<SessionRecord>, GatewayError> {
        let mut sessions = Vec::new();
        for key in self.store.scan_keys(SESSIONS_BY_USER, Scan::prefix(&user.bytes())) {
            let (_, id) = key?;
            sessions.extend(self.store.get(SESSIONS, &id)?);
        }
        Ok(sessions)
    }

    /// Ends one of a person's sessions.
    pub(crate) async fn end_own(&self, user: UserId, id: SessionId) -> Result<(), GatewayError> {
        match self.store.get(SESSIONS, &id.bytes())? {
            Some(record) if record.user == user => self.end(user, id).await,
            _ => Err(GatewayError::NotFound),
        }
    }

    /// Ends all sessions of a person, but for `keep`. `more` is written in the same batch.
    pub(crate) async fn end_all(&self, user: UserId, keep: Option<SessionId>, more: Batch) -> Result<(), GatewayError> {
        let ids: Vec<SessionId> =
            self.list(user)?.iter().map(|session| session.id).filter(|id| Some(*id) != keep).collect();
        let batch = ids.iter().fold(more, |batch, id| without(batch, user, *id));
        if !batch.is_empty() {
            self.store.write(batch).await?;
        }
        self.forget(&ids);
        Ok(())
    }

    async fn end(&self, user: UserId, id: SessionId) -> Result<(), GatewayError> {
        // From memory first: whatever becomes of the write, it was wanted.
        self.forget(&[id]);
        self.store.write(without(Batch::new(), user, id)).await?;
        Ok(())
    }

    fn forget(&self, ids: &[SessionId]) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            self.recent.invalidate(id);
            if let Some(ends) = live.remove(id).and_then(|live| live.ends) {
                ends.cancel();
            }
        }
    }

    /// Removes sessions that have run out, some at a time. Reads the whole table: for the blocking pool.
    pub(crate) fn expired(&self, now: Timestamp) -> Result<Vec<(UserId, SessionId)>, GatewayError> {
        let mut expired = Vec::new();
        for entry in self.store.scan(SESSIONS, Scan::all()) {
            let (_, record) = entry?;
            if record.expires_at <= now {
                expired.push((record.user, record.id));
            }
            if expired.len() == SWEEP_SESSIONS_MAX {
                break;
            }
        }
        Ok(expired)
    }

    /// Ends sessions that [`Sessions::expired`] found.
    pub(crate) async fn remove(&self, expired: &[(UserId, SessionId)]) -> Result<(), GatewayError> {
        if expired.is_empty() {
            return Ok(());
        }
        let batch = expired.iter().fold(Batch::new(), |batch, (user, id)| without(batch, *user, *id));
        self.store.write(batch).await?;
        self.forget(&expired.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        Ok(())
    }
}

fn without(batch: Batch, user: UserId, id: SessionId) -> Batch {
    batch.essential().delete(SESSIONS, &id.bytes()).delete(SESSIONS_BY_USER, &(user.bytes(), id.bytes()))
}

/// Compares hashes in the same time whether they are alike or not.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests;
