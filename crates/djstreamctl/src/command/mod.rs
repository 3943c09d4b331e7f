//! The commands, one file a topic.

pub(crate) mod backup;
pub(crate) mod jobs;
pub(crate) mod projection;
pub(crate) mod queue;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod user;
