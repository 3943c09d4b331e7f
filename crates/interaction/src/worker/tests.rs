//! The consumer and the domain together, with a time of our own and without neighbours.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kit::config::Config;
use kit::{Caller, DataFolder};
use proto::api::account::Role;
use proto::api::interaction::{CreateComment, Rated, Rating, View};
use proto::api::video::{CommentPolicy, Privacy, VideoState};
use proto::events::{InteractionEvent, UserProfile, VideoProfile};
use proto::{ChannelId, CommentId, Timestamp, UserId, VideoId};
use store::{Options, Scan, Store, Table};

mod full;

use super::*;
use crate::data::*;
use crate::peers::Peers;

const DAY_MS: i64 = 24 * 3600 * 1000;
const START: Timestamp = Timestamp::from_ms(1_795_000_000_000);

struct Bench {
    _folder: tempfile::TempDir,
    service: Service,
}

impl Bench {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(mut config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        config.limits.comments_per_minute = 10_000;
        config.limits.interactions_per_minute = 1_000_000;
        let data = DataFolder::open(folder.path()).unwrap();
        let context = Context::new(config, data, Shutdown::new());
        let store = Store::open(&context.data.service("interaction"), Options::default()).unwrap();
        let service = Service::new(store, Peers::new(&context), &context.config);
        Self { _folder: folder, service }
    }

    async fn user(&self, username: &str) -> Caller {
        let id = UserId::generate();
        let profile = UserProfile {
            id,
            username: username.to_owned(),
            display_name: username.to_owned(),
            avatar_url: None,
            role: Role::User,
            active: true,
        };
        let batch = Batch::new().put(USERS, &id.bytes(), &profile).put(USERNAMES, &username.to_owned(), &id);
        self.service.store.write(batch).await.unwrap();
        Caller { user: Some(id), role: Role::User, ..Caller::guest() }
    }

    async fn video(&self, owner: &Caller, duration: f64) -> VideoId {
        let video = VideoProfile {
            id: VideoId::generate(),
            owner: owner.user.unwrap(),
            channel: ChannelId::generate(),
            title: "😀".repeat(120),
            privacy: Privacy::Public,
            state: VideoState::Published,
            comment_policy: CommentPolicy::Open,
            duration,
            published_at: Some(START),
            thumbnail_url: None,
        };
        self.service.store.write(Batch::new().put(VIDEOS, &video.id.bytes(), &video)).await.unwrap();
        video.id
    }

    async fn rate(&self, who: &Caller, video: VideoId, rating: Rating) {
        self.service.rate_video(who, video, Rated { rating }, START).await.unwrap();
    }

    async fn comment(&self, who: &Caller, video: VideoId, text: &str, parent: Option<CommentId>) -> CommentId {
        let body = CreateComment { text: text.to_owned(), parent_id: parent };
        self.service.create_comment(who, video, None, body, START).await.unwrap().id
    }

    async fn watch(&self, who: &Caller, video: VideoId, seconds: f64, now: Timestamp) -> bool {
        let body = View { session_id: "some-page".to_owned(), position_seconds: seconds, watched_seconds: seconds };
        self.service.view(who, video, body, now).await.unwrap().counted
    }

