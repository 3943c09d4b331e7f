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
    #[error("only its owner may change this {0}")]
    NotOwner(&'static str),
    /// A field of the request is not allowed.
    #[error("{field}: {detail}")]
    Invalid {
        /// The field as the client wrote it.
        field: &'static str,
        /// What is expected.
        detail: String,
    },
    /// Somebody has this handle.
    #[error("the handle '{0}' is taken")]
    HandleTaken(String),
    /// A channel with videos cannot be deleted.
    #[error("the channel still has videos: delete or move them first")]
    ChannelNotEmpty,
    /// The one playlist that everybody has cannot be renamed, opened to others or deleted.
    #[error("'Watch later' stays as it is")]
    WatchLater,
    /// A limit is reached.
    #[error("at most {limit} {what}")]
    TooMany {
        /// Of what, in the plural.
        what: &'static str,
        /// How many.
        limit: i64,
    },
    /// It was changed since the caller read it.
    #[error("it was changed since you read it")]
    PreconditionFailed,
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
            Self::NotOwner(_) | Self::WatchLater => codes::FORBIDDEN,
            Self::Invalid { .. } => codes::INVALID_FIELD,
            Self::HandleTaken(_) => codes::HANDLE_TAKEN,
            Self::ChannelNotEmpty => codes::CHANNEL_NOT_EMPTY,
            Self::TooMany { .. } => codes::TOO_MANY,
            Self::PreconditionFailed => codes::PRECONDITION_FAILED,
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
            error => Self::new(error.code(), error.to_string()),
        }
    }
}

/// What most functions of this crate answer.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
