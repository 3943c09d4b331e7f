//! Every limit, with its unit.

/// The largest encoded value. Sixteen of them share a leaf of the engine, which must stay below 128 KiB.
pub const VALUE_BYTES_MAX: usize = 7 * 1024;
/// The largest encoded key, with the name of its table.
pub const KEY_BYTES_MAX: usize = 1024;
/// The largest order key of a queue.
pub const ORDER_KEY_BYTES_MAX: usize = 256;
/// The most operations of one batch.
pub const BATCH_OPERATIONS_MAX: usize = 4096;
/// The most bytes (keys and values) of one batch.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest reason that a dead letter keeps, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;
/// Operations after which a group is closed, and the most that the engine gets at once.
pub(crate) const GROUP_OPERATIONS: usize = 256;
/// Bytes after which a group is closed.
pub(crate) const GROUP_BYTES: usize = 1024 * 1024;
/// The most events that one acknowledgement trims.
pub(crate) const TRIM_EVENTS: usize = 2000;