    /// Does all jobs there are, and says how many batches of interactions that took.
    async fn work(&self) -> usize {
        let queue = self.service.store.queue(JOBS);
        let mut batches = 0;
        loop {
            let counted = count(&self.service, &queue).await.unwrap();
            batches += usize::from(counted > 0);
            if counted + remove(&self.service, &queue).await.unwrap() > 0 {
                continue;
            }
            // A removal waits a moment for what has to be counted before it goes on.
            if queue.depth().unwrap().delayed == 0 {
                return batches;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn rows<K: store::Key, V>(&self, table: Table<K, V>) -> usize {
        self.service.store.scan_keys(table, Scan::all()).count()
    }

    fn watched(&self) -> usize {
        let events = self.service.store.log(LOG).read(0, 10_000).unwrap();
        events.iter().filter(|(_, _, event)| matches!(event, InteractionEvent::Watched { .. })).count()
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_video_that_is_gone() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada").await, bench.user("bob").await);
    let video = bench.video(&ada, 60.0).await;
    for number in 0..70 {
        let who = bench.user(&format!("user{number}")).await;
        bench.rate(&who, video, if number % 2 == 0 { Rating::Like } else { Rating::Dislike }).await;
        bench.watch(&who, video, 20.0, START).await;
        let long = "x".repeat(5_000);
        let top = bench.comment(&who, video, &long, None).await;
        let body = Rated { rating: Rating::Like };
        bench.service.rate_comment(&bob, top, body, START).await.unwrap();
        bench.comment(&bob, video, "reply", Some(top)).await;
    }
    bench.work().await;
    assert_eq!(bench.service.store.count(COMMENT_COUNT, &video.bytes()).unwrap(), 140);
    assert_eq!(bench.service.store.count(VIEW_COUNT, &video.bytes()).unwrap(), 70);
    // Some are answered and not yet counted when it goes.
    bench.rate(&bob, video, Rating::Like).await;
    bench.comment(&bob, video, "late", None).await;
    let gone = Batch::new()
        .delete(VIDEOS, &video.bytes())
        .put(GONE, &video.bytes(), &())
        .push(JOBS, store::Push { job: &Job::RemoveVideo(video), order_key: None, due_ms: 0, lane: LANE_REMOVALS });
    bench.service.store.write(gone).await.unwrap();
    bench.work().await;
    for (name, rows) in [
        ("ratings", bench.rows(RATINGS)),
        ("raters", bench.rows(RATERS)),
        ("pending", bench.rows(PENDING)),
        ("comments", bench.rows(COMMENTS)),
        ("threads", bench.rows(THREADS)),
        ("replies", bench.rows(REPLIES)),
        ("written by", bench.rows(WRITTEN_BY)),
        ("history", bench.rows(HISTORY)),
        ("history by time", bench.rows(HISTORY_BY_TIME)),
        ("watchers", bench.rows(WATCHERS)),
        ("counted", bench.rows(COUNTED)),
        ("counted by time", bench.rows(COUNTED_BY_TIME)),
    ] {
        assert_eq!(rows, 0, "{name}");
    }
    for counter in [COMMENT_COUNT, VIEW_COUNT] {
        assert_eq!(bench.service.store.count(counter, &video.bytes()).unwrap(), 0);
    }
    let dead = bench.service.store.queue(JOBS).depth().unwrap();
    assert_eq!((dead.dead, dead.ready), (0, 0));
}

#[tokio::test]
async fn nothing_is_left_of_an_account_that_is_gone() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada").await, bench.user("bob").await);
    let mut videos = Vec::new();
    for _ in 0..40 {
        let video = bench.video(&ada, 60.0).await;
        bench.rate(&bob, video, Rating::Like).await;
        bench.watch(&bob, video, 20.0, START).await;
        let top = bench.comment(&bob, video, "top", None).await;
        bench.comment(&ada, video, "reply", Some(top)).await;
        videos.push(video);
    }
    bench.work().await;
    let user = bob.user.unwrap();
    let job = Job::RemoveUser(user);
    let push = store::Push { job: &job, order_key: None, due_ms: 0, lane: LANE_REMOVALS };
    bench.service.store.write(Batch::new().push(JOBS, push)).await.unwrap();
    bench.work().await;
    assert_eq!((bench.rows(RATINGS), bench.rows(RATERS), bench.rows(HISTORY)), (0, 0, 0));
    assert_eq!(bench.service.store.count(HISTORY_COUNT, &user.bytes()).unwrap(), 0);
    for video in videos {
        assert_eq!(bench.service.store.count(LIKES, &Target::Video(video).key()).unwrap(), 0);
        // Ada's reply and a tombstone.
        assert_eq!(bench.service.store.count(COMMENT_COUNT, &video.bytes()).unwrap(), 1);
    }
    let own = bench.service.store.scan_keys(WRITTEN_BY, Scan::prefix(&user.bytes())).count();
    assert_eq!((own, bench.rows(COMMENTS)), (0, 80));
}

#[tokio::test]
async fn interactions_are_merged_and_even_the_largest_fit_into_a_batch() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let video = bench.video(&ada, 60.0).await;
    let mut text = "😀".repeat(200);
    let mut people = Vec::new();
    for number in 0..260 {
        let name = format!("user{number}");
        if number < 10 {
            text = format!("@{name} {text}");
        }
        people.push(bench.user(&name).await);
    }
    for who in &people {
        bench.rate(who, video, Rating::Like).await;
    }
    assert_eq!(bench.work().await, 2);
    for who in &people {
        bench.comment(who, video, &text, None).await;
    }
    assert!(bench.work().await <= 4);
    assert_eq!(bench.service.store.count(COMMENT_COUNT, &video.bytes()).unwrap(), 260);
    assert_eq!(bench.service.store.count(LIKES, &Target::Video(video).key()).unwrap(), 260);
    let mut told = 0;
    let mut after = 0;
    loop {
        let events = bench.service.store.log(NOTIFY_LOG).read(after, 500).unwrap();
        let Some((last, ..)) = events.last() else { break };
        after = *last;
        told += events.len();
    }
    // Likes, comments, and ten names a comment less one's own.
    assert_eq!(told, 260 + 260 + 250 * 10 + 10 * 9);
}

#[tokio::test]
async fn of_several_ratings_in_one_batch_the_last_one_holds() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada").await, bench.user("bob").await);
    let video = bench.video(&ada, 60.0).await;
    let store = &bench.service.store;
    let target = Target::Video(video).key();
    let told = || store.log(NOTIFY_LOG).read(0, 10).unwrap().len();
    for rating in [Rating::Like, Rating::None, Rating::Dislike] {
        bench.rate(&bob, video, rating).await;
    }
    assert_eq!(bench.work().await, 1);
    assert_eq!((store.count(LIKES, &target).unwrap(), store.count(DISLIKES, &target).unwrap()), (0, 1));
    assert_eq!((bench.rows(RATINGS), bench.rows(PENDING), told()), (1, 0, 1));
    let events = store.log(LOG).read(0, 10).unwrap();
    let rated = events.iter().filter(|(_, _, event)| matches!(event, InteractionEvent::Rated { .. }));
    assert_eq!(rated.count(), 1);
    bench.rate(&bob, video, Rating::Like).await;
    bench.work().await;
    assert_eq!((store.count(LIKES, &target).unwrap(), store.count(DISLIKES, &target).unwrap()), (1, 0));
    assert_eq!(told(), 1, "told of the first like only");
}

#[tokio::test]
async fn a_view_counts_again_after_a_day_and_heartbeats_are_no_writes() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada").await, bench.user("bob").await);
    let video = bench.video(&ada, 600.0).await;
    let at = |seconds: i64| START.plus_ms(seconds * 1000);
    assert!(!bench.watch(&bob, video, 9.0, at(9)).await);
    assert_eq!((bench.watched(), bench.rows(HISTORY)), (0, 0));
    assert!(bench.watch(&bob, video, 10.0, at(10)).await);
    assert_eq!((bench.watched(), bench.rows(HISTORY)), (1, 1));
    for second in 11..70 {
        assert!(bench.watch(&bob, video, second as f64, at(second)).await);
    }
    assert_eq!(bench.watched(), 1);
    assert!(bench.watch(&bob, video, 70.0, at(70)).await);
    assert_eq!((bench.watched(), bench.rows(HISTORY_BY_TIME)), (2, 1));
    // Who stops in between is written down later.
    assert!(bench.watch(&bob, video, 75.0, at(75)).await);
    assert!(bench.service.write_sittings_down(at(100), false).await.unwrap());
    assert_eq!(bench.watched(), 2);
    assert!(bench.service.write_sittings_down(at(131), false).await.unwrap());
    assert_eq!(bench.watched(), 3);
    let history = bench.service.store.get(HISTORY, &(bob.user.unwrap().bytes(), video.bytes())).unwrap().unwrap();
    assert_eq!((history.position_seconds, history.watched_at), (75.0, at(75)));
    assert!(!bench.service.write_sittings_down(at(1_000), false).await.unwrap());

