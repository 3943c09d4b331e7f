//! Accounts: made, found, changed. Every change tells the other services in the same batch.

use proto::api::account::{AccountState, PatchMe, PatchUser, Role};
use proto::events::GatewayEvent;
use proto::{Timestamp, UserId};
use store::{Batch, Scan, Store, WriteError};

use super::fields;
use crate::data::{ADMINS, EVENTS, RETIRED_NAMES, USERS, USERS_BY_EMAIL, USERS_BY_NAME, UserRecord, retired_name};
use crate::error::GatewayError;

/// What a new account starts with. The names are checked already.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) username: String,
    pub(crate) email: String,
    /// A PHC string.
    pub(crate) password: String,
    pub(crate) role: Role,
    pub(crate) state: AccountState,
    pub(crate) reason: Option<String>,
}

/// All accounts.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    store: Store,
}

/// How often a change is tried again when somebody else changes the same account at the same moment.
const ATTEMPTS: usize = 4;

impl Accounts {
    /// The accounts of a store.
    pub(crate) fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// The account of this id.
    pub(crate) fn get(&self, id: UserId) -> Result<Option<UserRecord>, GatewayError> {
        Ok(self.store.get(USERS, &id.bytes())?)
    }

    /// The account of this username.
    pub(crate) fn by_name(&self, username: &str) -> Result<Option<UserRecord>, GatewayError> {
        match self.store.get(USERS_BY_NAME, &username.to_owned())? {
            Some(id) => self.get(id),
            None => Ok(None),
        }
    }

    /// The account that somebody means who types a username or an e-mail address.
    pub(crate) fn by_login(&self, login: &str) -> Result<Option<UserRecord>, GatewayError> {
        if !login.contains('@') {
            return self.by_name(&login_key(login));
        }
        match self.store.get(USERS_BY_EMAIL, &login_key(login))? {
            Some(id) => self.get(id),
            None => Ok(None),
        }
    }

    /// Whether the names of a new account are free, so that nobody waits for a hash to hear that they are not.
    pub(crate) fn check_free(&self, username: &str, email: &str) -> Result<(), GatewayError> {
        let retired = self.store.contains(RETIRED_NAMES, &retired_name(username))?;
        if retired || self.store.contains(USERS_BY_NAME, &username.to_owned())? {
            return Err(GatewayError::UsernameTaken);
        }
        if self.store.contains(USERS_BY_EMAIL, &fields::email_key(email))? {
            return Err(GatewayError::EmailTaken);
        }
        Ok(())
    }

    /// Makes an account. `more` is written in the same batch.
    pub(crate) async fn create(
        &self,
        new: NewAccount,
        now: Timestamp,
        more: Batch,
    ) -> Result<UserRecord, GatewayError> {
        let user = UserRecord {
            id: UserId::generate(),
            display_name: new.username.clone(),
            username: new.username,
            email: new.email,
            bio: String::new(),
            role: new.role,
            state: new.state,
            password: new.password,
            avatar_url: None,
            created_at: now,
            reason: new.reason.filter(|reason| !reason.is_empty() && new.state == AccountState::Pending),
        };
        let email_key = fields::email_key(&user.email);
        let mut batch = more
            .at(now.ms())
            .assert_absent(USERS_BY_NAME, &user.username)
            .assert_absent(RETIRED_NAMES, &retired_name(&user.username))
            .assert_absent(USERS_BY_EMAIL, &email_key)
            .put(USERS, &user.id.bytes(), &user)
            .put(USERS_BY_NAME, &user.username, &user.id)
            .put(USERS_BY_EMAIL, &email_key, &user.id)
            .append(EVENTS, &GatewayEvent::UserChanged { user: user.profile() });
        if user.is_active_admin() {
            batch = batch.add(ADMINS, &(), 1);
        }
        self.store.write(batch).await.map_err(refused)?;
        Ok(user)
    }

    /// Changes one's own account.
    pub(crate) async fn patch_me(
        &self,
        id: UserId,
        patch: &PatchMe,
        now: Timestamp,
    ) -> Result<UserRecord, GatewayError> {
        let display_name = patch.display_name.as_deref().map(fields::display_name).transpose()?;
        let bio = patch.bio.as_deref().map(fields::bio).transpose()?;
        let email = patch.email.as_deref().map(fields::email).transpose()?;
        self.change(id, now, |user| {
            let mut next = user.clone();
            next.display_name = display_name.clone().unwrap_or(next.display_name);
            next.bio = bio.clone().unwrap_or(next.bio);
            next.email = email.clone().unwrap_or(next.email);
            Ok(next)
        })
        .await
    }

