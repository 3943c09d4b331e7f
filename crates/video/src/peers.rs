//! What this service asks the others.

use kit::Peer;
use proto::Problem;
use proto::events::ChannelProfile;

/// The services that this one calls.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    channel: Peer,
}

impl Peers {
    pub(crate) fn new(context: &kit::Context) -> Self {
        Self { channel: Peer::new(context, "channel") }
    }

    /// A channel, as its owner knows it.
    pub(crate) async fn channel_by_handle(&self, handle: &str) -> Result<Option<ChannelProfile>, Problem> {
        let handle = kit::peer::segment(handle);
        self.channel.find(&format!("/internal/channels/by-handle/{handle}")).await
    }
}
