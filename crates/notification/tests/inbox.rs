//! The inbox through its routes, and what events make of it.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{World, before_everything, notify, profile, video};
use http::Method;
use kit::{Caller, clock};
use proto::api::Page;
use proto::api::channel::NotifyLevel;
use proto::api::instance::QueueDepth;
use proto::api::notification::{Notification, NotificationKind, Preferences, UnreadCount};
use proto::api::video::Privacy;
use proto::events::{ChannelEvent, ChannelProfile, GatewayEvent, Notify, VideoEvent, VideoProfile};
use proto::{ChannelId, UserId, VideoId};
use serde_json::json;

fn subscribed(user: UserId, channel: ChannelId, owner: UserId, notify: NotifyLevel, new: bool) -> ChannelEvent {
    ChannelEvent::Subscribed { user, channel, owner, handle: "meadow".to_owned(), notify, new, at: clock::now() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likes_of_one_video_are_one_entry_that_moves_up() {
    let world = World::new(|_, _| {});
    let home = world.start(0).await;
    let (owner, film) = (UserId::generate(), VideoId::generate());
    let fans: Vec<UserId> = (0..12).map(|_| UserId::generate()).collect();
    let like = |fan: &UserId| notify(owner, NotificationKind::Like, *fan, film);
    let mut socket = world.open(0, owner, Some(before_everything())).await;
    world.interaction(&[like(&fans[0])]).await;
    let first = socket.next().await;
    assert_eq!((first.count, first.replaces), (1, None));
    world.interaction(&[notify(owner, NotificationKind::Comment, fans[0], film)]).await;
    let comment = socket.next().await;

    // Some of them twice: undone and done again.
    let again = fans[1..].iter().chain(&fans[2..5]).map(like).collect::<Vec<_>>();
    world.interaction(&again).await;
    let mut last = first.clone();
    while last.count < 12 {
        let next = socket.next().await;
        assert_eq!(next.replaces, Some(last.id));
        assert!(next.id > last.id);
        last = next;
    }
    socket.silent().await;
    let inbox = world.inbox(owner).await;
    assert_eq!(inbox, [last.clone(), comment.clone()]);
    assert_eq!(world.unread(owner).await, 2);

    // One that was read is unread again when it grows.
    let read: UnreadCount =
        world.call(owner, Method::POST, "/api/notifications/read", Some(&json!({ "ids": [last.id] }))).await.unwrap();
    assert_eq!(read.unread, 1);
    world.interaction(&[like(&UserId::generate())]).await;
    let grown = socket.next().await;
    assert_eq!((grown.count, grown.read, world.unread(owner).await), (13, false, 2));

    // Another video is another entry; a restart changes nothing.
    world.interaction(&[notify(owner, NotificationKind::Like, fans[0], VideoId::generate())]).await;
    let before = world.inbox_when(owner, |inbox| inbox.len() == 3).await;
    home.stop().await;
    let _home = world.start(0).await;
    assert_eq!(world.inbox(owner).await, before);
    world.interaction(&[like(&UserId::generate())]).await;
    let inbox = world.inbox_when(owner, |inbox| inbox[0].count == 14).await;
    assert_eq!(inbox.len(), 3);
    assert_eq!(inbox[0].replaces, Some(grown.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_by_ids_and_up_to() {
    let world = World::new(|_, _| {});
    let _home = world.start(0).await;
    let (user, other) = (UserId::generate(), UserId::generate());
    let events: Vec<Notify> =
        (0..150).map(|_| notify(user, NotificationKind::Reply, other, VideoId::generate())).collect();
    world.interaction(&events).await;
    let inbox = world.inbox_when(user, |inbox| inbox.len() == 150).await;
    assert!(inbox.is_sorted_by(|a, b| a.id > b.id));
    let read = async |body| {
        let path = "/api/notifications/read";
        world.call::<_, UnreadCount>(user, Method::POST, path, Some(&body)).await.map(|count| count.unread)
    };
    assert_eq!(world.unread(user).await, 150);
    let ids = [inbox[3].id, inbox[3].id, inbox[7].id, before_everything()];
    assert_eq!(read(json!({ "ids": ids })).await.unwrap(), 148);
    assert_eq!(read(json!({ "ids": ids })).await.unwrap(), 148);
    assert_eq!(read(json!({ "upTo": inbox[5].id })).await.unwrap(), 4);
    let now = world.inbox(user).await;
    let unread: Vec<usize> = (0..150).filter(|index| !now[*index].read).collect();
    assert_eq!(unread, [0, 1, 2, 4]);
    assert_eq!(read(json!({ "upTo": inbox[0].id })).await.unwrap(), 0);

    let too_many: Vec<_> = inbox.iter().take(101).map(|entry| entry.id).collect();
    for (body, code) in [
        (json!({}), "invalid-field"),
        (json!({ "ids": [], "upTo": inbox[0].id }), "invalid-field"),
        (json!({ "ids": too_many }), "invalid-field"),
        (json!({ "ids": ["nonsense"] }), "invalid-field"),
        (json!({ "all": true }), "unknown-field"),
    ] {
        assert_eq!(read(body.clone()).await.unwrap_err().code, code, "{body}");
    }
    // Nobody reads another one's.
    let path = "/api/notifications/read";
    let theirs: UnreadCount =
        world.call(other, Method::POST, path, Some(&json!({ "upTo": inbox[0].id }))).await.unwrap();
    assert_eq!(theirs.unread, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_and_liking_at_the_same_time_keep_the_count_right() {
    let world = World::new(|_, _| {});
    let _home = world.start(0).await;
    let (user, film) = (UserId::generate(), VideoId::generate());
    let likes: Vec<Notify> = (0..150).map(|_| notify(user, NotificationKind::Like, UserId::generate(), film)).collect();
    let reading = async {
        loop {
            let inbox = world.inbox(user).await;
            if let Some(entry) = inbox.first() {
                let body = json!({ "upTo": entry.id });
                let _: UnreadCount =
                    world.call(user, Method::POST, "/api/notifications/read", Some(&body)).await.unwrap();
                if entry.count == 150 {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    let both = async { tokio::join!(world.interaction(&likes), reading) };
    tokio::time::timeout(common::PATIENCE, both).await.unwrap();
    let inbox = world.inbox(user).await;
    assert_eq!((inbox.len(), inbox[0].count, inbox[0].read, world.unread(user).await), (1, 150, true, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_the_rights_to_them() {
    let world = World::new(|_, _| {});
    let _home = world.start(0).await;
    let user = UserId::generate();
    let events: Vec<Notify> =
        (0..45).map(|_| notify(user, NotificationKind::Comment, UserId::generate(), VideoId::generate())).collect();
    world.interaction(&events).await;
    let all = world.inbox_when(user, |inbox| inbox.len() == 45).await;
    let mut paged = Vec::new();
    let mut path = "/api/notifications".to_owned();
    loop {
        let page: Page<Notification> = world.get(user, &path).await.unwrap();
        assert!(page.items.len() <= 20);
        paged.extend(page.items);
        let Some(token) = page.next_page_token else { break };
        path = format!("/api/notifications?pageToken={token}");
        // What comes in between changes nothing of it.
        world.interaction(&[notify(user, NotificationKind::Comment, UserId::generate(), VideoId::generate())]).await;
    }
    assert_eq!(paged, all);
    let refused = async |path| world.get::<Page<Notification>>(user, path).await.unwrap_err().code;
    assert_eq!(refused("/api/notifications?limit=0").await, "invalid-field");
    assert_eq!(refused("/api/notifications?pageToken=x").await, "invalid-page-token");
    let guest = Caller::guest();
    for (method, path) in [
        (Method::GET, "/api/notifications"),
        (Method::GET, "/api/notifications/unread-count"),
        (Method::POST, "/api/notifications/read"),
        (Method::GET, "/api/notifications/preferences"),
        (Method::PUT, "/api/notifications/preferences"),
    ] {
        let answer = world.peer(0).call::<_, ()>(method, path, Some(&guest), Some(&json!({ "kinds": [] }))).await;
        assert_eq!(answer.unwrap_err().code, "not-signed-in", "{path}");
    }
    let _other = world.start(1).await;
    let queues = async |index| world.peer(index).get::<Vec<QueueDepth>>("/internal/queues").await.unwrap();
    assert_eq!((queues(0).await[0].name.as_str(), queues(1).await.len()), ("notification/jobs", 0));
    let elsewhere = world.peer(1).get::<()>("/api/notifications").await;
    assert_eq!(elsewhere.unwrap_err().code, "not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preferences_are_kept_and_obeyed() {
    let world = World::new(|_, _| {});
    let home = world.start(0).await;
    let (user, path) = (UserId::generate(), "/api/notifications/preferences");
    let defaults: Preferences = world.get(user, path).await.unwrap();
    assert!(defaults.kinds.len() == 11 && defaults.kinds.iter().all(|kind| kind.page));
    let put = async |body| world.call::<_, Preferences>(user, Method::PUT, path, Some(&body)).await;
    let off = put(json!({ "kinds": [{ "kind": "like", "page": false }, { "kind": "reply", "page": true }] })).await;
    let off = off.unwrap();
    assert_eq!(
        off.kinds.iter().filter(|kind| !kind.page).map(|kind| kind.kind).collect::<Vec<_>>(),
        [NotificationKind::Like]
    );
    for (body, code) in [
        (json!({ "kinds": [{ "kind": "like", "page": true, "email": true }] }), "unknown-field"),
        (json!({ "kinds": [{ "kind": "poke", "page": true }] }), "invalid-field"),
        (json!({ "kinds": [{ "kind": "like", "page": true }, { "kind": "like", "page": false }] }), "invalid-field"),
    ] {
        assert_eq!(put(body.clone()).await.unwrap_err().code, code, "{body}");
    }
    home.stop().await;
    let _home = world.start(0).await;
    assert_eq!(world.get::<Preferences>(user, path).await.unwrap(), off);
    let film = VideoId::generate();
    let told = |kind| notify(user, kind, UserId::generate(), film);
    world.interaction(&[told(NotificationKind::Like), told(NotificationKind::Reply)]).await;
    let inbox = world.inbox_when(user, |inbox| !inbox.is_empty()).await;
    assert_eq!(inbox.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [NotificationKind::Reply]);
    assert_eq!(put(json!({ "kinds": [] })).await.unwrap(), defaults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_video_is_told_to_its_subscribers_once() {
    let world = World::new(|_, _| {});
    let home = world.start(0).await;
    let (owner, channel) = (UserId::generate(), ChannelId::generate());
    let subscribers: Vec<UserId> = (0..150).map(|_| UserId::generate()).collect();
    let (quiet, gone) = (UserId::generate(), UserId::generate());
    let channel_profile = ChannelProfile {
        id: channel,
        owner,
        handle: "meadow".to_owned(),
        name: "Meadow".to_owned(),
        avatar_url: None,
        subscribers: 0,
    };
    let mut events = vec![ChannelEvent::ChannelChanged { channel: channel_profile }];
    for user in subscribers.iter().chain([&quiet, &gone]) {
        events.push(subscribed(*user, channel, owner, NotifyLevel::All, true));
    }
    events.push(subscribed(owner, channel, owner, NotifyLevel::All, true));
    events.push(subscribed(quiet, channel, owner, NotifyLevel::None, false));
    events.push(ChannelEvent::Unsubscribed { user: gone, channel });
    let last = UserId::generate();
    events.push(subscribed(last, channel, owner, NotifyLevel::All, true));
    world.channel(&events).await;
    // The owner is told of each of them, and not of himself.
    let inbox = world.inbox_when(owner, |inbox| inbox.len() == 153).await;
    assert!(inbox.iter().all(|entry| entry.kind == NotificationKind::Subscriber));
    assert_eq!(inbox[0].channel.as_deref(), Some("meadow"));

    let film = video(owner, channel);
    let hidden = VideoProfile { privacy: Privacy::Unlisted, ..video(owner, channel) };
    world
        .video(&[
            VideoEvent::VideoPublished { video: hidden.clone() },
            VideoEvent::ProcessingDone { video: film.clone() },
            VideoEvent::VideoChanged { video: film.clone() },
            VideoEvent::VideoPublished { video: film.clone() },
        ])
        .await;
    home.stop().await;
    let _home = world.start(0).await;
    for user in subscribers.iter().chain([&last]) {
        let inbox = world.inbox_when(*user, |inbox| !inbox.is_empty()).await;
        assert_eq!(inbox.len(), 1, "{inbox:?}");
        let told = &inbox[0];
        assert_eq!(
            (told.kind, told.video_id, told.channel.as_deref()),
            (NotificationKind::NewVideo, Some(film.id), Some("meadow"))
        );
        assert_eq!(told.thumbnail_url.as_deref(), Some("/media/poster.jpg"));
        assert_eq!(world.unread(*user).await, 1);
    }
    assert_eq!(world.inbox(quiet).await.len() + world.inbox(gone).await.len(), 0);
    let own = world.inbox(owner).await;
    assert_eq!((own.len(), own[0].kind), (154, NotificationKind::ProcessingDone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_uploads_are_explained() {
    let world = World::new(|_, _| {});
    let _home = world.start(0).await;
    let owner = UserId::generate();
    let film = video(owner, ChannelId::generate());
    let reason = "This file has no picture.".to_owned();
    world.video(&[VideoEvent::ProcessingFailed { video: film.clone(), reason: reason.clone() }]).await;
    let inbox = world.inbox_when(owner, |inbox| !inbox.is_empty()).await;
    assert_eq!((inbox[0].kind, inbox[0].text.as_ref()), (NotificationKind::ProcessingFailed, Some(&reason)));
    assert_eq!(inbox[0].video_id, Some(film.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_may_no_longer_see_loses_its_words() {
    let world = World::new(|_, _| {});
    let _home = world.start(0).await;
    let (owner, user) = (UserId::generate(), UserId::generate());
    let film = video(owner, ChannelId::generate());
    world.video(&[VideoEvent::VideoChanged { video: film.clone() }]).await;
    let told = |recipient, actor| notify(recipient, NotificationKind::Reply, actor, film.id);
    world.interaction(&[told(user, owner), told(owner, user)]).await;
    let shown = world.inbox_when(user, |inbox| !inbox.is_empty()).await;
    assert_eq!(shown[0].text.as_deref(), Some("Well done!"));
    let words = |entry: &Notification| entry.video_title.is_some() || entry.text.is_some() || entry.video_id.is_some();

    let private = VideoProfile { privacy: Privacy::Private, ..film.clone() };
    world.video(&[VideoEvent::VideoChanged { video: private }]).await;
    world.inbox_when(user, |inbox| !words(&inbox[0])).await;
    assert!(words(&world.inbox(owner).await[0]));
    assert_eq!(world.unread(user).await, 1);

    let end = VideoEvent::VideoDeleted { id: film.id, owner, channel: film.channel };
    world.video(&[end]).await;
    world.inbox_when(owner, <[_]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_deleted_leaves_nothing() {
    let world = World::new(|_, _| {});
    let _home = world.start(0).await;
    let (user, friend) = (UserId::generate(), UserId::generate());
    let known = |user, name| GatewayEvent::UserChanged { user: profile(user, name) };
    world.gateway(&[known(user, "leaving"), known(friend, "friend")]).await;
    let film = VideoId::generate();
    let mut events: Vec<Notify> =
        (0..100).map(|_| notify(user, NotificationKind::Comment, friend, VideoId::generate())).collect();
    events.push(notify(friend, NotificationKind::Like, user, film));
    world.interaction(&events).await;
    world.inbox_when(user, |inbox| inbox.len() == 100).await;
    world.inbox_when(friend, |inbox| inbox.first().is_some_and(|entry| entry.actor.is_some())).await;
    let off = json!({ "kinds": [{ "kind": "like", "page": false }] });
    let path = "/api/notifications/preferences";
    let _: Preferences = world.call(user, Method::PUT, path, Some(&off)).await.unwrap();

    world.gateway(&[GatewayEvent::UserDeleted { id: user }]).await;
    world.inbox_when(user, <[_]>::is_empty).await;
    assert_eq!(world.unread(user).await, 0);
    world.inbox_when(friend, <[_]>::is_empty).await;
    // Whoever is gone is told nothing more.
    world
        .interaction(&[
            notify(user, NotificationKind::Comment, friend, film),
            notify(friend, NotificationKind::Reply, user, film),
            notify(friend, NotificationKind::Comment, UserId::generate(), film),
        ])
        .await;
    // Nor is anybody told of what they did.
    world.inbox_when(friend, |inbox| inbox.len() == 1).await;
    assert!(world.inbox(user).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_inbox_loses_its_oldest() {
    let world = World::new(|config, _| config.notification.inbox_entries = 20);
    let _home = world.start(0).await;
    let (user, film) = (UserId::generate(), VideoId::generate());
    let mut events = vec![notify(user, NotificationKind::Like, UserId::generate(), film)];
    events.extend((0..100).map(|number| Notify {
        text: Some(number.to_string()),
        ..notify(user, NotificationKind::Comment, UserId::generate(), VideoId::generate())
    }));
    world.interaction(&events).await;
    let newest = |inbox: &[Notification]| inbox.first().is_some_and(|entry| entry.text.as_deref() == Some("99"));
    let inbox = world.inbox_when(user, |inbox| newest(inbox) && inbox.len() <= 20 + 16).await;
    assert!(inbox.len() >= 20);
    let texts: Vec<String> = inbox.iter().map(|entry| entry.text.clone().unwrap()).collect();
    let expected: Vec<String> = (0..100).rev().take(inbox.len()).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
    assert_eq!(world.unread(user).await, inbox.len() as u64);
    // The likes that fell out begin again.
    world.interaction(&[notify(user, NotificationKind::Like, UserId::generate(), film)]).await;
    let inbox = world.inbox_when(user, |inbox| inbox[0].kind == NotificationKind::Like).await;
    assert_eq!((inbox[0].count, inbox[0].replaces), (1, None));
}
