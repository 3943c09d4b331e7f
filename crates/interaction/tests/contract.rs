//! The service over its sockets, with real neighbours.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use http::Method;
use kit::Caller;
use proto::api::notification::NotificationKind;
use proto::api::video::{CommentPolicy, Privacy};
use proto::events::{InteractionEvent, VideoProfile};
use proto::{ChannelId, UserId};
use serde_json::{Value, json};
use support::{Answer, World};

struct Scene {
    world: World,
    ada: Caller,
    bob: Caller,
    video: VideoProfile,
}

/// Ada has a video; Bob is there too.
async fn scene() -> Scene {
    let world = World::start().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let video = world.publish(ada.user.unwrap(), ChannelId::generate(), 1_000).await;
    Scene { world, ada, bob, video }
}

impl Scene {
    async fn rate(&self, who: &Caller, rating: &str) -> Answer {
        let path = format!("/api/videos/{}/rating", self.video.id);
        self.world.ask(Method::PUT, &path, Some(who), Some(json!({ "rating": rating }))).await
    }

    async fn comment(&self, who: &Caller, text: &str, parent: Option<&str>) -> Answer {
        let path = format!("/api/videos/{}/comments", self.video.id);
        let mut body = json!({ "text": text });
        if let Some(parent) = parent {
            body["parentId"] = json!(parent);
        }
        self.world.ask(Method::POST, &path, Some(who), Some(body)).await
    }

