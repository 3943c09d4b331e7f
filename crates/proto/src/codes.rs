//! Every error code that a client may meet, in one place, with its status and title.

/// A stable error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Kebab-case, never changed once released.
    pub name: &'static str,
    /// The HTTP status it is answered with.
    pub status: u16,
    /// A short summary for people.
    pub title: &'static str,
    /// Seconds for `Retry-After`, where a retry makes sense by itself.
    pub retry_after_s: Option<u32>,
}

macro_rules! codes {
    ($($constant:ident = $status:literal $name:literal $title:literal $(retry $retry:literal)?;)+) => {
        $(
            #[doc = concat!("`", $name, "` (", stringify!($status), "): ", $title, ".")]
            pub const $constant: Code = Code {
                name: $name,
                status: $status,
                title: $title,
                retry_after_s: codes!(@retry $($retry)?),
            };
        )+

        /// All of them, in the order of this file.
        pub const ALL: &[Code] = &[$($constant),+];
    };
    (@retry) => { None };
    (@retry $retry:literal) => { Some($retry) };
}

codes! {
    // Requests
    INVALID_REQUEST = 400 "invalid-request" "The request cannot be read";
    INVALID_JSON = 400 "invalid-json" "The body is not valid JSON";
    INVALID_FIELD = 422 "invalid-field" "A field has a value that is not allowed";
    UNKNOWN_FIELD = 422 "unknown-field" "The body has a field that does not exist";
    INVALID_PAGE_TOKEN = 422 "invalid-page-token" "The page token is not one of this list";
    BODY_TOO_LARGE = 413 "body-too-large" "The body is larger than allowed";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type" "The body has a type that is not accepted here";
    NOT_FOUND = 404 "not-found" "There is nothing here, or not for you";
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "This resource does not know that method";
    CONFLICT = 409 "conflict" "Somebody else changed this at the same moment" retry 1;
    PRECONDITION_FAILED = 412 "precondition-failed" "This was changed since you read it";
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency-key-reused" "This Idempotency-Key was used for another request";
    NOT_AVAILABLE_YET = 501 "not-available-yet" "This version cannot do that yet";

    // Who is asking
    NOT_SIGNED_IN = 401 "not-signed-in" "Sign in first";
    TOKEN_INVALID = 401 "token-invalid" "The access token is not valid";
    TOKEN_EXPIRED = 401 "token-expired" "The access token has expired";
    LOGIN_FAILED = 401 "login-failed" "Name or password is wrong";
    REFRESH_INVALID = 401 "refresh-invalid" "Sign in again";
    FORBIDDEN = 403 "forbidden" "You may not do that";
    CROSS_SITE = 403 "cross-site" "This request came from another site";
    REGISTRATION_CLOSED = 403 "registration-closed" "This site takes no new accounts";
    SETUP_TOKEN_INVALID = 403 "setup-token-invalid" "The set-up token is wrong or was used";
    SETUP_REQUIRED = 403 "setup-required" "The first account needs the set-up token";
    APPROVAL_PENDING = 403 "approval-pending" "The account waits for approval";
    SUSPENDED = 403 "suspended" "The account is suspended";
    USERNAME_TAKEN = 409 "username-taken" "This username is taken";
    EMAIL_TAKEN = 409 "email-taken" "This e-mail address has an account";
    PASSWORD_TOO_WEAK = 422 "password-too-weak" "Choose a longer or less common password";

    // Limits
    RATE_LIMITED = 429 "rate-limited" "Too many requests" retry 1;
    QUOTA_EXCEEDED = 413 "quota-exceeded" "Your storage is used up";
    TOO_MANY = 409 "too-many" "The limit for this is reached";
    OVERLOADED = 503 "overloaded" "The server is busy" retry 1;
    SERVICE_UNAVAILABLE = 503 "service-unavailable" "This part restarts" retry 1;
    DISK_FULL = 507 "disk-full" "The server's disk is almost full" retry 60;
    INTERNAL = 500 "internal" "Something went wrong on the server";

    // Projections
    NOTHING_TO_REBUILD = 409 "nothing-to-rebuild" "Nothing is kept that could be made anew";

    // Backups
    BACKUP_RUNNING = 409 "backup-running" "A backup is being made or verified already" retry 10;

    // Uploads and media
    UPLOAD_OFFSET_MISMATCH = 409 "upload-offset-mismatch" "The upload is at another offset";
    UPLOAD_LENGTH_EXCEEDED = 413 "upload-length-exceeded" "More bytes than announced";
    UPLOAD_TOO_LARGE = 413 "upload-too-large" "The file is larger than allowed";
    UPLOAD_GONE = 410 "upload-gone" "This upload was ended or has expired";
    UPLOAD_LOCKED = 423 "upload-locked" "Another request writes to this upload" retry 1;
    TUS_VERSION = 412 "tus-version" "Only tus 1.0.0 is spoken here";
    MEDIA_NOT_READY = 404 "media-not-ready" "The video is still being processed";
    RANGE_NOT_SATISFIABLE = 416 "range-not-satisfiable" "The range lies outside the file";

    // Channels and playlists
    HANDLE_TAKEN = 409 "handle-taken" "This handle is taken";
    CHANNEL_NOT_EMPTY = 409 "channel-not-empty" "The channel still has videos";

    // Interactions
    COMMENTS_CLOSED = 403 "comments-closed" "Comments are closed for this video";

    // Notifications
    TICKET_INVALID = 401 "ticket-invalid" "The ticket was used or has expired";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_unique() {
        for (index, code) in ALL.iter().enumerate() {
            assert!(code.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", code.name);
            assert!((400..600).contains(&code.status), "{}", code.name);
            assert!(ALL[index + 1..].iter().all(|other| other.name != code.name), "{}", code.name);
        }
    }
}
