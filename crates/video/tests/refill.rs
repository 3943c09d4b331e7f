//! The snapshot of this service says what its events said; its own projections and the search index are made anew.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use http::Method;
use kit::Caller;
use kit::logs::SnapshotPage;
use proto::api::channel::NotifyLevel;
use proto::api::interaction::Rating;
use proto::api::projection::{Projection, ProjectionState, Rebuild};
use proto::events::{ChannelEvent, ChannelProfile, InteractionEvent, VideoEvent, VideoProfile, Viewer};
use proto::{ChannelId, Timestamp, UserId, VideoId};
use serde_json::{Value, json};
use store::{Batch, Key, Scan, Store, Table};
use support::{World, person};

type Id = [u8; 16];

const CHANNELS: Table<Id, ChannelProfile> = Table::new("channels");
const HANDLES: Table<String, ChannelId> = Table::new("handles");
const CHANNELS_OF: Table<(Id, Id), ()> = Table::new("channels-of");
const COUNTS: Table<Id, Value> = Table::new("counts");
const SIGNALS: Table<(Id, Id), Value> = Table::new("recommend-signals");
const SUBSCRIPTIONS: Table<(Id, Id), Value> = Table::new("recommend-subscriptions");

fn read(mut videos: BTreeMap<VideoId, Value>, event: VideoEvent) -> BTreeMap<VideoId, Value> {
    let mut put = |video: VideoProfile| drop(videos.insert(video.id, serde_json::to_value(video).unwrap()));
    match event {
        VideoEvent::VideoChanged { video }
        | VideoEvent::VideoPublished { video }
        | VideoEvent::ProcessingDone { video }
        | VideoEvent::ProcessingFailed { video, .. } => put(video),
        VideoEvent::VideoDeleted { id, .. } => drop(videos.remove(&id)),
    }
    videos
}

