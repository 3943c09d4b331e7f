//! Registration, login, renewal, passwords: what makes and ends sessions.

use kit::config::RegistrationPolicy;
use proto::api::account::{AccountState, ChangePassword, CreateUser, Login, PatchUser, Register, Role};
use proto::{FieldError, Problem, SessionId, Timestamp, UserId, codes};
use store::Batch;

use super::accounts::{Accounts, NewAccount, login_key};
use super::passwords::{self, GoodPassword};
use super::sessions::{Device, Opened};
use super::tokens::TokenKind;
use super::{Service, fields};
use crate::data::UserRecord;
use crate::error::GatewayError;

/// Somebody who has just signed in or renewed a session, with all that a client gets for it.
#[derive(Debug)]
pub(crate) struct SignIn {
    pub(crate) user: UserRecord,
    pub(crate) access_token: String,
    pub(crate) media_token: String,
    pub(crate) refresh_token: String,
}

impl Service {
    /// Makes an account as the registration policy says, and signs it in.
    ///
    /// # Errors
    /// `ApprovalPending` when the account was made, but an admin has to approve it.
    pub(crate) async fn register(
        &self,
        body: &Register,
        device: &Device,
        now: Timestamp,
    ) -> Result<SignIn, GatewayError> {
        self.throttle.registration(device.address)?;
        let names = names(&body.username, &body.email, body.reason.as_deref());
        let (role, state, setup) = self.admission(body)?;
        let (username, email, reason) = names?;
        let password = passwords::check(&body.password.0, &username)?;
        let user = self
            .create(NewAccount { username, email, password: String::new(), role, state, reason }, password, now, setup)
            .await?;
        match user.state {
            AccountState::Active => self.begin(user, device, now, Batch::new()).await,
            _ => Err(GatewayError::ApprovalPending),
        }
    }

    /// What a new account may become, and the batch that uses up what let it in.
    fn admission(&self, body: &Register) -> Result<(Role, AccountState, Batch), GatewayError> {
        if self.setup.is_needed()? {
            let token = body.setup_token.as_deref().ok_or(GatewayError::SetupRequired)?;
            return Ok((Role::Admin, AccountState::Active, self.setup.check(token)?));
        }
        if body.setup_token.is_some() {
            return Err(GatewayError::SetupTokenInvalid);
        }
        if body.invite_token.is_some() || self.config.registration.policy == RegistrationPolicy::Invite {
            return Err(not_yet("Invitations are not possible in this version; an admin can make the account."));
        }
        match self.config.registration.policy {
            RegistrationPolicy::Open => Ok((Role::User, AccountState::Active, Batch::new())),
            RegistrationPolicy::Approval => Ok((Role::User, AccountState::Pending, Batch::new())),
            RegistrationPolicy::Invite | RegistrationPolicy::Closed => Err(GatewayError::RegistrationClosed),
        }
    }

    /// Makes an account for the admin.
    pub(crate) async fn create_user(&self, body: &CreateUser, now: Timestamp) -> Result<UserRecord, GatewayError> {
        if body.role == Role::Guest {
            return Err(GatewayError::field("role", "An account is user, moderator or admin."));
        }
        let (username, email, reason) = names(&body.username, &body.email, None)?;
        let password = passwords::check(&body.password.0, &username)?;
        let (role, state) = (body.role, AccountState::Active);
        let new = NewAccount { username, email, password: String::new(), role, state, reason };
        self.create(new, password, now, Batch::new()).await
    }

    async fn create(
        &self,
        new: NewAccount,
        password: GoodPassword,
        now: Timestamp,
        more: Batch,
    ) -> Result<UserRecord, GatewayError> {
        self.accounts.check_free(&new.username, &new.email)?;
        let password = self.hasher.hash(password).await?;
        let user = self.accounts.create(NewAccount { password, ..new }, now, more).await?;
        tracing::info!(user = %user.id, role = ?user.role, state = ?user.state, "an account was made");
        if user.is_active_admin() {
            self.setup.finish();
        }
        Ok(user)
    }

    /// Signs somebody in. The answer and its time are the same for a wrong name and a wrong password.
    pub(crate) async fn login(&self, body: &Login, device: &Device, now: Timestamp) -> Result<SignIn, GatewayError> {
        let user = self.accounts.by_login(&body.login)?;
        // One account, one count, whether it is called by its name or by its e-mail address.
        let account = user.as_ref().map_or_else(|| login_key(&body.login), |user| login_key(&user.username));
        self.throttle.login(device.address, &account)?;
        if body.otp.is_some() {
            return Err(not_yet("A second factor is not possible in this version; leave it out."));
        }
        let stored = user.as_ref().map(|user| user.password.as_str());
        let right = self.hasher.verify(stored, &body.password.0).await?;
        let Some(user) = user.filter(|_| right) else {
            tracing::info!(address = %device.address, "a login failed");
            return Err(GatewayError::LoginFailed);
        };
        match user.state {
            AccountState::Active => {}
            AccountState::Pending => return Err(GatewayError::ApprovalPending),
            AccountState::Suspended => return Err(GatewayError::Suspended),
        }
        self.rehash(&user, &body.password.0).await;
        tracing::info!(user = %user.id, address = %device.address, "signed in");
        self.begin(user, device, now, Batch::new()).await
    }

