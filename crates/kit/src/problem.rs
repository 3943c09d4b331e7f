//! What the store's errors are answered with, where a service has nothing better to say.

use proto::{Problem, codes};
use store::{ReadError, WriteError};

use crate::limits::QUEUE_RETRY_AFTER_S;

/// The problem for a batch that was refused. An assertion that did not hold is a `conflict`: services that
/// know what it means say so themselves.
pub fn of_write(error: &WriteError) -> Problem {
    match error {
        WriteError::Assertion { .. } | WriteError::Bounds { .. } | WriteError::LeaseLost { .. } => {
            Problem::new(codes::CONFLICT, "Somebody else changed this at the same moment; try again.")
        }
        WriteError::QueueFull { .. } => {
            Problem::new(codes::OVERLOADED, "More is waiting than can be done; try again soon.")
                .with_retry_after(QUEUE_RETRY_AFTER_S)
        }
        WriteError::Full => Problem::new(codes::DISK_FULL, "There is no room for this at the moment."),
        WriteError::Closed => Problem::new(codes::SERVICE_UNAVAILABLE, "This service is about to end."),
        WriteError::NoSuchJob { .. } => Problem::new(codes::NOT_FOUND, "There is no such job."),
        WriteError::TooLarge { what, size, limit } => {
            Problem::new(codes::INVALID_FIELD, format!("This has {size}, more than the limit of {limit} for {what}."))
        }
        other => {
            tracing::error!(error = %other, "the store refused a batch");
            Problem::new(codes::INTERNAL, "This could not be stored.")
        }
    }
}

/// The problem for something that could not be read.
pub fn of_read(error: &ReadError) -> Problem {
    tracing::error!(%error, "the store cannot be read");
    Problem::new(codes::INTERNAL, "This could not be read.")
}