/// A video that is still to be uploaded.
async fn begun(world: &World, owner: &Caller, title: &str) -> VideoId {
    world.create(owner, 100, &[("title", title)]).await.video()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_says_what_the_events_said() {
    let world = World::start().await;
    let ann = person("ann");
    world.open_channel(&ann, "films").await;
    let mut ids = Vec::new();
    for title in ["Rabbit", "Hedgehog", "Squirrel"] {
        ids.push(begun(&world, &ann, title).await);
    }
    // One that is uploaded and is no film.
    world.upload(&ann, b"only text", &[("title", "Notes")]).await;
    world.ask(Method::PATCH, &format!("/api/videos/{}", ids[0]), Some(&ann), Some(json!({ "title": "Hare" }))).await;
    assert_eq!(world.ask(Method::DELETE, &format!("/api/videos/{}", ids[1]), Some(&ann), None).await.status, 204);
    world
        .eventually(async || {
            let told = world.events().await.into_iter().fold(BTreeMap::new(), read);
            let page: SnapshotPage<VideoEvent> =
                world.peer.get("/internal/logs/events/snapshot?consumer=channel").await.unwrap();
            assert!(page.events.iter().all(|event| matches!(event, VideoEvent::VideoChanged { .. })));
            let said = page.events.into_iter().fold(BTreeMap::new(), read);
            // Processing may have gone on between the two.
            told.len() == 3 && said == told && told[&ids[0]]["title"] == "Hare"
        })
        .await;
    world.end().await;
}

fn all<K: Key, V: serde::de::DeserializeOwned>(store: &Store, table: Table<K, V>) -> Vec<(K, V)> {
    store.scan(table, Scan::all()).map(Result::unwrap).collect()
}

fn keys<K: Key, V>(store: &Store, table: Table<K, V>) -> Vec<K> {
    store.scan_keys(table, Scan::all()).map(Result::unwrap).collect()
}

#[derive(Debug, PartialEq)]
struct Kept {
    channels: Vec<(Id, ChannelProfile)>,
    handles: Vec<(String, ChannelId)>,
    channels_of: Vec<(Id, Id)>,
    counts: Vec<(Id, Value)>,
    signals: Vec<((Id, Id), Value)>,
    subscriptions: Vec<((Id, Id), Value)>,
}

fn kept(store: &Store) -> Kept {
    Kept {
        channels: all(store, CHANNELS),
        handles: all(store, HANDLES),
        channels_of: keys(store, CHANNELS_OF),
        counts: all(store, COUNTS),
        signals: all(store, SIGNALS),
        subscriptions: all(store, SUBSCRIPTIONS),
    }
}

async fn drop_all(store: &Store, kept: &Kept) {
    let batch = kept.channels.iter().fold(Batch::new(), |batch, (key, _)| batch.delete(CHANNELS, key));
    let batch = kept.handles.iter().fold(batch, |batch, (key, _)| batch.delete(HANDLES, key));
    let batch = kept.channels_of.iter().fold(batch, |batch, key| batch.delete(CHANNELS_OF, key));
    let batch = kept.counts.iter().fold(batch, |batch, (key, _)| batch.delete(COUNTS, key));
    let batch = kept.signals.iter().fold(batch, |batch, (key, _)| batch.delete(SIGNALS, key));
    let batch = kept.subscriptions.iter().fold(batch, |batch, (key, _)| batch.delete(SUBSCRIPTIONS, key));
    store.write(batch).await.unwrap();
}

async fn settled(world: &World) {
    world
        .eventually(async || {
            let all: Vec<Projection> = world.peer.get("/internal/projections").await.unwrap();
            let queues: Value = world.peer.get("/internal/queues").await.unwrap();
            let of = |owner: &str| all.iter().find(|one| one.owner == owner).unwrap().clone();
            let follows =
                |owner: &str| of(owner).state == ProjectionState::Following && of(owner).cursor == world.head(owner);
            let index = of("video").state == ProjectionState::Following && of("video").behind == 0;
            let is_idle = queues[0]["ready"] == 0 && queues[0]["leased"] == 0;
            follows("channel") && follows("interaction") && index && is_idle
        })
        .await;
}

/// What people did, as the interaction service tells it or says it has it.
fn done(people: &[UserId], videos: &[VideoId]) -> Vec<InteractionEvent> {
    let at = Timestamp::from_ms(1_000_000);
    let mut events = Vec::new();
    for (number, video) in (0..).zip(videos) {
        for user in people {
            let (user, video, viewer) = (*user, *video, Viewer::User(*user));
            events.push(InteractionEvent::Rated { user, video, rating: Rating::Like, at });
            events.push(InteractionEvent::Commented { user, video, at });
            events.push(InteractionEvent::Watched { viewer, video, watched_seconds: 30.0, position_seconds: 30.0, at });
        }
        let likes = people.len() as u64;
        let (video, views, comments) = (*video, number + 10, likes);
        events.push(InteractionEvent::Counts { video, views, likes, dislikes: 0, comments });
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_others_can_be_dropped_and_made_anew() {
    let mut world = World::start().await;
    let (ann, bob) = (person("ann"), person("bob"));
    let films = world.open_channel(&ann, "films").await;
    let sounds = world.open_channel(&bob, "sounds").await;
    let mut videos = Vec::new();
    for title in ["Rabbit", "Hedgehog", "Squirrel"] {
        videos.push(begun(&world, &ann, title).await);
    }
    let theirs = begun(&world, &bob, "Sea").await;
    let people: Vec<UserId> = (0..3).map(|_| UserId::generate()).collect();
    let at = Timestamp::from_ms(1_000_000);
    let subscribed = |user: &UserId| ChannelEvent::Subscribed {
        user: *user,
        channel: films.id,
        owner: films.owner,
        handle: "films".to_owned(),
        notify: NotifyLevel::All,
        new: false,
        at,
    };
    for user in &people {
        world.tell_channel(subscribed(user)).await;
    }
    for event in done(&people, &videos) {
        world.tell_interaction(event).await;
    }
    let guest = Viewer::Page("a-page-of-somebody".to_owned());
    let watched = |seconds: f64| InteractionEvent::Watched {
        viewer: guest.clone(),
        video: videos[0],
        watched_seconds: seconds,
        position_seconds: seconds,
        at,
    };
    world.tell_interaction(watched(20.0)).await;
    settled(&world).await;

    // Somebody ends a subscription, takes an opinion back and forgets a film, the channel of another goes, and one
    // takes over its handle: nobody hears of any of it.
    let heir = ChannelProfile { handle: "sounds".to_owned(), name: "Films and sounds".to_owned(), ..films.clone() };
    let mut channels = vec![ChannelEvent::ChannelChanged { channel: heir.clone() }];
    channels.extend(people[1..].iter().map(subscribed));
    world.channel_has(channels).await;
    let about_the_first = |event: &InteractionEvent| match event {
        InteractionEvent::Rated { user, video, .. } => *user == people[0] && *video == videos[0],
        InteractionEvent::Watched { viewer: Viewer::User(user), video, .. } => {
            *user == people[0] && *video == videos[0]
        }
        _ => false,
    };
    let mut has = done(&people, &videos);
    has.retain(|event| !about_the_first(event));
    world.interaction_has(has).await;

    // First with all rows dropped, but those of the first person and of the channel that goes; then again.
    world.stop_service().await;
    let store = world.store();
    let before = kept(&store);
    assert_eq!((before.channels.len(), before.counts.len(), before.subscriptions.len()), (2, 3, 3));
    assert_eq!(before.signals.len(), 10);
    let spare = |(person, video): &(Id, Id)| *person == people[0].bytes() && *video == videos[0].bytes();
    let is_guest = |person: &Id| people.iter().all(|user| user.bytes() != *person);
    let dropped = Kept {
        channels: before.channels.iter().filter(|(id, _)| *id == films.id.bytes()).cloned().collect(),
        handles: Vec::new(),
        channels_of: Vec::new(),
        counts: before.counts.clone(),
        signals: before.signals.iter().filter(|(key, _)| !spare(key) && !is_guest(&key.0)).cloned().collect(),
        subscriptions: before.subscriptions.iter().filter(|(key, _)| key.0 != people[0].bytes()).cloned().collect(),
    };
    drop_all(&store, &dropped).await;
    store.close().await;
    drop(store);
    for _ in 0..2 {
        world.start_service().await;
        let rebuild = Rebuild { owner: None };
        // The gateway is away here: what is kept of it waits.
        let asked: Vec<Projection> = world.peer.post("/internal/projections/rebuild", &rebuild).await.unwrap();
        assert_eq!(asked.len(), 4);
        settled(&world).await;
        world.eventually(async || world.get(&format!("/api/videos/{theirs}"), &bob).await.status == 404).await;
        let shown = world.video(&ann, videos[0]).await;
        assert_eq!((&shown["channel"]["handle"], &shown["views"]), (&json!("sounds"), &json!(10)), "{shown}");
        let found = world.get("/api/search?q=rabbit", &ann).await.body;
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
        world.stop_service().await;
        let store = world.store();
        let after = kept(&store);
        assert_eq!(after.channels, [(films.id.bytes(), heir.clone())]);
        assert_eq!(after.handles, [("sounds".to_owned(), films.id)]);
        assert_eq!(after.channels_of, [(films.owner.bytes(), films.id.bytes())]);
        assert_eq!(after.counts, before.counts);
        let others = |signals: &[((Id, Id), Value)]| -> Vec<((Id, Id), Value)> {
            // Of what guests watched nobody keeps more than their page did.
            let lasting = |(key, signal): &&((Id, Id), Value)| !spare(key) && signal["guest"] == json!(false);
            signals.iter().filter(lasting).cloned().collect()
        };
        assert_eq!(others(&after.signals), others(&before.signals));
        let left = after.signals.iter().find(|(key, _)| spare(key)).map(|(_, signal)| signal.clone());
        let left = left.unwrap_or_else(|| panic!("the comment is still one"));
        assert_eq!(
            (&left["rating"], &left["watched_seconds"], &left["commented"]),
            (&json!(0), &json!(0.0), &json!(true))
        );
        let subscriptions: Vec<_> =
            before.subscriptions.iter().filter(|(key, _)| key.0 != people[0].bytes()).cloned().collect();
        assert_eq!(after.subscriptions, subscriptions);
        drop(store);
    }
    assert_ne!(sounds.id, films.id);
    world.end().await;
}
