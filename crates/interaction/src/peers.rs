//! What this service asks the others.

use std::collections::HashMap;

use http::Method;
use kit::peer::segment;
use kit::{Caller, Peer};
use proto::api::video::VideoCard;
use proto::events::{UserProfile, VideoProfile};
use proto::internal::{Cards, CardsQuery, Relations};
use proto::{ChannelId, Problem, UserId, VideoId};

/// The services that this one calls.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    gateway: Peer,
    channel: Peer,
    video: Peer,
}

impl Peers {
    pub(crate) fn new(context: &kit::Context) -> Self {
        let peer = |name| Peer::new(context, name);
        Self { gateway: peer("gateway"), channel: peer("channel"), video: peer("video") }
    }

    /// An account, as its owner knows it.
    pub(crate) async fn user(&self, id: UserId) -> Result<Option<UserProfile>, Problem> {
        self.gateway.find(&format!("/internal/users/{id}")).await
    }

    /// An account by its name.
    pub(crate) async fn user_by_name(&self, username: &str) -> Result<Option<UserProfile>, Problem> {
        self.gateway.find(&format!("/internal/users/by-name/{}", segment(username))).await
    }

    /// A video, as its owner knows it.
    pub(crate) async fn video(&self, id: VideoId) -> Result<Option<VideoProfile>, Problem> {
        self.video.find(&format!("/internal/videos/{id}")).await
    }

    /// What a person has to do with a channel and a video.
    pub(crate) async fn relations(
        &self,
        user: UserId,
        channel: ChannelId,
        video: VideoId,
    ) -> Result<Relations, Problem> {
        self.channel.get(&format!("/internal/relations/{user}/{channel}/{video}")).await
    }

    /// The cards of these videos that the caller may see.
    pub(crate) async fn cards(
        &self,
        caller: &Caller,
        ids: Vec<VideoId>,
    ) -> Result<HashMap<VideoId, VideoCard>, Problem> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let query = CardsQuery { ids };
        let answer: Cards = self.video.call(Method::POST, "/internal/cards", Some(caller), Some(&query)).await?;
        Ok(answer.cards.into_iter().map(|card| (card.id, card)).collect())
    }
}
