//! A service's work queues, as its admin sees them: `/internal/queues…`.

mod routes;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use proto::api::Page;
use proto::api::instance::QueueDepth;
use proto::api::queue::{QueuedJob, QueuedQuery, QueuedState};
use proto::{Problem, Timestamp, codes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{JobState, JobView, Queue, ReadError, Store, WriteError};

use crate::paging::{self, PageQuery};
use crate::{clock, problem};

/// The queues of a service. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    service: &'static str,
    store: Store,
    all: Vec<Arc<dyn Known>>,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("service", &self.service).finish_non_exhaustive()
    }
}

type Written<'a> = Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send + 'a>>;

/// One queue, whatever its jobs are.
trait Known: Send + Sync {
    fn name(&self) -> &'static str;
    fn limit(&self) -> Option<u64>;
    fn depth(&self, store: &Store) -> Result<store::QueueDepth, ReadError>;
    fn jobs(
        &self,
        store: &Store,
        state: Option<JobState>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedJob>, ReadError>;
    fn retry<'a>(&'a self, store: &'a Store, id: u64, now_ms: i64) -> Written<'a>;
    fn drop_dead<'a>(&'a self, store: &'a Store, id: u64) -> Written<'a>;
}

impl<J: Serialize + DeserializeOwned + Send + Sync + 'static> Known for Queue<J> {
    fn name(&self) -> &'static str {
        Queue::name(*self)
    }

    fn limit(&self) -> Option<u64> {
        Queue::limit(*self)
    }

    fn depth(&self, store: &Store) -> Result<store::QueueDepth, ReadError> {
        store.queue(*self).depth()
    }

    fn jobs(
        &self,
        store: &Store,
        state: Option<JobState>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedJob>, ReadError> {
        Ok(store.queue(*self).page(state, after, limit)?.into_iter().map(shown).collect())
    }

    fn retry<'a>(&'a self, store: &'a Store, id: u64, now_ms: i64) -> Written<'a> {
        Box::pin(async move { store.queue(*self).revive(id, now_ms).await })
    }

    fn drop_dead<'a>(&'a self, store: &'a Store, id: u64) -> Written<'a> {
        Box::pin(async move { store.queue(*self).drop_dead(id).await })
    }
}

fn shown<J: Serialize>(view: JobView<J>) -> QueuedJob {
    QueuedJob {
        id: view.id,
        state: match view.state {
            JobState::Queued => QueuedState::Queued,
            JobState::Blocked => QueuedState::Blocked,
            JobState::Leased => QueuedState::Leased,
            JobState::Dead => QueuedState::Dead,
        },
        lane: view.lane,
        attempt: view.attempt,
        due: (view.due_ms > 0).then(|| Timestamp::from_ms(view.due_ms)),
        job: view.job.and_then(|job| serde_json::to_string(&job).ok()),
        reason: view.reason,
    }
}

fn stored(state: QueuedState) -> JobState {
    match state {
        QueuedState::Queued => JobState::Queued,
        QueuedState::Blocked => JobState::Blocked,
        QueuedState::Leased => JobState::Leased,
        QueuedState::Dead => JobState::Dead,
    }
}

#[derive(Debug, Deserialize)]
struct JobsQuery {
    #[serde(flatten)]
    which: QueuedQuery,
    #[serde(flatten)]
    page: PageQuery,
}

/// What is done with a dead letter.
#[derive(Debug, Clone, Copy)]
enum Action {
    Retry,
    Drop,
}

impl Queues {
    /// None yet. `service` is the first part of the queues' public names.
    pub fn new(service: &'static str, store: &Store) -> Self {
        Self { service, store: store.clone(), all: Vec::new() }
    }

    /// And this one. A bounded queue is shown with its bound.
    #[must_use]
    pub fn with<J: Serialize + DeserializeOwned + Send + Sync + 'static>(mut self, queue: Queue<J>) -> Self {
        self.all.push(Arc::new(queue));
        self
    }

    async fn list(self) -> Result<Vec<QueueDepth>, Problem> {
        self.blocking(|this| {
            let depth = |queue: &Arc<dyn Known>| {
                let store::QueueDepth { ready, delayed, leased, dead, .. } = queue.depth(&this.store)?;
                let name = format!("{}/{}", this.service, queue.name());
                Ok(QueueDepth { name, ready, delayed, leased, dead, limit: queue.limit() })
            };
            this.all.iter().map(depth).collect()
        })
        .await
    }

    async fn jobs(self, queue: &str, query: JobsQuery) -> Result<Page<QueuedJob>, Problem> {
        let queue = self.named(queue)?;
        let limit = query.page.limit()?;
        let after: u64 = query.page.position()?.unwrap_or(0);
        let state = query.which.state.map(stored);
        let jobs = self.blocking(move |this| queue.jobs(&this.store, state, after, limit + 1)).await?;
        Ok(paging::page(jobs.into_iter().map(|job| (job.id, job)), limit))
    }

    async fn act(&self, queue: &str, id: u64, action: Action) -> Result<(), Problem> {
        let queue = self.named(queue)?;
        let done = match action {
            Action::Retry => queue.retry(&self.store, id, clock::now().ms()).await,
            Action::Drop => queue.drop_dead(&self.store, id).await,
        };
        match done {
            Ok(()) => {
                tracing::info!(queue = queue.name(), id, ?action, "a dead letter was dealt with");
                Ok(())
            }
            Err(WriteError::NoSuchJob { .. }) => {
                Err(Problem::new(codes::NOT_FOUND, format!("{} has no dead letter {id}.", queue.name())))
            }
            Err(error) => Err(problem::of_write(&error)),
        }
    }

    fn named(&self, name: &str) -> Result<Arc<dyn Known>, Problem> {
        let queue = self.all.iter().find(|queue| queue.name() == name).cloned();
        queue.ok_or_else(|| Problem::new(codes::NOT_FOUND, format!("{} has no such queue.", self.service)))
    }

    /// Reads that may take long, away from the threads that answer.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Problem> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || read(&this)).await {
            Ok(result) => result.map_err(|error| problem::of_read(&error)),
            Err(_) => Err(Problem::new(codes::SERVICE_UNAVAILABLE, "This service is about to end.")),
        }
    }
}

#[cfg(test)]
mod tests;
