//! What DjStream's services say to each other and to their clients.
//!
//! Owns: identifiers, points in time, error codes, the public data shapes (`api`), the events that a
//! service tells the others (`events`), the calls between services (`internal`), and the table of
//! public routes with the right that each one needs (`routes`).
//!
//! Deliberately absent: any input or output, any clock, any HTTP library. Whatever stands here can be
//! read as a specification.

pub mod api;
pub mod codes;
pub mod events;
pub mod id;
pub mod internal;
pub mod problem;
pub mod routes;
pub mod time;

pub use codes::Code;
pub use id::{ChannelId, CommentId, Id, ItemId, NotificationId, PlaylistId, SessionId, UploadId, UserId, VideoId};
pub use problem::{FieldError, Problem};
pub use time::Timestamp;
