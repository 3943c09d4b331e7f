//! What goes on beside the calls: processing, the projections, and tidying up.

use std::sync::Arc;
use std::time::Duration;

use kit::clock;
use kit::logs::{Consumer, Effect, Entry, Projections};
use kit::{Context, Peer};
use proto::events::{ChannelEvent, EVENTS, GatewayEvent, InteractionEvent};
use proto::{Problem, VideoId};
use store::{Batch, Leased, Push, QueueHandle, RetryPolicy, WriteError};

use crate::data::{JOBS, Job, LANE_QUICK, LANE_SLOW, VIDEOS};
use crate::discovery::Discovery;
use crate::error::{Error, Result};
use crate::media::output;
use crate::refill;
use crate::service::Service;

/// Quick steps at once.
const QUICK_AT_ONCE: usize = 2;
/// How long a lease runs without a heartbeat, and how often there is one.
const LEASE_MS: i64 = 60_000;
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);
/// How long a worker waits for the next job before it looks again.
const WAIT: Duration = Duration::from_secs(600);
/// The pause after the store refused something, for a full disk for example.
const PAUSE: Duration = Duration::from_millis(500);
/// How much later files are removed that a backup holds at present.
const REMOVAL_PAUSE_MS: i64 = 2_000;
/// How often unfinished uploads are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// Starts all workers.
pub(crate) async fn start(context: &Context, service: &Arc<Service>, discovery: &Discovery, projections: &Projections) {
    service.store.queue(JOBS).release_all_leases().await;
    let media = service.media().to_owned();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || kit::backup::media::tidy(&media)).await {
        tracing::warn!(%error, "what was left of a backup stays in the media folder");
    }
    let own = Arc::clone(service);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || own.tidy_unfinished()).await {
        tracing::warn!(%error, "what a crash left could not be tidied up");
    }
    let lanes = [(LANE_QUICK, QUICK_AT_ONCE), (LANE_SLOW, context.config.media.transcode_jobs)];
    for (lane, at_once) in lanes {
        for _ in 0..at_once {
            context.spawn("processing", work(context.clone(), Arc::clone(service), discovery.clone(), lane));
        }
    }
    let commit_interval = Duration::from_millis(context.config.search.commit_interval_ms);
    context.spawn("discovery", discovery.clone().follow(commit_interval, clock::now(), context.shutdown.token()));
    follow_accounts(context, service, projections);
    follow_channels(context, service, discovery, projections);
    follow_interactions(context, service, discovery, projections);
    context.spawn("sweeper", sweep(context.clone(), Arc::clone(service)));
    context.spawn("ffmpeg", look_at_tools(Arc::clone(service)));
}

