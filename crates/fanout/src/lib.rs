//! A publish/subscribe fan-out that speaks RESP, the Redis protocol (versions 2 and 3).
//!
//! What it owns: the wire format ([`Frame`], [`FrameDecoder`]), a [`Server`] that passes published
//! messages on to the connections that subscribed to their channel, and a [`Client`] that works the
//! same against this server, Redis or Valkey.
//!
//! Like theirs, this fan-out promises little: a message goes once to whoever is subscribed at that
//! moment, in the order of publishing on one connection, and is forgotten. A subscriber that does
//! not read is cut. Whoever may not miss anything keeps it elsewhere and asks for it again when the
//! client says [`Event::Connected`] or [`Event::Lagged`].
//!
//! Deliberately absent: keys and values, streams, sharded channels, clustering, persistence,
//! access lists, TLS. Those commands answer an error, as an unknown one does.

mod client;
mod command;
mod frame;
mod glob;
mod limits;
mod server;

pub use client::{Client, ConnectError, Event, Messages, PublishError, SubscribeError, Subscription};
pub use frame::{Frame, FrameDecoder, Protocol, ProtocolError};
pub use limits::Limits;
pub use server::{Listener, Server};
