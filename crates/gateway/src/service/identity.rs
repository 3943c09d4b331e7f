//! Who is asking: from a token to an account that may do something now.

use proto::api::account::{AccountState, Role};
use proto::{SessionId, Timestamp, UserId};

use super::Service;
use super::tokens::{Claims, TokenKind};
use crate::error::GatewayError;

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) username: String,
    pub(crate) role: Role,
    pub(crate) session: SessionId,
}

/// Whoever can reach the gateway's own socket: the admin of this machine, who has no account.
pub(crate) const LOCAL_ADMIN: UserId = UserId::from_bytes([0; 16]);

impl Service {
    /// Whose token this is. The session is looked up each time, so that it ends at once; the role too.
    pub(crate) fn identify(&self, token: &str, kind: TokenKind, now: Timestamp) -> Result<Identity, GatewayError> {
        let Claims { sub, sid, .. } = self.tokens.check(token, kind, now)?;
        self.of_session(sub, sid)
    }

    /// Who has this session, if it goes on.
    pub(crate) fn of_session(&self, user: UserId, session: SessionId) -> Result<Identity, GatewayError> {
        if !self.sessions.is_live(session, user) {
            return Err(GatewayError::TokenInvalid);
        }
        match self.accounts.get(user)? {
            Some(account) if account.state == AccountState::Active => {
                Ok(Identity { user, username: account.username, role: account.role, session })
            }
            _ => Err(GatewayError::TokenInvalid),
        }
    }
}
