//! What can go wrong, with its stable code.

use proto::{Problem, codes};
use store::{ReadError, WriteError};

/// Why a request or an event was not dealt with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// `{ids}` or `{upTo}`: one of the two.
    #[error("Give either ids or upTo.")]
    IdsOrUpTo,
    /// Too many ids at once.
    #[error("At most {limit} ids at once.")]
    TooManyIds { limit: usize },
    /// A kind stands twice in the preferences.
    #[error("Each kind may stand once.")]
    KindTwice,
    /// `after=` is no id.
    #[error("after is not the id of a notification.")]
    After,
    /// Other writes came in between again and again.
    #[error("Too much changed at the same moment.")]
    Contention,
    /// The account was deleted at this moment.
    #[error("This account is gone.")]
    AccountGone,
    /// More websockets than one person may have.
    #[error("You have {limit} live connections already.")]
    TooManySockets { limit: u32 },
    /// Not a websocket handshake (RFC 6455 §4.2.1).
    #[error("This address speaks WebSocket (version 13) only.")]
    NotAWebSocket,
    /// The process is ending.
    #[error("The notification service restarts.")]
    Ending,
    /// The store could not be read.
    #[error("The store cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The store took no write.
    #[error("The store cannot be written: {0}")]
    Write(#[from] WriteError),
    /// A blocking task was lost.
    #[error("A task was lost.")]
    TaskLost,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::IdsOrUpTo | Error::TooManyIds { .. } => Self::field("ids", detail),
            Error::KindTwice => Self::field("kinds", detail),
            Error::After => Self::field("after", detail),
            Error::AccountGone => Self::new(codes::NOT_FOUND, detail),
            Error::Contention => Self::new(codes::CONFLICT, detail),
            Error::TooManySockets { .. } => Self::new(codes::TOO_MANY, detail),
            Error::NotAWebSocket => Self::new(codes::INVALID_REQUEST, detail),
            Error::Ending => Self::new(codes::SERVICE_UNAVAILABLE, detail),
            Error::Write(error @ WriteError::QueueFull { .. }) => kit::problem::of_write(&error),
            Error::Write(WriteError::Full) => Self::new(codes::DISK_FULL, "There is no room on the disk."),
            Error::Write(WriteError::Closed) => Self::new(codes::SERVICE_UNAVAILABLE, detail),
            Error::Read(_) | Error::Write(_) | Error::TaskLost => {
                tracing::error!(error = detail, "a request failed");
                Self::new(codes::INTERNAL, "Something went wrong on the server.")
            }
        }
    }
}
