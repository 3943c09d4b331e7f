//! What goes on by itself: the other services' events, and jobs.

use std::future::Future;

use kit::logs::{Consumer, Effect, Entry, Projections};
use kit::{Context, Peer, clock};
use proto::events::{EVENTS, NOTIFICATIONS, Notify};
use serde::de::DeserializeOwned;
use store::{Batch, Leased, QueueHandle, RetryPolicy};

use crate::data::{JOBS, Job};
use crate::error::Error;
use crate::limits::{JOB_LEASE_MS, JOB_WAIT};
use crate::refill;
use crate::service::{Delivery, Draft, Inboxes};

/// What this service is called in the others' logs.
const CONSUMER: &str = "notification";

/// Starts all of them.
pub(crate) fn start(context: &Context, inboxes: &Inboxes, projections: &Projections) {
    let gateway = consumer(context, "gateway", EVENTS).projecting(refill::people()).listed(projections);
    let gateway = follow(context, inboxes, gateway, |draft, entry| {
        draft.on_gateway(&entry.event);
        Ok(())
    });
    let channel = consumer(context, "channel", EVENTS).projecting(refill::channels()).listed(projections);
    let channel = follow(context, inboxes, channel, |draft, entry| draft.on_channel(&entry.event));
    let video = consumer(context, "video", EVENTS).projecting(refill::videos()).listed(projections);
    let video = follow(context, inboxes, video, |draft, entry| draft.on_video(&entry.event, entry.time));
    // Of these nothing is kept but what people were told.
    let interaction = consumer::<Notify>(context, "interaction", NOTIFICATIONS).listed(projections);
    let interaction = follow(context, inboxes, interaction, |draft, entry| draft.on_notify(&entry.event));
    context.spawn("gateway-events", gateway);
    context.spawn("channel-events", channel);
    context.spawn("video-events", video);
    context.spawn("notifications", interaction);
    context.spawn("jobs", work(context.clone(), inboxes.clone()));
}

fn consumer<E>(context: &Context, service: &'static str, log: &'static str) -> Consumer<E> {
    Consumer::new(CONSUMER, Peer::new(context, service), log)
}

/// Follows one log: what `fill` drafts of some events is written with the cursor, and passed on then.
fn follow<E, F>(
    context: &Context,
    inboxes: &Inboxes,
    consumer: Consumer<E>,
    fill: F,
) -> impl Future<Output = ()> + Send + use<E, F>
where
    E: DeserializeOwned + Send + Sync + 'static,
    F: Fn(&mut Draft<'_>, &Entry<E>) -> Result<(), Error> + Copy + Send + Sync + 'static,
{
    let (store, shutdown, inboxes) = (inboxes.store().clone(), context.shutdown.clone(), inboxes.clone());
    consumer.run_together(store, shutdown, move |entries: Vec<Entry<E>>| {
        let inboxes = inboxes.clone();
        async move {
            let fill_all = |draft: &mut Draft<'_>| {
                entries.iter().try_for_each(|entry| {
                    draft.is_silent = entry.snapshot;
                    fill(draft, entry)
                })
            };
            let Delivery { batch, turn } = inboxes.draft(fill_all).await?;
            Ok::<_, Error>(Effect::then(batch, move || turn.done()))
        }
    })
}

/// Does jobs until shutdown.
async fn work(context: Context, inboxes: Inboxes) {
    let queue = inboxes.store().queue(JOBS);
    queue.release_all_leases().await;
    let go_on = async {
        loop {
            match queue.lease(None, 1, JOB_LEASE_MS, clock::now().ms()).await {
                Ok(leased) if leased.is_empty() => {
                    queue.wait(JOB_WAIT).await;
                }
                Ok(leased) => {
                    for job in &leased {
                        do_one(&inboxes, &queue, job).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "jobs cannot be read");
                    tokio::time::sleep(JOB_WAIT).await;
                }
            }
        }
    };
    tokio::select! {
        () = go_on => {}
        () = context.shutdown.requested() => {}
    }
}

async fn do_one(inboxes: &Inboxes, queue: &QueueHandle<Job>, leased: &Leased<Job>) {
    let Err(error) = inboxes.work(leased).await else { return };
    tracing::warn!(%error, id = leased.id, "a job failed");
    let batch = Batch::new().retry(leased, &error.to_string(), RetryPolicy::default(), clock::now().ms());
    if let Err(error) = inboxes.store().write(batch).await {
        // It is free again when its lease has run out.
        tracing::error!(%error, id = leased.id, "that a job failed could not be written");
        queue.wait(JOB_WAIT).await;
    }
}