    assert!(bench.watch(&bob, video, 1.0, at(10).plus_ms(DAY_MS - 1)).await);
    assert!(!bench.watch(&bob, video, 1.0, at(10).plus_ms(DAY_MS)).await);
    assert!(bench.watch(&bob, video, 11.0, at(20).plus_ms(DAY_MS)).await);
    // What is long past is forgotten with the next views.
    let cid = bench.user("cid").await;
    assert!(bench.watch(&cid, video, 11.0, at(30).plus_ms(3 * DAY_MS)).await);
    assert_eq!((bench.rows(COUNTED), bench.rows(COUNTED_BY_TIME)), (1, 1));
    bench.work().await;
    assert_eq!(bench.service.store.count(VIEW_COUNT, &video.bytes()).unwrap(), 3);
}

#[tokio::test]
async fn an_interaction_is_counted_well_below_a_second() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada").await, bench.user("bob").await);
    let video = bench.video(&ada, 60.0).await;
    let shutdown = Shutdown::new();
    let worker = tokio::spawn(interactions(shutdown.clone(), bench.service.clone()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = std::time::Instant::now();
    bench.rate(&bob, video, Rating::Like).await;
    let log = bench.service.store.log(LOG);
    assert!(log.wait(0, Duration::from_secs(1)).await);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    shutdown.request();
    worker.await.unwrap();
}
