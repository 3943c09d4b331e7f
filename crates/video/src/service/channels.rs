//! The projection of channels, and the effects of what happens to them and to the counts.

use kit::{Caller, tombstone};
use proto::events::{ChannelEvent, ChannelProfile, GatewayEvent, InteractionEvent};
use proto::{ChannelId, UserId};
use store::{Batch, Push, ReadError, Scan};

use super::Service;
use crate::data::{CHANNELS, CHANNELS_OF, COUNTS, Counts, GONE_USERS, HANDLES, JOBS, Job, VIDEOS, to_forget};
use crate::error::{Error, Result};

impl Service {
    /// A channel by its handle: from the projection, else from its owner.
    pub(crate) async fn channel_by_handle(&self, handle: &str) -> Result<ChannelProfile> {
        let id = self.store.get(HANDLES, &handle.to_owned())?;
        if let Some(channel) = id.map(|id| self.store.get(CHANNELS, &id.bytes())).transpose()?.flatten()
            && channel.handle == handle
        {
            return Ok(channel);
        }
        self.peers.channel_by_handle(handle).await?.ok_or(Error::NotFound("channel"))
    }

    /// The channel that a video goes into: the one named, which has to be the caller's, else the first.
    pub(super) async fn channel_for(&self, caller: &Caller, handle: Option<&str>) -> Result<ChannelProfile> {
        let owner = caller.signed_in()?;
        let Some(handle) = handle.filter(|handle| !handle.is_empty()) else {
            let first = match self.first_channel(owner)? {
                Some(known) => Some(known),
                None => self.peers.first_channel(caller).await?,
            };
            return first.ok_or_else(|| Error::invalid("channel", "Make a channel first."));
        };
        match self.channel_by_handle(handle).await {
            Ok(channel) if channel.owner == owner => Ok(channel),
            Ok(_) | Err(Error::NotFound(_)) => Err(Error::invalid("channel", "This is no channel of yours.")),
            Err(error) => Err(error),
        }
    }

    fn first_channel(&self, owner: UserId) -> Result<Option<ChannelProfile>, ReadError> {
        let first = self.store.scan_keys(CHANNELS_OF, Scan::prefix(&owner.bytes())).next().transpose()?;
        first.map(|(_, channel)| self.store.get(CHANNELS, &channel)).transpose().map(Option::flatten)
    }

    /// Keeps what is known of a channel from its owner's own answer, until its events arrive.
    pub(super) fn remember_channel(&self, channel: &ChannelProfile, batch: Batch) -> Result<Batch> {
        let key = channel.id.bytes();
        if self.store.contains(CHANNELS, &key)? {
            return Ok(batch);
        }
        Ok(project(batch, channel))
    }

    /// What an event of the channel service leads to.
    pub(crate) fn channel_event(&self, event: &ChannelEvent) -> Result<Batch> {
        Ok(match event {
            ChannelEvent::ChannelChanged { channel } => {
                let old = self.store.get(CHANNELS, &channel.id.bytes())?;
                let renamed = old.filter(|old| old.handle != channel.handle);
                let batch = renamed.map_or_else(|| Ok(Batch::new()), |old| self.without_handle(&old))?;
                project(batch, channel)
            }
            ChannelEvent::ChannelDeleted { id } => {
                // Its line goes with the last of its videos, which still name it.
                let batch = match self.store.get(CHANNELS, &id.bytes())? {
                    Some(old) => self.without_handle(&old)?.delete(CHANNELS_OF, &(old.owner.bytes(), id.bytes())),
                    None => Batch::new(),
                };
                batch.push(JOBS, Push::new(&Job::RemoveChannel(*id)))
            }
            ChannelEvent::Subscribed { .. } | ChannelEvent::Unsubscribed { .. } | ChannelEvent::Saved { .. } => {
                Batch::new()
            }
        })
    }

    /// Takes a channel's handle away, unless another one has it by now: in a snapshot the next one may come first.
    fn without_handle(&self, channel: &ChannelProfile) -> Result<Batch, ReadError> {
        let is_its = self.store.get(HANDLES, &channel.handle)? == Some(channel.id);
        Ok(if is_its { Batch::new().delete(HANDLES, &channel.handle) } else { Batch::new() })
    }

    /// Once that is durable.
    pub(crate) fn channel_event_done(&self, event: &ChannelEvent) {
        if let ChannelEvent::ChannelChanged { channel } = event {
            self.known.forget_channel(channel.id.bytes());
        }
    }

    /// What an event of the interaction service leads to: counts are kept for videos that exist.
    pub(crate) fn interaction_event(&self, event: &InteractionEvent) -> Result<Batch> {
        let InteractionEvent::Counts { video, views, likes, dislikes, comments } = *event else {
            return Ok(Batch::new());
        };
        if !self.store.contains(VIDEOS, &video.bytes())? {
            return Ok(Batch::new());
        }
        let counts = Counts { views, likes, dislikes, comments };
        Ok(Batch::new().assert_present(VIDEOS, &video.bytes()).put(COUNTS, &video.bytes(), &counts))
    }

    /// Once that is durable.
    pub(crate) fn interaction_event_done(&self, event: &InteractionEvent) {
        if let InteractionEvent::Counts { video, views, likes, dislikes, comments } = *event {
            self.catalogue.set_counts(video, Some(Counts { views, likes, dislikes, comments }));
        }
    }

    /// What an event of the gateway leads to: of accounts, only their end matters here.
    pub(crate) fn account_event(event: &GatewayEvent) -> Batch {
        match event {
            GatewayEvent::UserChanged { .. } => Batch::new(),
            GatewayEvent::UserDeleted { id } => Batch::new()
                .put(GONE_USERS, &tombstone::of_id(id.bytes()), &())
                .push(JOBS, Push::new(&Job::RemoveUser(*id))),
        }
    }

    /// Forgets a channel for good, once its last video is gone.
    pub(super) fn forget_channel(&self, id: ChannelId, batch: Batch) -> Batch {
        self.known.forget_channel(id.bytes());
        to_forget(batch, id.bytes()).delete(CHANNELS, &id.bytes())
    }
}

fn project(batch: Batch, channel: &ChannelProfile) -> Batch {
    batch.put(CHANNELS, &channel.id.bytes(), channel).put(HANDLES, &channel.handle, &channel.id).put(
        CHANNELS_OF,
        &(channel.owner.bytes(), channel.id.bytes()),
        &(),
    )
}
