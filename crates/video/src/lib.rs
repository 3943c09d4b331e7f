//! (to be completed with the service)
pub mod media;