    /// Brings a hash to today's costs. If that fails the old one does for now.
    async fn rehash(&self, user: &UserRecord, password: &str) {
        if !self.hasher.is_outdated(&user.password) {
            return;
        }
        let rehashed = async {
            let hash = self.hasher.hash(passwords::as_it_is(password)).await?;
            self.store.write(Accounts::with_password(user, hash)).await?;
            Ok::<_, GatewayError>(())
        };
        if let Err(error) = rehashed.await {
            tracing::warn!(%error, user = %user.id, "a password could not be hashed anew");
        }
    }

    async fn begin(
        &self,
        user: UserRecord,
        device: &Device,
        now: Timestamp,
        more: Batch,
    ) -> Result<SignIn, GatewayError> {
        let opened = self.sessions.begin(user.id, device, now, more).await?;
        self.signed_in(user, &opened, now)
    }

    fn signed_in(&self, user: UserRecord, opened: &Opened, now: Timestamp) -> Result<SignIn, GatewayError> {
        let session = opened.record.id;
        Ok(SignIn {
            access_token: self.tokens.make(TokenKind::Access, user.id, session, now)?,
            media_token: self.tokens.make(TokenKind::Media, user.id, session, now)?,
            refresh_token: opened.token.text(),
            user,
        })
    }

    /// Renews a session.
    pub(crate) async fn renew(&self, token: &str, device: &Device, now: Timestamp) -> Result<SignIn, GatewayError> {
        let opened = self.sessions.renew(token, device, now).await?;
        match self.accounts.get(opened.record.user)? {
            Some(user) if user.state == AccountState::Active => self.signed_in(user, &opened, now),
            _ => {
                self.sessions.end_own(opened.record.user, opened.record.id).await?;
                Err(GatewayError::RefreshInvalid)
            }
        }
    }

    /// Changes one's own password, and ends all other sessions.
    pub(crate) async fn change_password(
        &self,
        id: UserId,
        session: Option<SessionId>,
        body: &ChangePassword,
        device: &Device,
    ) -> Result<(), GatewayError> {
        let user = self.accounts.get(id)?.ok_or(GatewayError::NotFound)?;
        self.throttle.login(device.address, &user.username)?;
        let password = passwords::check(&body.new_password.0, &user.username).map_err(|error| match error {
            GatewayError::WeakPassword(detail) => {
                Problem::new(codes::PASSWORD_TOO_WEAK, detail).with_field("newPassword", detail).into()
            }
            error => error,
        })?;
        if !self.is_password_of(&user, &body.current_password.0).await? {
            return Err(GatewayError::field("currentPassword", "This is not the password."));
        }
        let hash = self.hasher.hash(password).await?;
        match self.sessions.end_all(id, session, Accounts::with_password(&user, hash)).await {
            Err(GatewayError::Write(store::WriteError::Assertion { .. })) => Err(GatewayError::Conflict),
            result => result,
        }
    }

    /// Whether this is the account's password.
    pub(super) async fn is_password_of(&self, user: &UserRecord, password: &str) -> Result<bool, GatewayError> {
        self.hasher.verify(Some(&user.password), password).await
    }

    /// Changes what an account may do. Who may not sign in any more is signed out.
    pub(crate) async fn patch_user(
        &self,
        id: UserId,
        patch: &PatchUser,
        now: Timestamp,
    ) -> Result<UserRecord, GatewayError> {
        let user = self.accounts.patch(id, patch, now).await?;
        tracing::info!(user = %id, role = ?user.role, state = ?user.state, "an account was changed by an admin");
        if user.state != AccountState::Active {
            self.sessions.end_all(id, None, Batch::new()).await?;
        }
        if user.is_active_admin() {
            self.setup.finish();
        }
        Ok(user)
    }

    /// Whether there is no admin yet.
    pub(crate) fn needs_setup(&self) -> Result<bool, GatewayError> {
        self.setup.is_needed()
    }
}

fn not_yet(detail: &str) -> GatewayError {
    Problem::new(codes::NOT_AVAILABLE_YET, detail).into()
}

/// The names of a new account; all that is wrong with them at once.
fn names(username: &str, email: &str, reason: Option<&str>) -> Result<(String, String, Option<String>), GatewayError> {
    let mut errors: Vec<FieldError> = Vec::new();
    let mut keep = |result: Result<String, GatewayError>| match result {
        Ok(text) => text,
        Err(GatewayError::Fields(mut more)) => {
            errors.append(&mut more);
            String::new()
        }
        Err(_) => String::new(),
    };
    let names =
        (keep(fields::username(username)), keep(fields::email(email)), reason.map(|text| keep(fields::reason(text))));
    if errors.is_empty() { Ok(names) } else { Err(GatewayError::Fields(errors)) }
}
