//! How a service keeps its data: one store in one folder, with tables, counters, event logs and work queues.
//!
//! # The way of a write
//! 1. A change of the domain is a value: a [`Batch`] of puts, removals, assertions, additions, events and jobs.
//! 2. [`Store::write`] hands it to the one writer thread, through a bounded channel.
//! 3. The writer takes what is waiting, at most 256 operations: a group.
//! 4. It resolves each batch against the state and the earlier batches of the group, into puts and removals;
//!    a batch that fails an assertion is answered, and leaves no trace.
//! 5. The group is appended to the journal (length, CRC32C, sequence), with one `fdatasync`.
//! 6. It is applied to the engine with its sequence.
//! 7. Everyone in it is answered; those who wait for logs and queues are woken.
//! 8. With each new segment the engine is synced, `state` says up to where, and segments that neither the engine
//!    nor a repair needs ([`Store::covered`]) are removed.
//! 9. At open, what the journal has past that sync is applied again, which changes nothing that was applied.
//!    What is damaged is repaired if nothing acknowledged is lost by it, else refused ([`OpenError::Damaged`]).
//! 10. A failed write or sync stops the process with [`EXIT_CODE_UNSAFE`]: it never acknowledges after one.
//!     On a nearly full disk all but essential batches are refused: [`WriteError::Full`].
//!
//! Readers read the engine directly; no two reads are of one moment.
//!
//! # What is absent
//! No HTTP, no configuration, no knowledge of any service. No clock: time comes in. There are two exceptions,
//! where nobody said the time: events of a batch without [`Batch::at`], and [`QueueHandle::depth`].
//! The engine (sled) is known to one file; nothing of it leaves this crate.

pub mod backup;
mod batch;
mod codec;
mod damage;
pub mod durable;
mod engine;
mod engine_log;
mod error;
mod journal;
mod key;
pub mod limits;
mod log;
mod overlay;
mod queue;
mod recovery;
mod repair;
mod resolve;
mod room;
mod scan;
mod signals;
mod space;
mod state;
mod store;
mod table;
mod text;
mod writer;

pub use batch::Batch;
pub use error::{BackupError, OpenError, ReadError, WriteError};
pub use key::{Desc, Key};
pub use log::{Log, LogReader};
pub use queue::{JobState, JobView, Leased, Push, Queue, QueueDepth, QueueHandle, RetryPolicy};
pub use scan::Scan;
pub use store::{Health, Hold, Options, Store, Written};
pub use table::{Counter, Table};
pub use text::Texts;
pub use writer::{EXIT_CODE_DAMAGED, EXIT_CODE_FULL, EXIT_CODE_UNSAFE};
