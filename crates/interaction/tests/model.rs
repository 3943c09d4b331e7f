//! A great many interactions, a fifth of them sent twice, some overtaken by later ones, with the service killed again
//! and again: in the end there is what an independent model says. Nothing is lost, and nothing is there twice.
//!
//! `DJSTREAM_MODEL_INTERACTIONS` sets how many (a million on demand); `DJSTREAM_TEST_SEED` repeats who did what.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use kit::{Caller, logs};
use proto::api::interaction::Rating;
use proto::api::notification::NotificationKind;
use proto::events::{EVENTS, InteractionEvent, NOTIFICATIONS, Notify, VideoProfile};
use proto::{ChannelId, CommentId, UserId, VideoId};
use serde::de::DeserializeOwned;
use serde_json::json;
use support::random::{Random, number};
use support::{Answer, World};

const PEOPLE: usize = 160;
const VIDEOS: usize = 20;
const TWICE_PERCENT: usize = 20;
const OVERTAKEN_PERCENT: usize = 5;

/// What somebody does. To do it again is the same request again.
#[derive(Debug, Clone)]
enum Act {
    Rate { video: usize, rating: Rating },
    RateComment { video: usize, rating: Rating },
    Comment { video: usize, key: String },
    Watch { video: usize },
}

/// Who there is, and what there is to act on.
struct Stage {
    world: World,
    owner: UserId,
    people: Vec<Caller>,
    videos: Vec<VideoProfile>,
    /// One comment of each video that everybody rates.
    rated_comments: Vec<String>,
    restarts: AtomicBool,
}

/// What one person should find in the end.
#[derive(Debug, Default)]
struct Model {
    ratings: HashMap<usize, Rating>,
    ever_liked: HashSet<usize>,
    comment_ratings: HashMap<usize, Rating>,
    /// By key: of which video, and which id was answered.
    comments: HashMap<String, (usize, String)>,
    watched: HashSet<usize>,
}

/// What two consumers of the service's logs were told.
#[derive(Debug, Default)]
struct Told {
    counts: HashMap<VideoId, (u64, u64, u64, u64)>,
    ratings: HashMap<(UserId, VideoId), Rating>,
    commented: HashMap<VideoId, u64>,
    notifications: HashMap<(UserId, VideoId, Option<CommentId>), u64>,
}

/// What one person does, in the order in which it arrives: now and then the same later again, or one act too early.
fn script(random: &mut Random, name: &str, length: usize) -> Vec<(Act, bool)> {
    let ratings = [Rating::Like, Rating::Dislike, Rating::None];
    let mut acts: Vec<(Act, bool)> = (0..length)
        .map(|number| {
            let video = random.below(VIDEOS);
            let act = match random.below(100) {
                0..60 => Act::Rate { video, rating: random.one_of(&ratings) },
                60..75 => Act::RateComment { video, rating: random.one_of(&ratings) },
                75..90 => Act::Comment { video, key: format!("{name}-{number}") },
                _ => Act::Watch { video },
            };
            (act, false)
        })
        .collect();
    for at in (0..length).rev() {
        if !random.percent(TWICE_PERCENT) {
            continue;
        }
        // At the same time, or later.
        match random.below(2) {
            0 => acts[at].1 = true,
            _ => acts.insert((at + 1 + random.below(8)).min(acts.len()), (acts[at].0.clone(), false)),
        }
    }
    for at in 0..acts.len() {
        if random.percent(OVERTAKEN_PERCENT) {
            let other = (at + 1 + random.below(4)).min(acts.len() - 1);
            acts.swap(at, other);
        }
    }
    acts
}

