//! What every DjStream process shares.
//!
//! Owns: the configuration, the data folder, the clock, shutdown, logs and metrics; HTTP on both sides (an accept
//! loop of our own, filters and answers for warp, a client for the other services); who is asking; pages; event
//! logs between services; the life of a service.
//!
//! Deliberately absent: any knowledge of videos, people or channels, how data are stored, and which routes exist.

pub mod backup;
pub mod caller;
pub mod clock;
pub mod config;
mod context;
mod data_folder;
pub mod http;
pub mod idempotency;
pub mod limits;
pub mod logs;
pub mod paging;
pub mod peer;
pub mod problem;
pub mod process;
pub mod queues;
pub mod removals;
mod routes;
mod service;
mod shutdown;
pub mod storage;
pub mod telemetry;
pub mod tombstone;

pub use caller::Caller;
pub use context::Context;
pub use data_folder::{DataFolder, DataFolderError};
pub use peer::Peer;
pub use service::{run_service, run_service_with};
pub use shutdown::{SUPERVISOR_PIPE, Shutdown};
