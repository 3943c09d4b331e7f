//! What the gateway keeps: tables, keys and records.

use proto::api::account::{AccountState, AdminUser, Me, Role, Session};
use proto::events::{GatewayEvent, UserProfile};
use proto::{SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::{Counter, Log, Table};

/// An id as a key.
pub(crate) type IdKey = [u8; 16];

/// Accounts by id, so in the order in which they were made.
pub(crate) const USERS: Table<IdKey, UserRecord> = Table::new("users");

/// Whose a username is.
pub(crate) const USERS_BY_NAME: Table<String, UserId> = Table::new("users-by-name");

/// Whose an e-mail address is, in its normal form.
pub(crate) const USERS_BY_EMAIL: Table<String, UserId> = Table::new("users-by-email");

/// Accounts that are active and may run the instance.
pub(crate) const ADMINS: Counter<()> = Counter::new("admins");

/// Usernames of accounts that are gone, as tombstones: nobody gets them again.
pub(crate) const RETIRED_NAMES: Table<IdKey, ()> = Table::new("retired-names");

/// Accounts that are gone, while something that hung on them is not.
pub(crate) const DELETIONS: Table<IdKey, DeletionRecord> = Table::new("deletions");

/// The set-up token, while there is no admin.
pub(crate) const SETUP: Table<(), SetupRecord> = Table::new("setup");

/// Signed-in devices by id.
pub(crate) const SESSIONS: Table<IdKey, SessionRecord> = Table::new("sessions");

/// Signed-in devices of a person.
pub(crate) const SESSIONS_BY_USER: Table<(IdKey, IdKey), ()> = Table::new("sessions-by-user");

/// Keys that sign access tokens, by the time they were made.
pub(crate) const SIGNING_KEYS: Table<i64, SigningKeyRecord> = Table::new("signing-keys");

/// What the gateway tells the other services.
pub(crate) const EVENTS: Log<GatewayEvent> = Log::new(proto::events::EVENTS, &FOLLOWERS);

/// Who reads that, and has to forget an account that is gone.
pub(crate) const FOLLOWERS: [&str; 4] = ["channel", "video", "interaction", "notification"];

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UserRecord {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) display_name: String,
    /// As its owner writes it.
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) bio: String,
    pub(crate) role: Role,
    pub(crate) state: AccountState,
    /// A PHC string: algorithm, parameters, salt and hash.
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) avatar_url: Option<String>,
    pub(crate) created_at: Timestamp,
    /// Why the person wants to join; until it is decided.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

impl UserRecord {
    /// As the other services know it.
    pub(crate) fn profile(&self) -> UserProfile {
        UserProfile {
            id: self.id,
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            avatar_url: self.avatar_url.clone(),
            role: self.role,
            active: self.state == AccountState::Active,
        }
    }

    /// As its owner sees it.
    pub(crate) fn me(&self) -> Me {
        Me {
            id: self.id,
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            email: self.email.clone(),
            bio: self.bio.clone(),
            role: self.role,
            avatar_url: self.avatar_url.clone(),
            created_at: self.created_at,
        }
    }

    /// As the admin sees it.
    pub(crate) fn admin_user(&self) -> AdminUser {
        AdminUser {
            id: self.id,
            username: self.username.clone(),
            email: self.email.clone(),
            role: self.role,
            state: self.state,
            created_at: self.created_at,
            reason: self.reason.clone(),
        }
    }

    /// Whether it counts as an admin who can do something.
    pub(crate) fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.state == AccountState::Active
    }
}

/// An account that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletionRecord {
    pub(crate) username: String,
    pub(crate) deleted_at: Timestamp,
    /// The event's place in the log, or a later one; until it was looked at, nothing.
    pub(crate) sequence: Option<u64>,
    /// Who has still to confirm.
    pub(crate) waiting_for: Vec<String>,
}

/// The key of a username that nobody gets again.
pub(crate) fn retired_name(username: &str) -> IdKey {
    kit::tombstone::of_name("username", username)
}

/// The set-up token: what it hashes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetupRecord {
    pub(crate) token_hash: [u8; 32],
}

/// A signed-in device: one family of refresh tokens, of which one is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    /// `User-Agent`, shortened.
    pub(crate) client: String,
    pub(crate) address: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Of the part that all tokens of the family have: who knows it, had one of them.
    pub(crate) family_hash: [u8; 32],
    /// Of the one good token.
    pub(crate) token_hash: [u8; 32],
    /// Of the token before it.
    #[serde(default)]
    pub(crate) previous_hash: Option<[u8; 32]>,
    /// When the token before it was replaced.
    pub(crate) rotated_at: Timestamp,
}

impl SessionRecord {
    /// As its owner sees it.
    pub(crate) fn session(&self, current: bool) -> Session {
        Session {
            id: self.id,
            client: self.client.clone(),
            address: self.address.clone(),
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            current,
        }
    }
}

/// A key that signs access tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SigningKeyRecord {
    /// Names the key in tokens and in the key set.
    pub(crate) kid: String,
    /// Private key, PKCS#8 version 2 (RFC 5958).
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) created_at: Timestamp,
}

impl std::fmt::Debug for SigningKeyRecord {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SigningKeyRecord").field("kid", &self.kid).finish_non_exhaustive()
    }
}
