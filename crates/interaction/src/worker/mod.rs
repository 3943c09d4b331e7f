//! What goes on beside the calls: the consumer of the queue, the projections, and the sittings that end.

mod counting;
mod projections;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use kit::logs::Projections;
use kit::{Context, Shutdown, clock};
use store::{Batch, Leased, QueueHandle, RetryPolicy, WriteError};

use crate::data::{JOBS, Job, LANE_INTERACTIONS, LANE_REMOVALS};
use crate::error::{Error, Result};
use crate::service::Service;

/// Interactions that are merged into one batch.
const JOBS_AT_ONCE: usize = 256;

/// How long the worker lets interactions gather after a batch that was not full. Of the first one after a quiet time it
/// tells at once; of many, together.
const GATHER: Duration = Duration::from_millis(20);

/// How long the worker may take for them.
const LEASE_MS: i64 = 60_000;

/// How long the worker waits for the next job before it looks again.
const WAIT: Duration = Duration::from_secs(600);

/// The pause after the store refused a write, for a full disk for example.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the sittings are looked through, while there are any.
const SITTINGS_EVERY: Duration = Duration::from_secs(30);

/// How often a batch is built again because something it is about was removed meanwhile.
const ATTEMPTS: usize = 16;

/// Starts all workers.
pub(crate) fn start(context: &Context, service: &Service, projections: &Projections) {
    context.spawn("interactions", interactions(context.shutdown.clone(), service.clone()));
    context.spawn("sittings", sittings(context.shutdown.clone(), service.clone()));
    projections::start(context, service, projections);
}

/// The one worker of the queue. Only here are counts and the events about them written, so the last event about a
/// video has its last counts. Interactions come first; between them, one piece of a removal at a time.
async fn interactions(shutdown: Shutdown, service: Service) {
    let (interactions, removals) = (service.store.queue(JOBS), service.store.queue(JOBS));
    interactions.release_all_leases().await;
    loop {
        let done = async {
            let counted = count(&service, &interactions).await?;
            Ok::<_, Error>((counted, remove(&service, &removals).await?))
        };
        let done = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            done = done => done,
        };
        match done {
            Ok((0, 0)) => {
                let more = async {
                    tokio::select! { _ = interactions.wait(WAIT) => {}, _ = removals.wait(WAIT) => {} }
                };
                until(&shutdown, more).await;
            }
            Ok((1..JOBS_AT_ONCE, 0)) => until(&shutdown, tokio::time::sleep(GATHER)).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "interactions wait");
                until(&shutdown, tokio::time::sleep(PAUSE)).await;
            }
        }
    }
}

async fn until(shutdown: &Shutdown, waiting: impl Future<Output = ()>) {
    tokio::select! {
        () = waiting => {}
        () = shutdown.requested() => {}
    }
}

/// Counts and tells what is due, and says how many jobs that were.
async fn count(service: &Service, queue: &QueueHandle<Job>) -> Result<usize> {
    let leased = queue.lease(Some(LANE_INTERACTIONS), JOBS_AT_ONCE, LEASE_MS, clock::now().ms()).await?;
    if leased.is_empty() {
        return Ok(0);
    }
    let counted = write_counts(service, &leased).await;
    for leased in leased.iter().skip(*counted.as_ref().unwrap_or(&0)) {
        queue.release(leased).await;
    }
    counted
}

/// Writes one batch for the first of these jobs, and says for how many.
async fn write_counts(service: &Service, leased: &[Leased<Job>]) -> Result<usize> {
    for _ in 0..ATTEMPTS {
        let (batch, taken) = counting::batch(&service.store, leased, clock::now())?;
        match service.store.write(batch).await {
            Ok(_) => return Ok(taken),
            Err(WriteError::Assertion { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Conflict)
}

/// Does a piece of a removal, and says whether there was one.
async fn remove(service: &Service, queue: &QueueHandle<Job>) -> Result<usize> {
    let leased = queue.lease(Some(LANE_REMOVALS), 1, LEASE_MS, clock::now().ms()).await?;
    let Some(leased) = leased.first() else { return Ok(0) };
    if let Err(error) = service.remove(leased, clock::now()).await {
        put_off(service, queue, leased, error).await?;
    }
    Ok(1)
}

/// A removal that lost a race is repeated at once; anything else a few times, later.
async fn put_off(service: &Service, queue: &QueueHandle<Job>, leased: &Leased<Job>, error: Error) -> Result<()> {
    match error {
        Error::Write(WriteError::Assertion { .. } | WriteError::Bounds { .. } | WriteError::LeaseLost { .. })
        | Error::Conflict => {
            queue.release(leased).await;
        }
        Error::Write(WriteError::Full | WriteError::Closed) => {
            queue.release(leased).await;
            return Err(error);
        }
        error => {
            let now_ms = clock::now().ms();
            let batch = Batch::new().retry(leased, &error.to_string(), RetryPolicy::default(), now_ms);
            service.store.write(batch).await?;
        }
    }
    Ok(())
}

/// Writes down where people are that stopped watching. Sleeps while nobody watches.
async fn sittings(shutdown: Shutdown, service: Service) {
    while !shutdown.is_requested() {
        until(&shutdown, service.somebody_watches()).await;
        let mut any = true;
        while any && !shutdown.is_requested() {
            until(&shutdown, tokio::time::sleep(SITTINGS_EVERY)).await;
            any = service.write_sittings_down(clock::now(), false).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "where people are could not be written down");
                true
            });
        }
    }
    if let Err(error) = service.write_sittings_down(clock::now(), true).await {
        tracing::warn!(%error, "where people are could not be written down at the end");
    }
}
