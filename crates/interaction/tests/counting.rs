//! Every interaction counts exactly once: many people at the same time, requests repeated and overtaking each other,
//! and the service stopped and started in between. The counts have to be those of a simple model.
//!
//! `DJSTREAM_TEST_INTERACTIONS` sets how many; `DJSTREAM_TEST_SEED` repeats a run.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use kit::Caller;
use proto::api::notification::NotificationKind;
use proto::events::VideoProfile;
use proto::{ChannelId, UserId, VideoId};
use serde_json::json;
use support::World;
use support::random::{Random, number};

const PEOPLE: usize = 12;
const VIDEOS: usize = 4;
const RATINGS: [&str; 3] = ["like", "dislike", "none"];

/// One person rates one video after the other, repeating a fifth of it, and each as often as it takes to be answered.
async fn one_person(
    world: &World,
    who: &Caller,
    videos: &[VideoProfile],
    interactions: usize,
    mut random: Random,
) -> HashMap<VideoId, &'static str> {
    let mut mine = HashMap::new();
    for _ in 0..interactions {
        let (video, rating) = (videos[random.below(VIDEOS)].id, RATINGS[random.below(3)]);
        let repeated = if random.below(5) == 0 { 2 } else { 1 };
        let path = format!("/api/videos/{video}/rating");
        let body = json!({ "rating": rating });
        loop {
            let sent = (0..repeated).map(|_| world.ask(Method::PUT, &path, Some(who), Some(body.clone())));
            let answers = futures_util::future::join_all(sent).await;
            if answers.iter().any(|answer| answer.status == 200) {
                break;
            }
            assert!(answers.iter().all(|answer| answer.status == 503), "{answers:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        mine.insert(video, rating);
    }
    mine
}

/// Rates as much as asked for while `disturb` goes on, and holds the counts to the model.
async fn counts_are_right(world: &World, disturb: impl AsyncFn(&mut Random)) {
    let seed = number("DJSTREAM_TEST_SEED", std::process::id().into());
    eprintln!("DJSTREAM_TEST_SEED={seed}");
    let interactions = number("DJSTREAM_TEST_INTERACTIONS", 1_200) as usize / PEOPLE;
    let mut random = Random::new(seed);
    let owner = world.user("owner").await;
    let mut videos = Vec::new();
    for time in 0..VIDEOS {
        videos.push(world.publish(owner.user.unwrap(), ChannelId::generate(), time as i64).await);
    }
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(world.user(&format!("user{number}")).await);
    }
    let chances: Vec<Random> = people.iter().map(|_| random.fork()).collect();
    let done = AtomicBool::new(false);
    let rating = async {
        let all = people.iter().zip(chances).map(|(who, chance)| one_person(world, who, &videos, interactions, chance));
        let said = futures_util::future::join_all(all).await;
        done.store(true, Ordering::Relaxed);
        said
    };
    let disturbing = async {
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20 + random.below(200) as u64)).await;
            disturb(&mut random).await;
        }
    };
    let (said, ()) = tokio::join!(rating, disturbing);
    world.eventually(async || world.idle().await).await;
    for video in &videos {
        let count = |rating| said.iter().filter(|mine| mine.get(&video.id) == Some(&rating)).count() as u64;
        let (_, likes, dislikes, _) = world.counts(video.id).await;
        assert_eq!((likes, dislikes), (count("like"), count("dislike")), "seed {seed}");
        for (who, mine) in people.iter().zip(&said) {
            let read = world.ask(Method::GET, &format!("/api/videos/{}/rating", video.id), Some(who), None).await;
            assert_eq!(read.body["rating"], *mine.get(&video.id).unwrap_or(&"none"), "seed {seed}");
        }
    }
    // Nobody is told twice of one person's liking of one video.
    let mut told: HashMap<(UserId, VideoId), usize> = HashMap::new();
    for notify in world.told().await {
        assert_eq!((notify.kind, notify.recipient), (NotificationKind::Like, owner.user.unwrap()));
        *told.entry((notify.actor, notify.video)).or_default() += 1;
    }
    assert!(told.values().all(|times| *times == 1), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_right_through_restarts() {
    let world = World::start().await;
    counts_are_right(&world, async |_| {
        world.stop_service().await;
        world.start_service().await;
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_right_through_kills() {
    let world = World::without_service().await;
    world.start_process("the_service").await;
    counts_are_right(&world, async |_| {
        world.kill_process();
        world.start_process("the_service").await;
    })
    .await;
    world.kill_process();
    world.end().await;
}

/// Not a test of its own: the process that [`counts_are_right_through_kills`] kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service() {
    support::be_the_service().await;
}