/// One after the other, the jobs of a lane.
async fn work(context: Context, service: Arc<Service>, discovery: Discovery, lane: u8) {
    let queue = service.store.queue(JOBS);
    loop {
        // Dropped at shutdown: ffmpeg ends with it, and the job is taken up again at the next start.
        tokio::select! {
            biased;
            () = context.shutdown.requested() => return,
            done = next(&service, &discovery, &queue, lane) => match done {
                Ok(true) => {}
                Ok(false) => tokio::select! {
                    () = context.shutdown.requested() => return,
                    _ = queue.wait(WAIT) => {}
                },
                Err(error) => {
                    tracing::warn!(%error, "processing waits");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

/// Does what is due next; says whether there was anything.
async fn next(service: &Arc<Service>, discovery: &Discovery, queue: &QueueHandle<Job>, lane: u8) -> Result<bool> {
    let leased = queue.lease(Some(lane), 1, LEASE_MS, clock::now().ms()).await?;
    let Some(leased) = leased.into_iter().next() else { return Ok(false) };
    let outcome = tokio::select! {
        outcome = run(service, discovery, &leased) => outcome,
        () = keep(queue, &leased) => Ok(()),
    };
    match outcome {
        Ok(()) => Ok(true),
        // Somebody was quicker: the job is looked at again.
        Err(Error::Conflict | Error::Write(WriteError::Assertion { .. })) => {
            queue.release(&leased).await;
            Ok(true)
        }
        Err(Error::Write(WriteError::LeaseLost { .. })) => Ok(true),
        Err(error @ Error::Write(WriteError::Full | WriteError::Closed)) => {
            queue.release(&leased).await;
            Err(error)
        }
        Err(error) => {
            let batch = Batch::new().retry(&leased, &error.to_string(), RetryPolicy::default(), clock::now().ms());
            service.store.write(batch).await?;
            Err(error)
        }
    }
}

/// Keeps a lease as long as its work takes; returns when it is lost.
async fn keep(queue: &QueueHandle<Job>, leased: &Leased<Job>) {
    loop {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        if queue.heartbeat(leased, clock::now().ms()).await.is_err() {
            return;
        }
    }
}

async fn run(service: &Arc<Service>, discovery: &Discovery, leased: &Leased<Job>) -> Result<()> {
    match leased.job {
        Job::Step { video, step } => service.run_step(leased, video, step, clock::now).await,
        Job::RemoveFiles(video) => {
            let Some(_pass) = service.backup.may_remove() else { return later(service, leased).await };
            remove_folder(service, video).await?;
            service.end_dead_steps(video, clock::now()).await?;
            service.store.write(Batch::new().complete(leased)).await?;
            Ok(())
        }
        Job::RemoveUser(user) => {
            while !service.remove_of_user(user).await? {}
            discovery.forget_person(user).await?;
            service.store.write(Batch::new().complete(leased)).await?;
            Ok(())
        }
        Job::Forget => Ok(discovery.forget(leased).await?),
        Job::RemoveChannel(channel) => {
            while !service.remove_of_channel(channel).await? {}
            service.store.write(Batch::new().complete(leased)).await?;
            Ok(())
        }
    }
}

/// A backup holds the files just now: their removal comes a little later, and other jobs come first.
async fn later(service: &Arc<Service>, leased: &Leased<Job>) -> Result<()> {
    let due_ms = clock::now().ms() + REMOVAL_PAUSE_MS;
    let push = Push { due_ms, lane: LANE_QUICK, ..Push::new(&leased.job) };
    service.store.write(Batch::new().complete(leased).push(JOBS, push)).await?;
    Ok(())
}

async fn remove_folder(service: &Arc<Service>, video: VideoId) -> Result<()> {
    let folder = service.folder(video);
    output::blocking(move || match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(crate::media::MediaError::File { action: "remove", path: folder, source: error })
        }
        _ => Ok(()),
    })
    .await?;
    Ok(())
}

fn follow_accounts(context: &Context, service: &Arc<Service>, projections: &Projections) {
    let consumer = Consumer::new("video", Peer::new(context, "gateway"), EVENTS)
        .projecting(refill::accounts())
        .merging()
        .listed(projections);
    let handle =
        |entry: Entry<GatewayEvent>| std::future::ready(Ok::<_, Problem>(Service::account_event(&entry.event)));
    context.spawn("accounts", consumer.run(service.store.clone(), context.shutdown.clone(), handle));
}

fn follow_channels(context: &Context, service: &Arc<Service>, discovery: &Discovery, projections: &Projections) {
    let consumer = Consumer::new("video", Peer::new(context, "channel"), EVENTS)
        .projecting(refill::channels())
        .listed(projections);
    let (service, discovery, store) = (Arc::clone(service), discovery.clone(), service.store.clone());
    let handle = move |entry: Entry<ChannelEvent>| {
        std::future::ready(channel_effect(&service, &discovery, entry.event).map_err(Problem::from))
    };
    context.spawn("channels", consumer.run(store, context.shutdown.clone(), handle));
}

fn follow_interactions(context: &Context, service: &Arc<Service>, discovery: &Discovery, projections: &Projections) {
    // What is learnt from an event depends on what the one before left of the same person and video.
    let consumer = Consumer::new("video", Peer::new(context, "interaction"), EVENTS)
        .projecting(refill::interactions())
        .merging_by_subject()
        .listed(projections);
    let (service, discovery, store) = (Arc::clone(service), discovery.clone(), service.store.clone());
    let handle = move |entry: Entry<InteractionEvent>| {
        std::future::ready(interaction_effect(&service, &discovery, entry).map_err(Problem::from))
    };
    context.spawn("interactions", consumer.run(store, context.shutdown.clone(), handle));
}

/// What an event of the channel service leads to.
fn channel_effect(service: &Arc<Service>, discovery: &Discovery, event: ChannelEvent) -> Result<Effect> {
    let (learned, afterwards) = discovery.channel_event(&event)?;
    let batch = service.channel_event(&event)?.merge(learned);
    let service = Arc::clone(service);
    Ok(Effect::then(batch, move || {
        service.channel_event_done(&event);
        afterwards();
    }))
}

/// What an event of the interaction service leads to.
fn interaction_effect(service: &Arc<Service>, discovery: &Discovery, entry: Entry<InteractionEvent>) -> Result<Effect> {
    let event = if entry.snapshot { discovery.of_snapshot(entry.event)? } else { entry.event };
    let (learned, afterwards) = discovery.interaction_event(&event)?;
    let batch = service.interaction_event(&event)?.merge(learned);
    let service = Arc::clone(service);
    Ok(Effect::then(batch, move || {
        service.interaction_event_done(&event);
        afterwards();
    }))
}

/// Tidies up once at the start, and then uploads that nobody goes on with.
async fn sweep(context: Context, service: Arc<Service>) {
    let own = Arc::clone(&service);
    match output::blocking(move || Ok(tidy(&own))).await {
        Ok(removed) if removed > 0 => tracing::info!(removed, "folders of no video were removed"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the media folder could not be looked through"),
    }
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            () = context.shutdown.requested() => return,
            _ = ticks.tick() => {
                if let Err(error) = service.sweep_uploads(clock::now()).await {
                    tracing::warn!(%error, "uploads could not be looked through");
                }
            }
        }
    }
}

/// Removes what a crash left: folders whose video was never written down. Blocking.
fn tidy(service: &Service) -> usize {
    let Ok(entries) = std::fs::read_dir(service.media()) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<VideoId>().ok()) else { continue };
        let young = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < SWEEP_INTERVAL));
        // One that is being made at this moment is not in the store yet.
        if !young && matches!(service.store.contains(VIDEOS, &id.bytes()), Ok(false)) {
            removed += usize::from(std::fs::remove_dir_all(entry.path()).is_ok());
        }
    }
    removed
}

/// Says at the start what ffmpeg there is, and whether it can be confined.
async fn look_at_tools(service: Arc<Service>) {
    match service.tools.version().await {
        Ok(version) => tracing::info!(version, "ffmpeg is there, and confined"),
        Err(error) => tracing::error!(%error, "no video can be processed"),
    }
}
