//! What can go wrong here, each with its stable code.

use kit::problem;
use proto::codes;
use proto::{Code, Problem};
use store::{ReadError, WriteError};

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such thing, or not for this caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The caller sees it and may not change it.
    #[error("only its author may change this {0}")]
    NotOwner(&'static str),
    /// A field of the request is not allowed.
    #[error("{field}: {detail}")]
    Invalid {
        /// The field as the client wrote it.
        field: &'static str,
        /// What is expected.
        detail: String,
    },
    /// Nobody may comment on this video.
    #[error("comments are closed for this video")]
    CommentsClosed,
    /// More than a person does.
    #[error("more than {limit} {what} a minute")]
    TooFast {
        /// Of what, in the plural.
        what: &'static str,
        /// How many are fine.
        limit: u32,
        /// When it is fine again, in seconds.
        retry_after_s: u32,
    },
    /// The ranked list that the token belongs to is no longer kept.
    #[error("this list is no longer kept: start again at its first page")]
    ListExpired,
    /// Others changed the same thing again and again.
    #[error("others change this at the same moment")]
    Conflict,
    /// The store refused a write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another service, or a check before the domain, has said no.
    #[error("{0}")]
    Problem(#[from] Problem),
}

impl Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => codes::NOT_FOUND,
            Self::NotOwner(_) => codes::FORBIDDEN,
            Self::Invalid { .. } => codes::INVALID_FIELD,
            Self::CommentsClosed => codes::COMMENTS_CLOSED,
            Self::TooFast { .. } => codes::RATE_LIMITED,
            Self::ListExpired => codes::INVALID_PAGE_TOKEN,
            Self::Conflict => codes::CONFLICT,
            Self::Write(_) | Self::Read(_) | Self::Problem(_) => codes::INTERNAL,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Problem(problem) => problem,
            Error::Invalid { field, detail } => Self::field(field, detail),
            Error::Write(error) => problem::of_write(&error),
            Error::Read(error) => problem::of_read(&error),
            Error::TooFast { retry_after_s, .. } => {
                Self::new(error.code(), error.to_string()).with_retry_after(retry_after_s)
            }
            error => Self::new(error.code(), error.to_string()),
        }
    }
}

/// What most functions of this crate answer.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
