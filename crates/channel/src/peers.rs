//! What this service asks the others.

use http::Method;
use kit::{Caller, Peer};
use proto::api::video::VideoCard;
use proto::events::{UserProfile, VideoProfile};
use proto::internal::{Cards, CardsQuery};
use proto::{Problem, UserId, VideoId};

/// The services that this one calls.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    gateway: Peer,
    video: Peer,
}

impl Peers {
    pub(crate) fn new(context: &kit::Context) -> Self {
        Self { gateway: Peer::new(context, "gateway"), video: Peer::new(context, "video") }
    }

    /// An account, as its owner knows it.
    pub(crate) async fn user(&self, id: UserId) -> Result<Option<UserProfile>, Problem> {
        self.gateway.find(&format!("/internal/users/{id}")).await
    }

    /// A video, as its owner knows it.
    pub(crate) async fn video(&self, id: VideoId) -> Result<Option<VideoProfile>, Problem> {
        self.video.find(&format!("/internal/videos/{id}")).await
    }

    /// The cards of these videos that the caller may see.
    pub(crate) async fn cards(&self, caller: &Caller, ids: Vec<VideoId>) -> Result<Vec<VideoCard>, Problem> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = CardsQuery { ids };
        let answer: Cards = self.video.call(Method::POST, "/internal/cards", Some(caller), Some(&query)).await?;
        Ok(answer.cards)
    }
}
