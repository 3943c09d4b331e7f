//! Limits that are not configuration: nobody needs to turn them, and the code relies on their order.

use std::time::Duration;

/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 15;

/// The most characters of a password.
pub const PASSWORD_CHARS_MAX: usize = 256;

/// Shorter usernames may be part of a password: they are found in many words.
pub(crate) const USERNAME_IN_PASSWORD_CHARS_MIN: usize = 3;

/// Password hashes that may wait for their turn; the next is answered 503 at once.
pub(crate) const PASSWORD_QUEUE_MAX: usize = 32;

/// The longest display name, in characters.
pub(crate) const DISPLAY_NAME_CHARS_MAX: usize = 60;

/// The longest text about oneself, in characters.
pub(crate) const BIO_CHARS_MAX: usize = 500;

/// The longest reason for wanting an account, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 1_000;

/// The longest e-mail address, in bytes (RFC 5321 §4.5.3.1.3, less the brackets).
pub(crate) const EMAIL_BYTES_MAX: usize = 254;

/// The longest part of an e-mail address before the `@`, in bytes (RFC 5321 §4.5.3.1.1).
pub(crate) const EMAIL_LOCAL_BYTES_MAX: usize = 64;

/// What is kept of a client's name for itself, in characters.
pub(crate) const CLIENT_CHARS_MAX: usize = 200;

/// Sessions of one person; with one more, the one unused for longest ends.
pub(crate) const SESSIONS_PER_USER_MAX: usize = 100;

/// Access tokens that are remembered as rightly signed.
pub(crate) const TOKENS_VERIFIED_MAX: u64 = 10_000;

/// A refresh token that was just replaced still works for this long, for the client that replaced it: two tabs
/// that renew at the same moment, or an answer that was lost.
pub(crate) const REFRESH_GRACE_MS: i64 = 10_000;

/// Locks that keep two renewals of one session apart.
pub(crate) const REFRESH_LOCKS: usize = 64;

/// How long a ticket for the websocket may be used.
pub(crate) const TICKET_TTL_MS: i64 = 30_000;

/// Tickets not used yet, of all people; the next is answered 503.
pub(crate) const TICKETS_MAX: usize = 100_000;

/// How often what has run out is swept: sessions, tickets, throttled keys.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Sessions that one sweep removes at most.
pub(crate) const SWEEP_SESSIONS_MAX: usize = 1_000;

/// How often one looks how far deletions are, while there are any.
pub(crate) const DELETIONS_INTERVAL: Duration = Duration::from_millis(500);

/// How long a service may take to say what it still has to remove: it looks through its queues.
pub(crate) const REMOVALS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a service may take to say how it is.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer about the right to a video's files is used, and how often it is asked again while
/// they are sent. Below the 10 seconds that are promised, for the way there.
pub(crate) const GRANT_TTL: Duration = Duration::from_secs(9);

/// A file that the answer does not name is asked for again, if the answer is older than this: renditions appear.
pub(crate) const GRANT_RENEW_AFTER: Duration = Duration::from_millis(200);

/// How long an answer holds while the video service does not answer.
pub(crate) const GRANT_STALE_TTL: Duration = Duration::from_secs(6 * 3_600);

/// Answers about rights that are kept.
pub(crate) const GRANTS_CACHED: u64 = 20_000;

/// Bytes of one read of a media file.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Buffers of [`READ_BYTES`] that are kept for the next read.
pub(crate) const READ_BUFFERS_KEPT: usize = 256;

/// How long the document of a watch page is kept.
pub(crate) const PAGE_TTL: Duration = Duration::from_secs(1);

/// Watch pages that are kept.
pub(crate) const PAGES_CACHED: u64 = 1_000;

/// Videos named in the sitemap.
pub(crate) const SITEMAP_VIDEOS_MAX: usize = 1_000;
