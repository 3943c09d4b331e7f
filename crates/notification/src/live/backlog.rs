//! What a person was told after a certain id: from the inbox, or from the home, which has it.

use std::sync::Arc;

use kit::Peer;
use proto::api::Page;
use proto::api::notification::Notification;
use proto::{NotificationId, Problem, UserId};
use tokio::sync::Semaphore;

use crate::limits::{BACKLOG_PAGE, BACKLOGS_AT_ONCE};
use crate::service::Inboxes;

/// Where backlogs come from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backlog {
    source: Source,
    turns: Arc<Semaphore>,
}

#[derive(Clone)]
enum Source {
    Here(Inboxes),
    Home(Peer),
}

impl Backlog {
    /// For the home itself.
    pub(crate) fn here(inboxes: Inboxes) -> Self {
        Self::new(Source::Here(inboxes))
    }

    /// For the other processes.
    pub(crate) fn home(home: Peer) -> Self {
        Self::new(Source::Home(home))
    }

    fn new(source: Source) -> Self {
        Self { source, turns: Arc::new(Semaphore::new(BACKLOGS_AT_ONCE)) }
    }

    /// The next page of what came after `after`, the oldest first. Without `after`: only the newest.
    ///
    /// # Errors
    /// The home cannot be asked at the moment.
    pub(crate) async fn page(
        &self,
        user: UserId,
        after: Option<NotificationId>,
    ) -> Result<Page<Notification>, Problem> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        match &self.source {
            Source::Here(inboxes) => Ok(page(inboxes, user, after).await?),
            Source::Home(home) => {
                let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
                home.get(&format!("/internal/backlog/{user}{after}")).await
            }
        }
    }
}

/// The same, straight from the inboxes.
pub(crate) async fn page(
    inboxes: &Inboxes,
    user: UserId,
    after: Option<NotificationId>,
) -> Result<Page<Notification>, crate::error::Error> {
    let items = match after {
        Some(after) => inboxes.backlog(user, after, BACKLOG_PAGE).await?,
        None => inboxes.list(user, proto::api::account::Role::User, None, 1).await?,
    };
    let more = after.is_some() && items.len() == BACKLOG_PAGE;
    let next_page_token = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Page { items, next_page_token })
}
