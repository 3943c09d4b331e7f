//! What this service asks the others.

use http::Method;
use kit::{Caller, Peer};
use proto::Problem;
use proto::api::Page;
use proto::api::channel::Channel;
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

    /// The caller's first channel, for one that has just been made and was not told of yet.
    pub(crate) async fn first_channel(&self, caller: &Caller) -> Result<Option<ChannelProfile>, Problem> {
        let owner = caller.signed_in()?;
        let path = "/api/me/channels?limit=1";
        let page: Page<Channel> = self.channel.call(Method::GET, path, Some(caller), None::<&()>).await?;
        Ok(page.items.into_iter().next().map(|channel| ChannelProfile {
            id: channel.id,
            owner,
            handle: channel.handle,
            name: channel.name,
            avatar_url: channel.avatar_url,
            subscribers: channel.subscribers,
        }))
    }
}