    /// Changes what an account may do.
    pub(crate) async fn patch(
        &self,
        id: UserId,
        patch: &PatchUser,
        now: Timestamp,
    ) -> Result<UserRecord, GatewayError> {
        if patch.role == Some(Role::Guest) {
            return Err(GatewayError::field("role", "An account is user, moderator or admin."));
        }
        if patch.state == Some(AccountState::Pending) {
            return Err(GatewayError::field("state", "An account can be made active or suspended."));
        }
        self.change(id, now, |user| {
            let mut next = user.clone();
            next.role = patch.role.unwrap_or(next.role);
            if let Some(state) = patch.state {
                next.state = state;
                next.reason = None;
            }
            Ok(next)
        })
        .await
    }

    /// A batch that gives the account another password, unless it was changed since `user` was read.
    pub(crate) fn with_password(user: &UserRecord, password: String) -> Batch {
        let key = user.id.bytes();
        Batch::new().assert_equal(USERS, &key, user).put(USERS, &key, &UserRecord { password, ..user.clone() })
    }

    /// A page of all accounts, oldest first, after the account `after`.
    pub(crate) fn page(&self, after: Option<UserId>, limit: usize) -> Result<(Vec<UserRecord>, bool), GatewayError> {
        let scan = after.map_or_else(Scan::all, |after| Scan::all().after(&after.bytes()));
        let mut users = Vec::new();
        for entry in self.store.scan(USERS, scan).take(limit + 1) {
            users.push(entry?.1);
        }
        let more = users.len() > limit;
        users.truncate(limit);
        Ok((users, more))
    }

    async fn change(
        &self,
        id: UserId,
        now: Timestamp,
        change: impl Fn(&UserRecord) -> Result<UserRecord, GatewayError>,
    ) -> Result<UserRecord, GatewayError> {
        for _ in 0..ATTEMPTS {
            let user = self.get(id)?.ok_or(GatewayError::NotFound)?;
            let next = change(&user)?;
            if next == user {
                return Ok(user);
            }
            match self.store.write(changed(&user, &next).at(now.ms())).await {
                Ok(_) => return Ok(next),
                Err(WriteError::Assertion { table, .. }) if table == USERS.name() => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(GatewayError::Conflict)
    }
}

/// By which what somebody typed is found, and its attempts are counted.
pub(crate) fn login_key(login: &str) -> String {
    fields::email_key(login)
}

fn changed(user: &UserRecord, next: &UserRecord) -> Batch {
    let key = user.id.bytes();
    let mut batch = Batch::new().assert_equal(USERS, &key, user).put(USERS, &key, next);
    if user.profile() != next.profile() {
        batch = batch.append(EVENTS, &GatewayEvent::UserChanged { user: next.profile() });
    }
    let (old_email, new_email) = (fields::email_key(&user.email), fields::email_key(&next.email));
    if old_email != new_email {
        batch = batch
            .assert_absent(USERS_BY_EMAIL, &new_email)
            .put(USERS_BY_EMAIL, &new_email, &user.id)
            .delete(USERS_BY_EMAIL, &old_email);
    }
    match (user.is_active_admin(), next.is_active_admin()) {
        (false, true) => batch.add(ADMINS, &(), 1),
        (true, false) => batch.add_bounded(ADMINS, &(), -1, 1..=i64::MAX),
        _ => batch,
    }
}

/// What a refused batch means.
fn refused(error: WriteError) -> GatewayError {
    match error {
        WriteError::Assertion { table, .. } if table == USERS_BY_NAME.name() || table == RETIRED_NAMES.name() => {
            GatewayError::UsernameTaken
        }
        WriteError::Assertion { table, .. } if table == USERS_BY_EMAIL.name() => GatewayError::EmailTaken,
        WriteError::Assertion { table, .. } if table == crate::data::SETUP.name() => GatewayError::SetupTokenInvalid,
        WriteError::Assertion { .. } => GatewayError::Conflict,
        WriteError::Bounds { .. } => GatewayError::LastAdmin,
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
