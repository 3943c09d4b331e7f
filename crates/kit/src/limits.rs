//! Limits that are not configuration: nobody needs to turn them, and the code relies on their order.

use std::time::Duration;

/// The longest path of a Unix socket, in bytes (`sun_path` of unix(7), without the closing zero).
pub const SOCKET_PATH_MAX_BYTES: usize = 107;

/// Connections that may wait to be accepted; the system may cap it lower (`net.core.somaxconn`).
pub const LISTEN_BACKLOG: u16 = 4_096;

/// The largest head of a request, in bytes.
pub const HEAD_MAX_BYTES: usize = 32 * 1024;

/// Headers of a request.
pub const HEADERS_MAX: usize = 64;

/// hyper's buffer of one connection at most, in bytes.
pub const CONNECTION_BUFFER_MAX_BYTES: usize = 128 * 1024;

/// Connections over the cap that are told so with a 503 at the same time; more are closed without a word.
pub const REFUSALS_AT_ONCE: usize = 64;

/// How long a connection over the cap may take to read its 503.
pub const REFUSAL_TIMEOUT: Duration = Duration::from_millis(250);

/// What is still read, and thrown away, of a request's body that was answered early, in bytes.
pub const LINGER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How long that may take.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Calls at once to one service; the next is answered 503 at once.
pub const PEER_CALLS_AT_ONCE: usize = 256;

/// How long an unused connection to a service is kept. Shorter than the service keeps its end.
pub const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a service keeps an unused connection.
pub const SERVICE_IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Connections to one service's socket.
pub const SERVICE_CONNECTIONS_MAX: usize = 65_536;

/// How long a call between services may take, from the first byte sent to the last byte read.
pub const PEER_CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest answer of a call between services that is read into memory, in bytes.
pub const PEER_ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Attempts to connect while the backlog of the other side is full (EAGAIN), and the pause between them.
pub const CONNECT_ATTEMPTS: u32 = 20;

/// The pause between two attempts to connect.
pub const CONNECT_PAUSE: Duration = Duration::from_millis(5);

/// Each direction of a tunnel, in bytes.
pub const TUNNEL_BUFFER_BYTES: usize = 1024;

/// How long the other side of a tunnel may take to answer the upgrade.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Entries of a page when the client does not say.
pub const PAGE_LIMIT_DEFAULT: u32 = 20;

/// Entries of a page at most.
pub const PAGE_LIMIT_MAX: u32 = 100;

/// The longest page token, in characters.
pub const PAGE_TOKEN_MAX_CHARS: usize = 1_024;

/// The longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_MAX_CHARS: usize = 255;

/// Events in one answer of a log.
pub const LOG_PAGE_EVENTS: usize = 256;

/// How long an owner lets a consumer wait for the next event.
pub const LOG_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long our consumers wait for the next event in one call; shorter than [`PEER_CALL_TIMEOUT`].
pub const LOG_WAIT: Duration = Duration::from_secs(10);

/// Failures of one event before a consumer sets it aside.
pub const EVENT_ATTEMPTS: u32 = 5;

/// The first pause of a consumer after a failure; it doubles up to [`CONSUMER_PAUSE_MAX`].
pub const CONSUMER_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause of a consumer after failures.
pub const CONSUMER_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Operations in one batch of merged events; a store takes at most 256 in a group.
pub const CONSUMER_BATCH_OPERATIONS: usize = 192;

/// Events that a handler of several at once gets at most.
pub const CONSUMER_GROUP_EVENTS: usize = 32;

/// Events in one page of a snapshot.
pub const SNAPSHOT_PAGE_EVENTS: usize = 500;

/// Rows that are read for one page of a snapshot, and for one look at a projection.
pub const SNAPSHOT_PAGE_ROWS: usize = 5_000;

/// Subjects that a refill nobody asked for removes; more, if they are more than half of what there is, only when it
/// is asked for. An owner who has lost nearly everything must not take everything else along.
pub const REFILL_REMOVALS_MAX: usize = 100;

/// How long workers may take to end after the last request was answered.
pub const WORKERS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call may wait for a step of a backup; shorter than [`PEER_CALL_TIMEOUT`].
pub const BACKUP_WAIT_MAX: Duration = Duration::from_secs(10);

/// A part of a backup that nobody asks about any more is dropped after this long.
pub const BACKUP_PART_TTL: Duration = Duration::from_secs(6 * 3_600);

/// What somebody is told to wait whose job has no place in a full queue, in seconds.
pub const QUEUE_RETRY_AFTER_S: u32 = 5;
