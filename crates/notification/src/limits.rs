//! Limits that are not configuration, with their units.

use std::time::Duration;

/// Notifications that one request may mark as read by their ids.
pub(crate) const READ_IDS_MAX: usize = 100;

/// Bytes of the JSON body of any request here.
pub(crate) const BODY_MAX_BYTES: usize = 16 * 1024;

/// People that a merged notification remembers, so that none of them counts twice.
pub(crate) const ACTORS_KEPT: usize = 64;

/// Characters of a text or title that a notification keeps.
pub(crate) const TEXT_MAX_CHARS: usize = 200;

/// Rows changed in one batch; each takes about three operations.
pub(crate) const ROWS_PER_BATCH: usize = 64;

/// Attempts of a write that another one came in between of.
pub(crate) const WRITE_ATTEMPTS: usize = 8;

/// Rows over `[notification] inbox_entries` before the oldest are removed.
pub(crate) const TRIM_SLACK: i64 = 16;

/// Notifications in one page of the backlog, which is oldest first.
pub(crate) const BACKLOG_PAGE: usize = 100;

/// Backlogs that one process asks for at once, after the fan-out was away.
pub(crate) const BACKLOGS_AT_ONCE: usize = 32;

/// How long a process waits before it asks again for a backlog that it could not get.
pub(crate) const BACKLOG_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of a websocket's read buffer.
pub(crate) const SOCKET_READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes of a message that a client may send; there is nothing to say, but close frames have reasons.
pub(crate) const SOCKET_MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// How long one message to a websocket may take before it is cut.
pub(crate) const SOCKET_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Unanswered pings after which a websocket is cut.
pub(crate) const PINGS_UNANSWERED_MAX: u32 = 2;

/// How long the good-bye to a websocket may take.
pub(crate) const SOCKET_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a waiting message takes beside its bytes, about.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// How long a person that no projection has is remembered, found or not.
pub(crate) const PERSON_CACHE_TTL: Duration = Duration::from_secs(10);

/// People remembered so.
pub(crate) const PERSON_CACHE_ENTRIES: u64 = 1_000;

/// How long a worker has a piece of a job, in milliseconds.
pub(crate) const JOB_LEASE_MS: i64 = 60_000;

/// How long a worker waits for a job before it looks again.
pub(crate) const JOB_WAIT: Duration = Duration::from_secs(30);

/// How long the gateway may take to say who somebody is.
pub(crate) const PERSON_TIMEOUT: Duration = Duration::from_secs(2);

/// Batches of new notifications that may wait to be passed on; beyond that, all sockets are told to ask.
pub(crate) const NEWS_WAITING_MAX: usize = 1_024;

/// How long passing on may rest before it is tried to mend what was missed.
pub(crate) const MEND_PAUSE: Duration = Duration::from_millis(500);

/// How long a new websocket waits for the fan-out before it shows what it can.
pub(crate) const SUBSCRIBE_GRACE: Duration = Duration::from_secs(2);

/// Rows of inboxes that are looked through at once for what is gone.
pub(crate) const SWEPT_ROWS: usize = 5_000;

/// Accounts and videos that one walk through the inboxes forgets.
pub(crate) const FORGOTTEN_AT_ONCE: usize = 1_000;
