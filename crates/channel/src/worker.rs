//! What goes on beside the calls: the jobs of this service, and the projections fed by the logs of others.

use std::collections::HashSet;
use std::time::Duration;

use kit::clock;
use kit::logs::{Consumer, Entry, Projections};
use kit::{Context, Peer, tombstone};
use proto::events::{ChannelEvent, EVENTS, GatewayEvent, VideoEvent, VideoProfile};
use proto::{ChannelId, Problem, Timestamp};
use store::{Batch, Desc, Leased, Push, QueueHandle, RetryPolicy, Store, WriteError};

use crate::data::{CHANNELS, FEED, FeedKey, FeedRecord, GONE, JOBS, Job, LOG, USERS, VIDEOS, VIDEOS_OF};
use crate::error::{Error, Result};
use crate::refill;
use crate::service::Service;

/// Jobs taken at once.
const JOBS_AT_ONCE: usize = 64;

/// How long a worker may take for them.
const LEASE_MS: i64 = 60_000;

/// How long a worker waits for the next job before it looks again.
const WAIT: Duration = Duration::from_secs(600);

/// The pause after the store refused a write, for a full disk for example.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts all workers.
pub(crate) fn start(context: &Context, service: &Service, projections: &Projections) {
    context.spawn("channel jobs", jobs(context.clone(), service.clone()));
    let users = Consumer::new("channel", Peer::new(context, "gateway"), EVENTS)
        .projecting(refill::users())
        .merging()
        .listed(projections);
    context.spawn(
        "users",
        users.run(service.store.clone(), context.shutdown.clone(), |entry| {
            std::future::ready(Ok::<_, Problem>(user_changed(entry)))
        }),
    );
    let videos = Consumer::new("channel", Peer::new(context, "video"), EVENTS)
        .projecting(refill::videos())
        .merging_by_subject()
        .listed(projections);
    let store = service.store.clone();
    context.spawn(
        "videos",
        videos.run(service.store.clone(), context.shutdown.clone(), move |entry| {
            std::future::ready(video_changed(&store, entry).map_err(Problem::from))
        }),
    );
}

async fn jobs(context: Context, service: Service) {
    let queue = service.store.queue(JOBS);
    queue.release_all_leases().await;
    loop {
        let work = work(&service, &queue);
        tokio::select! {
            biased;
            () = context.shutdown.requested() => return,
            done = work => match done {
                Ok(0) => tokio::select! {
                    () = context.shutdown.requested() => return,
                    _ = queue.wait(WAIT) => {}
                },
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "jobs wait");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

/// Does what is due, and says how many jobs that were.
async fn work(service: &Service, queue: &QueueHandle<Job>) -> Result<usize> {
    let leased = queue.lease(None, JOBS_AT_ONCE, LEASE_MS, clock::now().ms()).await?;
    let (announcements, removals): (Vec<_>, Vec<_>) =
        leased.iter().partition(|leased| matches!(leased.job, Job::Announce(_)));
    let announced = announce(service, &announcements, clock::now()).await;
    if let Err(error) = announced {
        for leased in &leased {
            queue.release(leased).await;
        }
        return Err(error);
    }
    for removal in removals {
        if let Err(error) = service.remove(removal, clock::now()).await {
            failed(service, queue, removal, error).await?;
        }
    }
    Ok(leased.len())
}

/// A write that lost a race is repeated at once; anything else a few times, later.
async fn failed(service: &Service, queue: &QueueHandle<Job>, leased: &Leased<Job>, error: Error) -> Result<()> {
    match error {
        Error::Write(WriteError::Assertion { .. } | WriteError::LeaseLost { .. }) => queue.release(leased).await,
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

/// Tells the others how channels look now, each once. Only here are such events written, one after the other,
/// so the last one always has the last number of subscribers.
async fn announce(service: &Service, leased: &[&Leased<Job>], now: Timestamp) -> Result<()> {
    while !leased.is_empty() {
        let channels: HashSet<ChannelId> = leased
            .iter()
            .filter_map(|leased| if let Job::Announce(id) = leased.job { Some(id) } else { None })
            .collect();
        let mut batch = Batch::new().at(now.ms());
        for id in channels {
            // Of a channel that is gone by now nothing is told any more.
            if let Some(record) = service.store.get(CHANNELS, &id.bytes())? {
                let channel = service.profile_of(id, record)?;
                batch =
                    batch.assert_present(CHANNELS, &id.bytes()).append(LOG, &ChannelEvent::ChannelChanged { channel });
            }
        }
        let batch = leased.iter().fold(batch, |batch, leased| batch.complete(leased));
        match service.store.write(batch).await {
            Err(WriteError::Assertion { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    Ok(())
}

/// Keeps the projection of accounts.
fn user_changed(entry: Entry<GatewayEvent>) -> Batch {
    match entry.event {
        GatewayEvent::UserChanged { user } => Batch::new().put(USERS, &user.id.bytes(), &user),
        GatewayEvent::UserDeleted { id } => Batch::new()
            .delete(USERS, &id.bytes())
            .put(GONE, &tombstone::of_id(id.bytes()), &())
            .push(JOBS, Push::new(&Job::RemoveUser(id))),
    }
}

/// Keeps the projection of videos, and the feed with it.
fn video_changed(store: &Store, entry: Entry<VideoEvent>) -> Result<Batch> {
    let (id, new) = match entry.event {
        VideoEvent::VideoChanged { video } | VideoEvent::VideoPublished { video } => (video.id, Some(video)),
        VideoEvent::VideoDeleted { id, .. } => (id, None),
        VideoEvent::ProcessingDone { .. } | VideoEvent::ProcessingFailed { .. } => return Ok(Batch::new()),
    };
    let old = store.get(VIDEOS, &id.bytes())?;
    let mut batch = Batch::new();
    if let Some(old) = &old {
        batch = batch.delete(VIDEOS_OF, &(old.channel.bytes(), id.bytes())).delete(VIDEOS, &id.bytes());
        if let Some((key, _)) = feed_entry(old) {
            batch = batch.delete(FEED, &key);
        }
    }
    if new.is_none() {
        batch = batch.put(GONE, &tombstone::of_id(id.bytes()), &()).push(JOBS, Push::new(&Job::RemoveVideo(id)));
    }
    if let Some(new) = &new {
        batch = batch.put(VIDEOS_OF, &(new.channel.bytes(), id.bytes()), &()).put(VIDEOS, &id.bytes(), new);
        if let Some((key, record)) = feed_entry(new) {
            batch = batch.put(FEED, &key, &record);
        }
    }
    Ok(batch)
}

/// A video's place in the feed, if lists may name it.
pub(crate) fn feed_entry(video: &VideoProfile) -> Option<(FeedKey, FeedRecord)> {
    // An account that is nobody's stands for everyone who is signed in.
    let signed_in = video.listed_for(Some(proto::UserId::from_bytes([0; 16])));
    let published_at = video.published_at.filter(|_| signed_in)?;
    let key = (video.channel.bytes(), Desc(published_at.ms()), Desc(video.id.bytes()));
    Some((key, FeedRecord { internal: !video.listed_for(None) }))
}
