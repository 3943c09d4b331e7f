//! Accounts and sessions: the gateway's part.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{SessionId, Timestamp, UserId};

/// What an account may do on the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Not signed in.
    #[default]
    Guest,
    /// An ordinary account.
    User,
    /// Handles reports.
    Moderator,
    /// Runs the instance.
    Admin,
}

/// A password on its way in. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(…)")
    }
}

/// `POST /api/auth/register`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Register {
    /// `^[a-z0-9][a-z0-9_.-]{1,29}$`, never changed.
    pub username: String,
    /// For password resets and mails.
    pub email: String,
    /// At least 15 characters, at most 256; not a common one.
    pub password: Password,
    /// The one-time token that makes the first account, the admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_token: Option<String>,
    /// For instances that register by invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_token: Option<String>,
    /// For instances that approve: why one wants to join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// True for clients that cannot keep a cookie.
    #[serde(default)]
    pub return_refresh_token: bool,
}

/// `POST /api/auth/login`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    /// Username or e-mail address.
    pub login: String,
    /// The password.
    pub password: Password,
    /// The second factor, once one is set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// True for clients that cannot keep a cookie.
    #[serde(default)]
    pub return_refresh_token: bool,
}

/// `POST /api/auth/refresh` and `POST /api/auth/logout`; browsers send an empty body and the cookie.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token, for clients without a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// The answer to registration, login and refresh.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// Who signed in.
    pub user: Me,
    /// A JWT (EdDSA), for `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u32,
    /// Only when asked for with `returnRefreshToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// `GET /api/me`: one's own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The account's id.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// The e-mail address.
    pub email: String,
    /// A few words about oneself.
    pub bio: String,
    /// What one may do.
    pub role: Role,
    /// Where the avatar is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

/// `PATCH /api/me`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchMe {
    /// 1–60 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// At most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// A new e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// `PUT /api/me/password`; ends all other sessions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: Password,
    /// The password from now on.
    pub new_password: Password,
}

/// `DELETE /api/me`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteMe {
    /// The password, to be sure.
    pub password: Password,
}

/// An item of `GET /api/auth/sessions`: a signed-in device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// For `DELETE /api/auth/sessions/{id}`.
    pub id: SessionId,
    /// The client as it named itself (`User-Agent`), shortened.
    pub client: String,
    /// The network address it was last seen at.
    pub address: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it last renewed its token.
    pub last_seen_at: Timestamp,
    /// Whether this is the session that asks.
    pub current: bool,
}

/// An item of `GET /api/admin/users`, and of `djstreamctl user list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminUser {
    /// The account's id.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// What it may do.
    pub role: Role,
    /// Waits for approval, active, or suspended.
    pub state: AccountState,
    /// Since when.
    pub created_at: Timestamp,
    /// The applicant's reason, while it waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether an account may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// Registered where an admin approves; cannot sign in yet.
    Pending,
    /// Can sign in.
    Active,
    /// Cannot sign in.
    Suspended,
}

/// `PATCH /api/admin/users/{id}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchUser {
    /// A new role; never `guest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Approve (`active`) or suspend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AccountState>,
}

/// `POST /api/admin/users`: what `djstreamctl user create` sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateUser {
    /// The login name.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: Password,
    /// What it may do.
    pub role: Role,
}

/// An item of `GET /api/admin/deletions`: an account that is gone, while not all that hung on it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The account's id.
    pub id: UserId,
    /// What it was called.
    pub username: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// The services that have not removed everything yet; empty while what follows from it is waited for.
    pub waiting_for: Vec<String>,
    /// What could not be removed and waits for somebody to look.
    pub stuck: Vec<StuckDeletion>,
}

/// Something that could not be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StuckDeletion {
    /// Where.
    pub service: String,
    /// The queue and the job's number, or the event.
    pub what: String,
    /// The last failure.
    pub reason: String,
}
