//! The home's side: new rows, on their way to every process.

use futures_util::future::join_all;
use proto::api::account::Role;
use proto::{NotificationId, UserId};
use tokio::sync::{mpsc, watch};

use super::{Live, RESYNC, channel_of};
use crate::limits::MEND_PAUSE;
use crate::service::{Fresh, Inboxes, News};

/// Publishes what is new, and mends what could not be published by telling all sockets to catch up.
pub(crate) struct Publisher {
    inboxes: Inboxes,
    live: Live,
    /// Something was written that the sockets were not told.
    missed: bool,
}

impl Publisher {
    /// A publisher that tells all sockets to catch up first: the process before this one may have
    /// written something and not told it.
    pub(crate) fn new(inboxes: Inboxes, live: Live) -> Self {
        Self { inboxes, live, missed: true }
    }

    /// Publishes until shutdown. A change of `connected` says that the fan-out is there again.
    pub(crate) async fn run(mut self, mut news: mpsc::Receiver<News>, mut connected: watch::Receiver<u64>) {
        let shutdown = self.live.context.shutdown.clone();
        loop {
            tokio::select! {
                received = news.recv() => match received {
                    Some(received) => self.pass_on(received).await,
                    None => return,
                },
                Ok(()) = connected.changed() => self.mend().await,
                () = tokio::time::sleep(MEND_PAUSE), if self.missed => self.mend().await,
                () = shutdown.requested() => return,
            }
        }
    }

    async fn pass_on(&mut self, news: News) {
        match news {
            Some(fresh) => {
                self.publish(&fresh).await;
                self.trim(&fresh).await;
            }
            None => self.missed = true,
        }
        self.mend().await;
    }

    async fn publish(&mut self, fresh: &[Fresh]) {
        let mut rendered = Vec::with_capacity(fresh.len());
        for Fresh { user, id, row } in fresh {
            match self.inboxes.render(*user, Role::User, *id, row).await {
                Ok(notification) => rendered.push((*user, *id, serde_json::to_vec(&notification).unwrap_or_default())),
                Err(error) => {
                    tracing::error!(%error, "a notification cannot be shown");
                    self.missed = true;
                }
            }
        }
        // All at once: the client sends them in this order.
        let publishing = rendered.into_iter().map(|(user, id, json)| self.publish_one(user, id, json));
        let published = join_all(publishing).await;
        self.missed |= published.contains(&false);
    }

    async fn publish_one(&self, user: UserId, id: NotificationId, json: Vec<u8>) -> bool {
        match self.live.client.publish(channel_of(user), json).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, %id, "a notification was not passed on");
                false
            }
        }
    }

    async fn mend(&mut self) {
        if self.missed {
            self.missed = self.live.client.publish(RESYNC, "").await.is_err();
        }
    }

    /// Keeps full inboxes within their limit.
    async fn trim(&self, fresh: &[Fresh]) {
        let mut users: Vec<UserId> = fresh.iter().map(|fresh| fresh.user).collect();
        users.sort_unstable();
        users.dedup();
        for user in users {
            if let Err(error) = self.inboxes.trim(user).await {
                tracing::warn!(%error, "a full inbox could not be trimmed");
            }
        }
    }
}
