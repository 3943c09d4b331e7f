//! How far deletions are: what the services say of them, put together. For the admin, and for the worker that
//! brings them to their end.

use std::collections::HashMap;

use http::Method;
use proto::api::Page;
use proto::api::account::Deletion;
use proto::internal::Removals;
use proto::{Problem, UserId};

use super::App;
use crate::data::FOLLOWERS;
use crate::error::GatewayError;
use crate::limits::REMOVALS_TIMEOUT;
use crate::service::deletion::{Answers, Trail, shown};

impl App {
    /// Takes every deletion as far as it goes now, and says how many are left.
    pub(crate) async fn look_after(&self, trails: &mut HashMap<UserId, Trail>) -> Result<usize, GatewayError> {
        let rows = self.service.deletions()?;
        trails.retain(|id, _| rows.iter().any(|(other, _)| other == id));
        let mut left = 0;
        for (id, row) in rows {
            let answers = self.removals(id).await;
            let done = self.service.advance(id, &row, &answers, trails.entry(id).or_default()).await?;
            left += usize::from(!done);
        }
        Ok(left)
    }

    /// What each service says is left of an account.
    async fn removals(&self, id: UserId) -> Answers {
        let path = format!("/internal/removals/{id}");
        let asked = FOLLOWERS.iter().filter_map(|name| self.peers.named(name).map(|peer| (*name, peer)));
        let asked = asked.map(|(name, peer)| {
            let path = &path;
            async move {
                let answer = tokio::time::timeout(REMOVALS_TIMEOUT, peer.get::<Removals>(path)).await.ok()?.ok()?;
                Some((name, answer))
            }
        });
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }

    pub(super) async fn deletions(&self) -> Result<Page<Deletion>, Problem> {
        let mut items = Vec::new();
        for (id, row) in self.service.deletions()? {
            let answers = self.removals(id).await;
            items.push(shown(id, row, &answers));
        }
        Ok(Page { items, next_page_token: None })
    }

    /// Has every service try again what it could not remove.
    pub(super) async fn retry_deletion(&self, id: &str) -> Result<(), Problem> {
        let id: UserId = id.parse().map_err(|_| GatewayError::NotFound)?;
        if !self.service.deletions()?.iter().any(|(other, _)| *other == id) {
            return Err(GatewayError::NotFound.into());
        }
        for name in FOLLOWERS {
            let Some(peer) = self.peers.named(name) else { continue };
            let path = format!("/internal/removals/{id}/retry");
            peer.call::<(), ()>(Method::POST, &path, None, None).await?;
        }
        self.service.deletions.notify_one();
        Ok(())
    }
}