    async fn commented(&self, who: &Caller, text: &str, parent: Option<&str>) -> String {
        let answer = self.comment(who, text, parent).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    async fn watch(&self, who: Option<&Caller>, session: &str, position: f64, watched: f64) -> bool {
        let path = format!("/api/videos/{}/views", self.video.id);
        let body = json!({ "sessionId": session, "positionSeconds": position, "watchedSeconds": watched });
        let answer = self.world.ask(Method::POST, &path, who, Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["counted"].as_bool().unwrap()
    }

    async fn texts(&self, who: Option<&Caller>, path: &str) -> Vec<String> {
        let items = self.world.all(path, who, 3).await;
        items.iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
    }

    async fn told(&self) -> Vec<(UserId, NotificationKind)> {
        self.world.eventually(async || self.world.idle().await).await;
        self.world.told().await.into_iter().map(|notify| (notify.recipient, notify.kind)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rating_is_read_at_once_counted_once_and_told_once() {
    let scene = scene().await;
    let Scene { world, ada, bob, video } = &scene;
    let path = format!("/api/videos/{}/rating", video.id);
    assert_eq!(world.ask(Method::GET, &path, None, None).await.status, 401);
    assert_eq!(world.ask(Method::GET, &path, Some(bob), None).await.body, json!({ "rating": "none" }));
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(scene.rate(bob, "like").await.body, json!({ "rating": "like" }));
        assert_eq!(world.ask(Method::GET, &path, Some(bob), None).await.body, json!({ "rating": "like" }));
    }
    world.eventually(async || world.counts(video.id).await == (0, 1, 0, 0)).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    scene.rate(bob, "dislike").await;
    scene.rate(ada, "like").await;
    world.eventually(async || world.counts(video.id).await == (0, 1, 1, 0)).await;
    // Ratings that come within some milliseconds of each other are told as one.
    scene.rate(bob, "none").await;
    world.eventually(async || world.counts(video.id).await == (0, 1, 0, 0)).await;
    scene.rate(bob, "like").await;
    world.eventually(async || world.counts(video.id).await == (0, 2, 0, 0)).await;
    // Neither oneself, nor again after an un-like.
    assert_eq!(scene.told().await, [(ada.user.unwrap(), NotificationKind::Like)]);
    let rated = world.events().await.iter().filter(|event| matches!(event, InteractionEvent::Rated { .. })).count();
    assert_eq!(rated, 5);
    let wrong = scene.rate(bob, "love").await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["errors"][0]["field"]), (422, &json!("rating")));
    let nowhere = format!("/api/videos/{}/rating", proto::VideoId::generate());
    let nowhere = world.ask(Method::PUT, &nowhere, Some(bob), Some(json!({ "rating": "like" }))).await;
    assert_eq!(nowhere.code(), "not-found");
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_have_replies_mentions_and_tombstones() {
    let scene = scene().await;
    let Scene { world, ada, bob, video } = &scene;
    let cid = world.user("cid").await;
    let list = format!("/api/videos/{}/comments", video.id);
    let long = "ä€😀\n".repeat(2_500).trim().to_owned();
    let first = scene.comment(bob, &long, None).await;
    assert_eq!((first.status.as_u16(), &first.body["text"]), (201, &json!(long)), "{first:?}");
    assert_eq!(first.body["author"]["username"], "bob");
    let first = first.body["id"].as_str().unwrap().to_owned();
    let reply = scene.commented(ada, "Thanks @cid, @bob and @nobody", Some(&first)).await;
    let nested = scene.comment(&cid, "Me too", Some(&reply)).await;
    assert_eq!(nested.body["parentId"], json!(first));
    world.eventually(async || world.counts(video.id).await == (0, 0, 0, 3)).await;
    let (a, b, c) = (ada.user.unwrap(), bob.user.unwrap(), cid.user.unwrap());
    let told = scene.told().await;
    use NotificationKind::{Comment, Mention, Reply};
    assert_eq!(told, [(a, Comment), (b, Reply), (c, Mention), (a, Reply)]);
    let excerpt = world.told().await[0].text.clone().unwrap();
    assert_eq!(excerpt.chars().count(), 200);

    let page = world.ask(Method::GET, &list, Some(bob), None).await;
    let item = &page.body["items"][0];
    assert_eq!((&item["text"], &item["replies"], &item["byOwner"]), (&json!(long), &json!(2), &json!(false)));
    let replies = format!("/api/comments/{first}/replies");
    assert_eq!(scene.texts(None, &replies).await, ["Thanks @cid, @bob and @nobody", "Me too"]);

    let path = format!("/api/comments/{first}");
    let edit = world.ask(Method::PATCH, &path, Some(bob), Some(json!({ "text": "Shorter" }))).await;
    assert_eq!((&edit.body["text"], edit.body["editedAt"].is_string()), (&json!("Shorter"), true));
    assert_eq!(world.ask(Method::PATCH, &path, Some(ada), Some(json!({ "text": "x" }))).await.status, 403);
    assert_eq!(world.ask(Method::DELETE, &path, Some(&cid), None).await.status, 403);
    let likes = format!("/api/comments/{first}/rating");
    assert_eq!(world.ask(Method::PUT, &likes, Some(ada), Some(json!({ "rating": "like" }))).await.status, 200);
    let liked = async || world.ask(Method::GET, &list, Some(ada), None).await.body["items"][0].clone();
    world.eventually(async || liked().await["likes"] == 1).await;
    assert_eq!(liked().await["myRating"], "like");

    assert_eq!(world.ask(Method::DELETE, &path, Some(bob), None).await.status, 204);
    let stone = liked().await;
    assert_eq!((&stone["deleted"], &stone["text"], &stone["author"]), (&json!(true), &json!(""), &Value::Null));
    assert_eq!(world.ask(Method::DELETE, &path, Some(bob), None).await.status, 404);
    assert_eq!(scene.comment(&cid, "Late", Some(&first)).await.body["errors"][0]["field"], "parentId");
    // The owner of the video may, and with the last reply the tombstone goes.
    for id in [&reply, nested.body["id"].as_str().unwrap()] {
        assert_eq!(world.ask(Method::DELETE, &format!("/api/comments/{id}"), Some(ada), None).await.status, 204);
    }
    assert!(scene.texts(None, &list).await.is_empty());
    world.eventually(async || world.counts(video.id).await == (0, 0, 0, 0)).await;
    for bad in ["", "  ", &"x".repeat(10_001)] {
        assert_eq!(scene.comment(bob, bad, None).await.body["errors"][0]["field"], "text");
    }
    assert_eq!(scene.comment(&Caller::guest(), "a", None).await.status, 401);
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_comments_page_in_each_order() {
    let scene = scene().await;
    let Scene { world, ada, bob, video } = &scene;
    let list = format!("/api/videos/{}/comments", video.id);
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(scene.commented(bob, &format!("c{number}"), None).await);
    }
    for id in [&ids[4], &ids[4], &ids[7]] {
        for who in [ada, bob] {
            let path = format!("/api/comments/{id}/rating");
            let liked = if id == &ids[7] && who == bob { "none" } else { "like" };
            world.ask(Method::PUT, &path, Some(who), Some(json!({ "rating": liked }))).await;
        }
    }
    world.eventually(async || world.idle().await).await;
    let sorted = async |sort: &str| {
        let (mut texts, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{list}?sort={sort}&limit=3{token}");
            let page = world.ask(Method::GET, &path, None, None).await;
            let items = page.body["items"].as_array().unwrap();
            texts.extend(items.iter().map(|item| item["text"].as_str().unwrap().to_owned()));
            match page.body["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return texts,
            }
        }
    };
    let old: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    assert_eq!(sorted("old").await, old);
    assert_eq!(sorted("new").await, old.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(sorted("top").await, ["c4", "c7", "c9", "c8", "c6", "c5", "c3", "c2", "c1", "c0"]);
    let wrong = world.ask(Method::GET, &format!("{list}?sort=best"), None, None).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["errors"][0]["field"]), (422, &json!("sort")), "{wrong:?}");
    let other = world.ask(Method::GET, &format!("{list}?sort=new&limit=1"), None, None).await;
    let token = other.body["nextPageToken"].as_str().unwrap();
    let mixed = world.ask(Method::GET, &format!("{list}?sort=top&pageToken={token}"), None, None).await;
    assert_eq!(mixed.code(), "invalid-page-token");
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_limits_hold() {
    let mut scene = scene().await;
    scene.video.comment_policy = CommentPolicy::Held;
    scene.world.change(scene.video.clone()).await;
    let plain = "please wait";
    let list = format!("/api/videos/{}/comments", scene.video.id);
    scene.world.projected().await;
    let cid = scene.world.user("cid").await;
    let own = scene.commented(&scene.bob, plain, None).await;
    assert!(scene.texts(Some(&scene.bob), &list).await.contains(&plain.to_owned()));
    assert!(scene.texts(Some(&scene.ada), &list).await.contains(&plain.to_owned()));
    assert!(!scene.texts(Some(&cid), &list).await.contains(&plain.to_owned()));
    let path = format!("/api/comments/{own}/rating");
    let liked = json!({ "rating": "like" });
    assert_eq!(scene.world.ask(Method::PUT, &path, Some(&cid), Some(liked)).await.status, 404);

    scene.video.comment_policy = CommentPolicy::Closed;
    scene.world.change(scene.video.clone()).await;
    scene.world.projected().await;
    assert_eq!(scene.comment(&scene.ada, "a", None).await.code(), "comments-closed");
    scene.video.comment_policy = CommentPolicy::Open;
    scene.world.change(scene.video.clone()).await;
    scene.world.projected().await;
    assert_eq!(scene.comment(&scene.ada, "a", None).await.status, 201);
    let mut last = scene.comment(&cid, "a", None).await;
    for _ in 0..40 {
        last = scene.comment(&cid, "a", None).await;
    }
    assert_eq!((last.status.as_u16(), last.code()), (429, "rate-limited"));
    assert!(last.headers.contains_key("retry-after"));

    scene.video.privacy = Privacy::Private;
    scene.world.change(scene.video.clone()).await;
    scene.world.projected().await;
    assert_eq!(scene.rate(&cid, "like").await.status, 404);
    assert_eq!(scene.world.ask(Method::GET, &list, Some(&cid), None).await.status, 404);
    assert_eq!(scene.rate(&scene.ada, "like").await.status, 200);
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_comment_is_one_comment() {
    let scene = scene().await;
    let path = format!("/api/videos/{}/comments", scene.video.id);
    let key = [("idempotency-key", "k")];
    let send = |text: &'static str| {
        let (world, bob, path) = (&scene.world, &scene.bob, path.as_str());
        async move { world.ask_with(Method::POST, path, Some(bob), Some(json!({ "text": text })), &key).await }
    };
    let answers = futures_util::future::join_all((0..6).map(|_| send("Once"))).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body), "{answers:?}");
    assert_eq!(send("Twice").await.code(), "idempotency-key-reused");
    assert_eq!(scene.texts(None, &path).await, ["Once"]);
    scene.world.eventually(async || scene.world.counts(scene.video.id).await == (0, 0, 0, 1)).await;
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_count_once_and_history_remembers() {
    let mut scene = scene().await;
    let bob = scene.bob.clone();
    assert!(!scene.watch(Some(&bob), "page-of-bob", 4.0, 4.0).await);
    let me = format!("/api/videos/{}/me", scene.video.id);
    let answer = scene.world.ask(Method::GET, &me, Some(&bob), None).await;
    let expected = json!({ "rating": "none", "resumeAt": 4.0, "subscribed": true, "playlists": [] });
    assert_eq!(answer.body, expected, "{answer:?}");
    assert!(scene.watch(Some(&bob), "page-of-bob", 12.0, 10.0).await);
    assert!(scene.watch(Some(&bob), "another-page", 13.0, 30.0).await);
    assert!(!scene.watch(None, "page-of-guest", 4.0, 9.9).await);
    let at_once = (0..8).map(|_| scene.watch(None, "page-of-guest", 4.0, 10.0));
    assert!(futures_util::future::join_all(at_once).await.into_iter().all(|counted| counted));
    scene.world.eventually(async || scene.world.counts(scene.video.id).await == (2, 0, 0, 0)).await;
    for body in [
        json!({ "sessionId": "short", "positionSeconds": 1, "watchedSeconds": 1 }),
        json!({ "sessionId": "long-enough", "positionSeconds": -1, "watchedSeconds": 1 }),
    ] {
        let path = format!("/api/videos/{}/views", scene.video.id);
        assert_eq!(scene.world.ask(Method::POST, &path, None, Some(body)).await.code(), "invalid-field");
    }
    let short = VideoProfile { duration: 6.0, ..scene.world.publish(bob.user.unwrap(), scene.video.channel, 2).await };
    scene.world.change(short.clone()).await;
    let first = std::mem::replace(&mut scene.video, short);
    scene.world.eventually(async || scene.watch(Some(&bob), "page-of-bob", 3.0, 3.0).await).await;

    // Where one was outlives a restart; it is written at the end.
    assert!(scene.watch(Some(&bob), "page-of-bob", 5.0, 5.0).await);
    scene.world.stop_service().await;
    scene.world.start_service().await;
    let history = scene.world.all("/api/me/history", Some(&bob), 1).await;
    let seen: Vec<_> =
        history.iter().map(|item| (item["video"]["id"].clone(), item["positionSeconds"].clone())).collect();
    let ids = (json!(scene.video.id.to_string()), json!(first.id.to_string()));
    assert_eq!(seen, [(ids.0, json!(5.0)), (ids.1, json!(13.0))]);
    assert!(scene.watch(Some(&bob), "page-of-bob", 1.5, 0.1).await);

    let forget = format!("/api/me/history/{}", first.id);
    for _ in 0..2 {
        assert_eq!(scene.world.ask(Method::DELETE, &forget, Some(&bob), None).await.status, 204);
    }
    assert_eq!(scene.world.all("/api/me/history", Some(&bob), 5).await.len(), 1);
    let paused = "/api/me/history/paused";
    let pause = scene.world.ask(Method::PUT, paused, Some(&bob), Some(json!({ "paused": true }))).await;
    assert_eq!(pause.body, json!({ "paused": true }));
    assert_eq!(scene.world.ask(Method::DELETE, "/api/me/history", Some(&bob), None).await.status, 204);
    scene.video = first;
    assert!(scene.watch(Some(&bob), "page-of-bob", 50.0, 50.0).await);
    scene.world.stop_service().await;
    scene.world.start_service().await;
    assert!(scene.world.all("/api/me/history", Some(&bob), 5).await.is_empty());
    assert_eq!(scene.world.ask(Method::GET, paused, Some(&bob), None).await.body, json!({ "paused": true }));
    let forgotten = scene.world.events().await.into_iter().filter_map(|event| match event {
        InteractionEvent::Forgotten { video, .. } => Some(video.is_some()),
        _ => None,
    });
    assert_eq!(forgotten.collect::<Vec<_>>(), [true, false]);
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_on_a_video_or_an_account_goes_with_it() {
    let mut scene = scene().await;
    let cid = scene.world.user("cid").await;
    let kept = scene.world.publish(scene.ada.user.unwrap(), scene.video.channel, 5).await;
    let gone = std::mem::replace(&mut scene.video, kept);
    for video in [gone.clone(), scene.video.clone()] {
        let current = std::mem::replace(&mut scene.video, video);
        for who in [scene.bob.clone(), cid.clone()] {
            scene.rate(&who, "like").await;
            scene.watch(Some(&who), "some-page", 20.0, 20.0).await;
            let top = scene.commented(&who, "top", None).await;
            for _ in 0..4 {
                scene.commented(&who, "reply", Some(&top)).await;
            }
        }
        scene.world.eventually(async || scene.world.counts(scene.video.id).await == (2, 2, 0, 10)).await;
        if scene.video.id == gone.id {
            scene.video = current;
        }
    }
    scene.world.delete_user(cid.user.unwrap()).await;
    scene.world.eventually(async || scene.world.counts(scene.video.id).await == (2, 1, 0, 5)).await;
    let list = format!("/api/videos/{}/comments", scene.video.id);
    assert_eq!(scene.texts(None, &list).await, ["top"]);

    scene.world.delete_video(&gone).await;
    scene.world.eventually(async || scene.world.all("/api/me/history", Some(&scene.bob), 5).await.len() == 1).await;
    scene.video = gone.clone();
    // Lists ask the video service and know at once; that it is gone comes here with the log.
    scene.world.eventually(async || scene.rate(&scene.bob, "dislike").await.status == 404).await;
    scene.world.eventually(async || scene.world.idle().await).await;
    assert_eq!(scene.comment(&scene.bob, "late", None).await.status, 404);
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_channel_service_there_is_no_half_answer() {
    let scene = scene().await;
    let Scene { world, bob, video, .. } = &scene;
    world.stop_neighbours().await;
    let me = world.ask(Method::GET, &format!("/api/videos/{}/me", video.id), Some(bob), None).await;
    assert_eq!((me.status.as_u16(), me.code()), (503, "service-unavailable"));
    assert!(me.headers.contains_key("retry-after"));
    // What it knows itself, it goes on doing.
    assert_eq!(scene.rate(bob, "like").await.status, 200);
    assert_eq!(scene.comment(bob, "still here", None).await.status, 201);
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_public_route_is_there() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let mut routes = 0;
    for route in proto::routes::ROUTES.iter().filter(|route| route.service == proto::routes::Service::Interaction) {
        let id = proto::Id::generate().to_string();
        let named = |segment: &str| match segment {
            "{handle}" => "nobody".to_owned(),
            segment if segment.starts_with('{') => id.clone(),
            segment => segment.to_owned(),
        };
        let path = route.pattern.split('/').map(named).collect::<Vec<_>>().join("/");
        let method = Method::from_bytes(route.method.name().as_bytes()).unwrap();
        let body = (method != Method::GET && method != Method::DELETE).then(|| json!({}));
        let answer = world.ask(method, &path, Some(&ada), body.clone()).await;
        assert_ne!(answer.code(), "method-not-allowed", "{route:?}");
        assert_ne!(answer.body["detail"], "There is nothing at this address.", "{route:?}");
        assert!(answer.status.as_u16() < 500, "{route:?}: {answer:?}");
        if route.least > proto::api::account::Role::Guest {
            let method = Method::from_bytes(route.method.name().as_bytes()).unwrap();
            let guest = world.ask(method, &path, None, body).await;
            assert!(matches!(guest.status.as_u16(), 401 | 404 | 422), "{route:?}: {guest:?}");
        }
        routes += 1;
    }
    assert!(routes > 10);
    world.end().await;
}
