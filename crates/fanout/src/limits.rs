//! Every limit of the fan-out, with its unit.

/// What one connection, and all of them together, may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one command or reply, headers included.
    pub frame_bytes: usize,
    /// Values in one command or reply, nested ones included.
    pub frame_elements: usize,
    /// Bytes of one command before the connection is authenticated.
    pub unauthenticated_frame_bytes: usize,
    /// How long a connection may take to authenticate, in milliseconds.
    pub authentication_timeout_ms: u64,
    /// Bytes of the name of a channel or of a pattern.
    pub name_bytes: usize,
    /// Channels that one connection may subscribe to.
    pub channels_per_connection: usize,
    /// Patterns that one connection may subscribe to; each is tried on every published message.
    pub patterns_per_connection: usize,
    /// Bytes that may wait for a connection that reads too slowly; one more message and it is cut.
    pub buffered_bytes_per_connection: usize,
    /// Connections at once; the next is told so and closed.
    pub connections: usize,
    /// How long a closing connection may take to read what it was sent, in milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 1024 * 1024,
            frame_elements: 64 * 1024,
            unauthenticated_frame_bytes: 4 * 1024,
            authentication_timeout_ms: 10_000,
            name_bytes: 512,
            channels_per_connection: 200_000,
            patterns_per_connection: 64,
            buffered_bytes_per_connection: 8 * 1024 * 1024,
            connections: 512,
            drain_timeout_ms: 1_000,
        }
    }
}
