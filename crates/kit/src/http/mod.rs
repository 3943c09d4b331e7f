//! HTTP as all processes speak it: our own accept loop round hyper, and warp kept civil.
//!
//! A service's `routes.rs` gives one boxed filter ([`Routes`]); [`service`] makes a [`Handler`] of it, and
//! [`serve_tcp`] and [`serve_unix`] run that. Inside a route the path comes first, then the method, then the
//! filters of [`filter`]; the handler is attached with `then` and answers with [`reply`].

mod body;
mod decode;
pub mod etag;
pub mod filter;
pub mod reply;
mod serve;
mod service;
mod socket;
pub mod tunnel;
mod watch;

pub use body::{Body, BodyError, BoxError, Pace};
pub use serve::{Handler, RemoteAddress, ServeOptions, serve_tcp, serve_unix};
pub use service::{Filtered, service};
pub use socket::{SocketError, UnixSocket, bind_tcp};

pub(crate) use body::Permits;

/// What a warp filter of ours yields.
pub type Response = warp::reply::Response;

/// All routes of a service.
pub type Routes = warp::filters::BoxedFilter<(Response,)>;