impl Stage {
    async fn new() -> Self {
        let world = World::without_service().await;
        world.start_process("the_service").await;
        let owner = world.user("owner").await;
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(world.user(&format!("user{number}")).await);
        }
        let (mut videos, mut rated_comments) = (Vec::new(), Vec::new());
        for time in 0..VIDEOS {
            let video = world.publish(owner.user.unwrap(), ChannelId::generate(), time as i64).await;
            let path = format!("/api/videos/{}/comments", video.id);
            let answer =
                world.ask(Method::POST, &path, Some(&owner), Some(json!({ "text": "What do you think?" }))).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            rated_comments.push(answer.body["id"].as_str().unwrap().to_owned());
            videos.push(video);
        }
        let owner = owner.user.unwrap();
        Self { world, owner, people, videos, rated_comments, restarts: AtomicBool::new(true) }
    }

    async fn send(&self, who: &Caller, act: &Act) -> Answer {
        let video = |video: &usize| self.videos[*video].id;
        let world = &self.world;
        match act {
            Act::Rate { video: of, rating } => {
                let path = format!("/api/videos/{}/rating", video(of));
                world.ask(Method::PUT, &path, Some(who), Some(json!({ "rating": rating }))).await
            }
            Act::RateComment { video, rating } => {
                let path = format!("/api/comments/{}/rating", self.rated_comments[*video]);
                world.ask(Method::PUT, &path, Some(who), Some(json!({ "rating": rating }))).await
            }
            Act::Comment { video: of, key } => {
                let (path, body) = (format!("/api/videos/{}/comments", video(of)), json!({ "text": key }));
                world.ask_with(Method::POST, &path, Some(who), Some(body), &[("idempotency-key", key)]).await
            }
            Act::Watch { video: of } => {
                let path = format!("/api/videos/{}/views", video(of));
                let beat = json!({ "sessionId": "page-of-0001", "positionSeconds": 20.0, "watchedSeconds": 20.0 });
                world.ask(Method::POST, &path, Some(who), Some(beat)).await
            }
        }
    }

    /// One person's acts, each sent as often as it takes to be answered.
    async fn act(&self, who: &Caller, acts: Vec<(Act, bool)>) -> Model {
        let mut model = Model::default();
        for (act, twice) in acts {
            let mut answers = Vec::new();
            while answers.is_empty() {
                let sent = (0..1 + usize::from(twice)).map(|_| self.send(who, &act));
                answers = futures_util::future::join_all(sent).await;
                answers.retain(|answer| answer.status != 503);
                if answers.is_empty() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            for answer in answers {
                assert!(answer.status.is_success(), "{act:?}: {answer:?}");
                model.learn(&act, &answer);
            }
        }
        model
    }

    /// Kills the service every few seconds until all have acted; says how often.
    async fn kill(&self, mut random: Random, done: &AtomicBool) -> usize {
        let mut kills = 0;
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(500 + random.below(3_000) as u64)).await;
            self.world.kill_process();
            self.world.start_process("the_service").await;
            kills += 1;
        }
        kills
    }

    /// Follows a log as its consumer does: each event once, whatever happens to the owner.
    async fn follow<E: DeserializeOwned>(&self, log: &str, consumer: &str, mut take: impl FnMut(E)) {
        let mut after = 0;
        loop {
            // What is known before the page is asked for: with nothing after it the log has ended.
            let last = !self.restarts.load(Ordering::Relaxed);
            let path = format!("/internal/logs/{log}?consumer={consumer}&after={after}&wait=0");
            let Ok(page) = self.world.peer().get::<logs::LogPage<E>>(&path).await else {
                assert!(!last, "the service answers in the end");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if page.events.is_empty() {
                if last {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for event in page.events {
                assert!(event.sequence > after, "an event twice");
                after = event.sequence;
                take(event.event);
            }
        }
    }

    async fn told(&self) -> Told {
        let (mut events, mut told) = (Told::default(), Told::default());
        let following = self.follow(EVENTS, "video", |event| match event {
            InteractionEvent::Counts { video, views, likes, dislikes, comments } => {
                events.counts.insert(video, (views, likes, dislikes, comments));
            }
            InteractionEvent::Rated { user, video, rating, .. } => {
                events.ratings.insert((user, video), rating);
            }
            InteractionEvent::Commented { video, .. } => *events.commented.entry(video).or_default() += 1,
            _ => {}
        });
        let notified = self.follow(NOTIFICATIONS, "notification", |notify: Notify| {
            assert_eq!(notify.recipient, self.owner);
            assert_eq!(notify.kind == NotificationKind::Like, notify.comment.is_none());
            *told.notifications.entry((notify.actor, notify.video, notify.comment)).or_default() += 1;
        });
        tokio::join!(following, notified);
        events.notifications = told.notifications;
        events
    }

    /// Everything is counted and told.
    async fn idle(&self) {
        let end = Instant::now() + Duration::from_secs(120);
        while !self.world.idle().await {
            assert!(Instant::now() < end, "it is never done");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.restarts.store(false, Ordering::Relaxed);
    }

    /// Holds what is there to the models.
    async fn compare(&self, models: &[Model], told: &Told) {
        for (at, video) in self.videos.iter().enumerate() {
            let count = |is: &dyn Fn(&Model) -> bool| models.iter().filter(|model| is(model)).count() as u64;
            let rated = |rating| count(&|model: &Model| model.ratings.get(&at) == Some(&rating));
            let views = count(&|model: &Model| model.watched.contains(&at));
            let commented = models.iter().flat_map(|model| model.comments.values()).filter(|(of, _)| *of == at);
            let mut comments: Vec<String> = commented.map(|(_, id)| id.clone()).collect();
            comments.push(self.rated_comments[at].clone());
            let total = comments.len() as u64;
            let expected = (views, rated(Rating::Like), rated(Rating::Dislike), total);
            assert_eq!(told.counts[&video.id], expected, "counts of video {at}");
            assert_eq!(told.commented[&video.id], total, "events of comments of video {at}");
            let path = format!("/api/videos/{}/comments?sort=old", video.id);
            let listed = self.world.all(&path, None, 100).await;
            let mut ids: Vec<String> = listed.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
            ids.sort();
            comments.sort();
            assert_eq!(ids, comments, "comments of video {at}");
            let rated = listed.iter().find(|it| it["id"] == self.rated_comments[at].as_str()).unwrap();
            let likes = count(&|model: &Model| model.comment_ratings.get(&at) == Some(&Rating::Like));
            assert_eq!(rated["likes"], likes, "likes of the comment of video {at}");
        }
        for (who, model) in self.people.iter().zip(models) {
            self.compare_person(who, model, told).await;
        }
        let comments: usize = models.iter().map(|model| model.comments.len()).sum();
        let told_of = told.notifications.iter().filter(|((.., comment), _)| comment.is_some());
        assert_eq!(told_of.count(), comments, "told of comments");
        assert!(told.notifications.values().all(|times| *times == 1), "told twice");
    }

    async fn compare_person(&self, who: &Caller, model: &Model, told: &Told) {
        let user = who.user.unwrap();
        for (at, video) in self.videos.iter().enumerate() {
            let expected = model.ratings.get(&at).copied().unwrap_or(Rating::None);
            let path = format!("/api/videos/{}/rating", video.id);
            let read = self.world.ask(Method::GET, &path, Some(who), None).await;
            assert_eq!(read.body["rating"], json!(expected), "{user} {at}");
            let events = told.ratings.get(&(user, video.id)).copied().unwrap_or(Rating::None);
            assert_eq!(events, expected, "events of {user} {at}");
            let told = told.notifications.contains_key(&(user, video.id, None));
            assert!(told || expected != Rating::Like, "the like of {user} was not told");
            assert!(!told || model.ever_liked.contains(&at), "a like that never was, of {user}");
        }
    }
}

impl Model {
    fn learn(&mut self, act: &Act, answer: &Answer) {
        match act {
            Act::Rate { video, rating } => {
                self.ratings.insert(*video, *rating);
                if *rating == Rating::Like {
                    self.ever_liked.insert(*video);
                }
            }
            Act::RateComment { video, rating } => {
                self.comment_ratings.insert(*video, *rating);
            }
            Act::Comment { video, key } => {
                let id = answer.body["id"].as_str().unwrap().to_owned();
                let (_, before) = self.comments.entry(key.clone()).or_insert((*video, id.clone()));
                assert_eq!(*before, id, "{key} made two comments");
            }
            Act::Watch { video } => {
                assert_eq!(answer.body["counted"], true);
                self.watched.insert(*video);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_great_many_interactions_count_once_each() {
    let seed = number("DJSTREAM_TEST_SEED", std::process::id().into());
    let interactions = number("DJSTREAM_MODEL_INTERACTIONS", 100_000) as usize;
    eprintln!("DJSTREAM_TEST_SEED={seed} DJSTREAM_MODEL_INTERACTIONS={interactions}");
    let mut random = Random::new(seed);
    let stage = Stage::new().await;
    let scripts: BTreeMap<usize, _> = (0..PEOPLE)
        .map(|who| (who, script(&mut random.fork(), &format!("user{who}"), interactions / PEOPLE)))
        .collect();
    let (done, began) = (AtomicBool::new(false), Instant::now());
    let acting = async {
        let all = scripts.into_iter().map(|(who, acts)| stage.act(&stage.people[who], acts));
        let models = futures_util::future::join_all(all).await;
        done.store(true, Ordering::Relaxed);
        models
    };
    let disturbed = async {
        let (models, kills) = tokio::join!(acting, stage.kill(random.fork(), &done));
        stage.idle().await;
        (models, kills)
    };
    let ((models, kills), told) = tokio::join!(disturbed, stage.told());
    eprintln!("{interactions} interactions and {kills} kills in {:?}", began.elapsed());
    assert!(kills > 0, "it was never killed");
    stage.compare(&models, &told).await;
    stage.world.kill_process();
    stage.world.end().await;
}

/// Not a test of its own: the process that the test above kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service() {
    support::be_the_service().await;
}
