//! What this service keeps of accounts and videos, fed by the logs of their owners.

use kit::logs::{Consumer, Entry, Projections};
use kit::{Context, Peer};
use proto::events::{EVENTS, GatewayEvent, VideoEvent};
use proto::{Problem, UserId};
use store::{Batch, Push, Store};

use crate::data::{GONE, GONE_USERS, JOBS, Job, LANE_REMOVALS, USERNAMES, USERS, VIDEOS, gone};
use crate::error::Result;
use crate::refill;
use crate::service::Service;

pub(super) fn start(context: &Context, service: &Service, projections: &Projections) {
    let users = Consumer::new("interaction", Peer::new(context, "gateway"), EVENTS)
        .projecting(refill::users())
        .listed(projections);
    let store = service.store.clone();
    context.spawn(
        "users",
        users.run(service.store.clone(), context.shutdown.clone(), move |entry| {
            std::future::ready(user_changed(&store, entry).map_err(Problem::from))
        }),
    );
    let videos = Consumer::new("interaction", Peer::new(context, "video"), EVENTS)
        .projecting(refill::videos())
        .merging()
        .listed(projections);
    context.spawn(
        "videos",
        videos.run(service.store.clone(), context.shutdown.clone(), |entry| {
            std::future::ready(Ok::<_, Problem>(video_changed(entry)))
        }),
    );
}

fn user_changed(store: &Store, entry: Entry<GatewayEvent>) -> Result<Batch> {
    Ok(match entry.event {
        GatewayEvent::UserChanged { user } => {
            without_name(store, user.id)?.put(USERNAMES, &user.username, &user.id).put(USERS, &user.id.bytes(), &user)
        }
        GatewayEvent::UserDeleted { id } => without_name(store, id)?
            .delete(USERS, &id.bytes())
            .put(GONE_USERS, &gone(id.bytes()), &())
            .push(JOBS, removal(&Job::RemoveUser(id))),
    })
}

/// Takes the name away that an account had until now.
fn without_name(store: &Store, id: UserId) -> Result<Batch> {
    let Some(old) = store.get(USERS, &id.bytes())? else { return Ok(Batch::new()) };
    // In a snapshot the next one with a name may come before the one who had it is taken away.
    let is_theirs = store.get(USERNAMES, &old.username)? == Some(id);
    Ok(if is_theirs { Batch::new().delete(USERNAMES, &old.username) } else { Batch::new() })
}

fn video_changed(entry: Entry<VideoEvent>) -> Batch {
    match entry.event {
        VideoEvent::VideoChanged { video } | VideoEvent::VideoPublished { video } => {
            Batch::new().put(VIDEOS, &video.id.bytes(), &video)
        }
        VideoEvent::VideoDeleted { id, .. } => Batch::new()
            .delete(VIDEOS, &id.bytes())
            .put(GONE, &gone(id.bytes()), &())
            .push(JOBS, removal(&Job::RemoveVideo(id))),
        VideoEvent::ProcessingDone { .. } | VideoEvent::ProcessingFailed { .. } => Batch::new(),
    }
}

const fn removal(job: &Job) -> Push<'_, Job> {
    Push { job, order_key: None, due_ms: 0, lane: LANE_REMOVALS }
}
