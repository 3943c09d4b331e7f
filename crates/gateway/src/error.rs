//! Everything that can go wrong in the gateway, each with its stable code.

use proto::{FieldError, Problem, codes};
use store::{ReadError, WriteError};

/// Why the gateway does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The answer is a problem as it stands.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// Fields of the request are at fault.
    #[error("{} fields are not allowed", .0.len())]
    Fields(Vec<FieldError>),
    /// The password is too easy to guess.
    #[error("{0}")]
    WeakPassword(&'static str),
    /// Name or password is wrong; which one is not said.
    #[error("wrong name or password")]
    LoginFailed,
    /// The account waits for an admin.
    #[error("the account waits for approval")]
    ApprovalPending,
    /// An admin suspended the account.
    #[error("the account is suspended")]
    Suspended,
    /// Somebody has that username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Some account has that e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The first account needs the set-up token.
    #[error("the first account needs the set-up token")]
    SetupRequired,
    /// The set-up token is not the one, or was used.
    #[error("the set-up token is wrong or was used")]
    SetupTokenInvalid,
    /// Nobody may register.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The refresh token is none of ours, has run out, or was used before.
    #[error("the refresh token is not valid")]
    RefreshInvalid,
    /// The access token was not made by us, or not for this.
    #[error("the access token is not valid")]
    TokenInvalid,
    /// The access token has run out.
    #[error("the access token has expired")]
    TokenExpired,
    /// The websocket's ticket was used or has run out.
    #[error("the ticket was used or has expired")]
    TicketInvalid,
    /// There is nothing, or not for the caller.
    #[error("not found")]
    NotFound,
    /// The instance would be left without an admin.
    #[error("this is the last admin")]
    LastAdmin,
    /// Somebody was quicker.
    #[error("changed by somebody else at the same moment")]
    Conflict,
    /// Too many attempts.
    #[error("too many attempts, {retry_after_s} s to wait")]
    TooManyAttempts {
        /// Seconds until the next attempt is taken.
        retry_after_s: u32,
    },
    /// Too much waits already.
    #[error("too many logins wait already")]
    Overloaded,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store refused a write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that cannot happen did.
    #[error("{0}")]
    Internal(&'static str),
}

impl GatewayError {
    /// One field at fault.
    pub(crate) fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::Fields(vec![FieldError { field: field.to_owned(), detail: detail.into() }])
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        use GatewayError as E;
        let detail = error.to_string();
        match error {
            E::Problem(problem) => problem,
            E::Fields(errors) => {
                let detail = errors.first().map_or_else(String::new, |error| error.detail.clone());
                Self { errors, ..Self::new(codes::INVALID_FIELD, detail) }
            }
            E::WeakPassword(detail) => Self::new(codes::PASSWORD_TOO_WEAK, detail).with_field("password", detail),
            E::LoginFailed => Self::new(codes::LOGIN_FAILED, "Name or password is wrong."),
            E::ApprovalPending => {
                Self::new(codes::APPROVAL_PENDING, "The account was made. An admin has to approve it first.")
            }
            E::Suspended => Self::new(codes::SUSPENDED, "This account is suspended."),
            E::UsernameTaken => Self::new(codes::USERNAME_TAKEN, "This username is taken.")
                .with_field("username", "This username is taken."),
            E::EmailTaken => Self::new(codes::EMAIL_TAKEN, "This e-mail address has an account.")
                .with_field("email", "This e-mail address has an account."),
            E::SetupRequired => Self::new(
                codes::SETUP_REQUIRED,
                "The first account is made with the link in the server's log (or the file setup-token).",
            ),
            E::SetupTokenInvalid => Self::new(codes::SETUP_TOKEN_INVALID, "The set-up token is wrong or was used."),
            E::RegistrationClosed => Self::new(codes::REGISTRATION_CLOSED, "This site takes no new accounts."),
            E::RefreshInvalid => Self::new(codes::REFRESH_INVALID, "Sign in again."),
            E::TokenInvalid => Self::new(codes::TOKEN_INVALID, "The access token is not valid."),
            E::TokenExpired => Self::new(codes::TOKEN_EXPIRED, "The access token has expired; renew it."),
            E::TicketInvalid => Self::new(codes::TICKET_INVALID, "Ask for a new ticket."),
            E::NotFound => Self::new(codes::NOT_FOUND, "There is nothing here, or not for you."),
            E::LastAdmin => Self::new(codes::CONFLICT, "This is the last admin; make another one first."),
            E::Conflict => Self::new(codes::CONFLICT, "Somebody else changed this at the same moment; try again."),
            E::TooManyAttempts { retry_after_s } => {
                Self::new(codes::RATE_LIMITED, "Too many attempts; wait a moment.").with_retry_after(retry_after_s)
            }
            E::Overloaded => Self::new(codes::OVERLOADED, "Too many people sign in at once; try again."),
            E::Write(WriteError::Full) => Self::new(codes::DISK_FULL, "The server's disk is full."),
            E::Write(WriteError::Closed) => Self::new(codes::SERVICE_UNAVAILABLE, "The server is shutting down."),
            E::Write(_) | E::Read(_) | E::Io { .. } | E::Internal(_) => {
                tracing::error!(error = detail, "an internal error");
                Self::new(codes::INTERNAL, "Something went wrong on the server; its log says what.")
            }
        }
    }
}
