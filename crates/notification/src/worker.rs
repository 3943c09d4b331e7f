//! What goes on by itself: the other services' events, and jobs.

use std::future::Future;

use kit::logs::{Consumer, Effect, Entry};
use kit::{Context, Peer, clock};
use proto::events::{ChannelEvent, EVENTS, GatewayEvent, NOTIFICATIONS, Notify, VideoEvent};
use serde::de::DeserializeOwned;
use store::{Batch, Leased, QueueHandle, RetryPolicy};

use crate::data::{JOBS, Job};
use crate::error::Error;
use crate::limits::{JOB_LEASE_MS, JOB_WAIT};
use crate::service::{Delivery, Draft, Inboxes};

/// What this service is called in the others' logs.
const CONSUMER: &str = "notification";

/// Starts all of them.
pub(crate) fn start(context: &Context, inboxes: &Inboxes) {
    let gateway = follow(context, inboxes, "gateway", EVENTS, |draft, entry: &Entry<GatewayEvent>| {
        draft.on_gateway(&entry.event);
        Ok(())
    });
    let channel = follow(context, inboxes, "channel", EVENTS, |draft, entry: &Entry<ChannelEvent>| {
        draft.on_channel(&entry.event)
    });
    let video = follow(context, inboxes, "video", EVENTS, |draft, entry: &Entry<VideoEvent>| {
        draft.on_video(&entry.event, entry.time)
    });
    let interaction = follow(context, inboxes, "interaction", NOTIFICATIONS, |draft, entry: &Entry<Notify>| {
        draft.on_notify(&entry.event)
    });
    context.spawn("gateway-events", gateway);
    context.spawn("channel-events", channel);
    context.spawn("video-events", video);
    context.spawn("notifications", interaction);
    context.spawn("jobs", work(context.clone(), inboxes.clone()));
}

/// Follows one log: what `fill` drafts is written with the cursor, and passed on then.
fn follow<E, F>(
    context: &Context,
    inboxes: &Inboxes,
    service: &'static str,
    log: &'static str,
    fill: F,
) -> impl Future<Output = ()> + Send + use<E, F>
where
    E: DeserializeOwned + Send + Sync + 'static,
    F: Fn(&mut Draft<'_>, &Entry<E>) -> Result<(), Error> + Copy + Send + Sync + 'static,
{
    let consumer = Consumer::new(CONSUMER, Peer::new(context, service), log);
    let (store, shutdown, inboxes) = (inboxes.store().clone(), context.shutdown.clone(), inboxes.clone());
    consumer.run(store, shutdown, move |entry: Entry<E>| {
        let inboxes = inboxes.clone();
        async move {
            let Delivery { batch, turn } = inboxes.draft(|draft| fill(draft, &entry)).await?;
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
