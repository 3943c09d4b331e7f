//! The consumer's side of a log.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use proto::Problem;
use serde::de::DeserializeOwned;
use store::Store;

use super::handle::{Effect, Entry, Handle, Merging, OneByOne, Together};
use super::projection::Projection;
use super::registry::{Line, Projections};
use super::run::Run;
use crate::peer::Peer;
use crate::shutdown::Shutdown;

/// Reads another service's log for ever.
///
/// A handler's error with status 429, 503 or 507 (somebody is down, the disk is full) is tried again for as long
/// as it takes; any other failure a few times, then the event goes to [`DEAD_EVENTS`](super::DEAD_EVENTS) and the
/// next one follows.
///
/// When the log cannot tell everything any more (it has another epoch, its beginning is gone, the consumer is new),
/// or when somebody asks for it, a consumer fills itself anew: it reads the owner's snapshot, hands each of its
/// events to the handler as [`Entry::snapshot`], and then what would remove the subjects that it has and the
/// snapshot had not. Until that is done the projection is as readable as before.
#[derive(Debug, Clone)]
pub struct Consumer<E> {
    pub(super) name: &'static str,
    pub(super) peer: Peer,
    pub(super) log: &'static str,
    pub(super) merging: Merging,
    pub(super) projection: Option<Projection<E>>,
    pub(super) projections: Option<Projections>,
}

impl<E> Consumer<E> {
    /// The consumer `name`, which the owner's definition of the log has to name.
    pub fn new(name: &'static str, peer: Peer, log: &'static str) -> Self {
        Self { name, peer, log, merging: Merging::Nothing, projection: None, projections: None }
    }

    /// Writes the batches of many events as one. Only for handlers whose batch does not depend on reading what
    /// the event before it wrote: puts of whole values, deletes and counters, not read-change-write.
    #[must_use]
    pub fn merging(mut self) -> Self {
        self.merging = Merging::Everything;
        self
    }

    /// Writes the batches of events about different subjects as one. Only for handlers whose batch depends on no
    /// other rows than those of the event's subject.
    #[must_use]
    pub fn merging_by_subject(mut self) -> Self {
        self.merging = Merging::BySubject;
        self
    }

    /// What the events are kept as; without it there is nothing that could be filled anew, and the consumer of a
    /// log of another epoch goes on at its end.
    #[must_use]
    pub fn projecting(mut self, projection: Projection<E>) -> Self {
        self.projection = Some(projection);
        self
    }

    /// Shows it to the admin, who can ask for a refill.
    #[must_use]
    pub fn listed(mut self, projections: &Projections) -> Self {
        self.projections = Some(projections.clone());
        self
    }

    /// Runs until shutdown. `handle` says what an event leads to; it is called again for the same event when
    /// something fails, so it must have no effect of its own.
    pub async fn run<F, Fut, R, X>(self, store: Store, shutdown: Shutdown, handle: F)
    where
        E: DeserializeOwned + Send + 'static,
        F: Fn(Entry<E>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<R, X>> + Send,
        R: Into<Effect>,
        X: Into<Problem>,
    {
        let subject = self.projection.as_ref().map(|projection| projection.subject);
        self.run_with(store, shutdown, OneByOne { handle, subject }).await;
    }

    /// Runs until shutdown, with a handler that takes several events at once and makes one batch of them. When that
    /// fails it gets them one by one.
    pub async fn run_together<F, Fut, R, X>(mut self, store: Store, shutdown: Shutdown, handle: F)
    where
        E: DeserializeOwned + Send + 'static,
        F: Fn(Vec<Entry<E>>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<R, X>> + Send,
        R: Into<Effect>,
        X: Into<Problem>,
    {
        self.merging = Merging::Everything;
        self.run_with(store, shutdown, Together { handle, marker: PhantomData }).await;
    }

    async fn run_with(self, store: Store, shutdown: Shutdown, handle: impl Handle)
    where
        E: DeserializeOwned + Send + 'static,
    {
        let line = Arc::new(Line::new(self.name, self.peer.name(), self.log, self.projection.is_some()));
        if let Some(projections) = &self.projections {
            projections.add(line.clone());
        }
        let mut run = Run::new(&self, &store, line);
        tokio::select! {
            () = run.go(&handle) => {}
            () = shutdown.requested() => {}
        }
    }
}
