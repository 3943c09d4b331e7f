//! What can go wrong here, each with its stable code.

use kit::problem;
use proto::{Code, Problem, codes};
use store::{ReadError, WriteError};

use crate::media::MediaError;

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
    /// It was changed since the caller read it.
    #[error("it was changed since you read it")]
    PreconditionFailed,
    /// A later version can do that.
    #[error("{0}")]
    NotYet(&'static str),
    /// The page token is not one of this list, or too old.
    #[error("start again at the first page")]
    PageToken,
    /// The step is not one that failed.
    #[error("only a step that failed can be tried again")]
    NotFailed,
    /// An upload was refused.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// Others changed the same thing again and again.
    #[error("others change this at the same moment")]
    Conflict,
    /// A file could not be read or written.
    #[error(transparent)]
    Media(#[from] MediaError),
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

/// Why an upload, or a part of one, is refused (tus 1.0.0).
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// Another version of the protocol.
    #[error("say Tus-Resumable: 1.0.0")]
    Version,
    /// A header is missing or says nothing sensible.
    #[error("{header}: {detail}")]
    Header {
        /// The header's name.
        header: &'static str,
        /// What is expected.
        detail: &'static str,
    },
    /// The body of a PATCH has another type.
    #[error("the body has to be application/offset+octet-stream")]
    ContentType,
    /// The client continues somewhere else.
    #[error("the upload is at byte {0}")]
    Offset(u64),
    /// More bytes than announced.
    #[error("the upload has {0} bytes and no more")]
    Beyond(u64),
    /// Larger than this server takes.
    #[error("at most {0} bytes are taken")]
    TooLarge(u64),
    /// More than this person may store.
    #[error("this would be more than the {0} bytes that you may store")]
    Quota(u64),
    /// Too many open uploads.
    #[error("you have {0} unfinished uploads; finish or cancel one first")]
    TooMany(u32),
    /// The disk is almost full.
    #[error("the server has no room for this file")]
    DiskFull,
    /// It was ended or has expired.
    #[error("this upload was ended or has expired")]
    Gone,
    /// The previous request on this upload does not let go.
    #[error("another request writes to this upload")]
    Locked,
    /// All bytes came, and they are not those that the client announced.
    #[error("the file that arrived is not the one announced: its SHA-256 differs")]
    Checksum,
}

impl UploadError {
    fn code(&self) -> Code {
        match self {
            Self::Version => codes::TUS_VERSION,
            Self::Header { .. } => codes::INVALID_REQUEST,
            Self::ContentType => codes::UNSUPPORTED_MEDIA_TYPE,
            Self::Offset(_) => codes::UPLOAD_OFFSET_MISMATCH,
            Self::Beyond(_) => codes::UPLOAD_LENGTH_EXCEEDED,
            Self::TooLarge(_) => codes::UPLOAD_TOO_LARGE,
            Self::Quota(_) => codes::QUOTA_EXCEEDED,
            Self::TooMany(_) => codes::RATE_LIMITED,
            Self::DiskFull => codes::DISK_FULL,
            Self::Gone => codes::UPLOAD_GONE,
            Self::Locked => codes::UPLOAD_LOCKED,
            Self::Checksum => codes::INVALID_FIELD,
        }
    }
}

impl Error {
    pub(crate) fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { field, detail: detail.into() }
    }

    fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => codes::NOT_FOUND,
            Self::NotOwner(_) => codes::FORBIDDEN,
            Self::Invalid { .. } => codes::INVALID_FIELD,
            Self::PreconditionFailed => codes::PRECONDITION_FAILED,
            Self::NotYet(_) => codes::NOT_AVAILABLE_YET,
            Self::PageToken => codes::INVALID_PAGE_TOKEN,
            Self::NotFailed | Self::Conflict => codes::CONFLICT,
            Self::Upload(error) => error.code(),
            Self::Media(MediaError::File { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => {
                codes::DISK_FULL
            }
            Self::Media(_) | Self::Write(_) | Self::Read(_) | Self::Problem(_) => codes::INTERNAL,
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
