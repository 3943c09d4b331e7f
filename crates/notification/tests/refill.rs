//! What this service keeps of others is made anew from their snapshots, and nobody is told of anything by that.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{PATIENCE, World, notify, profile, video};
use kit::clock;
use proto::api::channel::NotifyLevel;
use proto::api::notification::NotificationKind;
use proto::api::projection::{Projection, ProjectionState, Rebuild};
use proto::events::{ChannelEvent, ChannelProfile, GatewayEvent, VideoEvent};
use proto::{ChannelId, UserId, VideoId};
use serde_json::Value;
use store::{Batch, Key, Scan, Store, Table};

type Id = [u8; 16];

const PEOPLE: Table<Id, Value> = Table::new("people");
const CHANNELS: Table<Id, Value> = Table::new("channels");
const VIDEOS: Table<Id, Value> = Table::new("videos");
const SUBSCRIBERS: Table<(Id, Id), Value> = Table::new("subscribers");

fn keys<K: Key + Clone>(store: &Store, table: Table<K, Value>) -> Vec<K> {
    store.scan_keys(table, Scan::all()).map(Result::unwrap).collect()
}

type Kept = (Vec<Id>, Vec<Id>, Vec<Id>, Vec<(Id, Id)>);

fn kept(store: &Store) -> Kept {
    (keys(store, PEOPLE), keys(store, CHANNELS), keys(store, VIDEOS), keys(store, SUBSCRIBERS))
}

fn film(profile: &proto::events::VideoProfile) -> VideoEvent {
    VideoEvent::VideoChanged { video: profile.clone() }
}

async fn settled(world: &World) {
    let wait = async {
        loop {
            let all: Vec<Projection> = world.peer(0).get("/internal/projections").await.unwrap();
            let queues: Value = world.peer(0).get("/internal/queues").await.unwrap();
            let follows =
                |one: &Projection| one.state == ProjectionState::Following && one.cursor == world.head(&one.owner);
            if all.len() == 4 && all.iter().all(follows) && queues[0]["ready"] == 0 && queues[0]["leased"] == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it does not settle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_others_can_be_dropped_and_made_anew_and_nobody_is_told() {
    let world = World::new(|_, _| {});
    let home = world.start(0).await;
    let people: Vec<UserId> = (0..5).map(|_| UserId::generate()).collect();
    let (owner, fan) = (people[0], people[1]);
    let users: Vec<_> = people.iter().enumerate().map(|(at, id)| profile(*id, &format!("user{at}"))).collect();
    let events: Vec<_> = users.iter().map(|user| GatewayEvent::UserChanged { user: user.clone() }).collect();
    world.gateway(&events).await;
    let channel = ChannelProfile {
        id: ChannelId::generate(),
        owner,
        handle: "meadow".to_owned(),
        name: "Meadow".to_owned(),
        avatar_url: None,
        subscribers: 4,
    };
    let subscribed = |user: UserId, new| ChannelEvent::Subscribed {
        user,
        channel: channel.id,
        owner,
        handle: "meadow".to_owned(),
        notify: NotifyLevel::All,
        new,
        at: clock::now(),
    };
    world.channel(&[ChannelEvent::ChannelChanged { channel: channel.clone() }]).await;
    settled(&world).await;
    world.channel(&people[1..].iter().map(|user| subscribed(*user, true)).collect::<Vec<_>>()).await;
    settled(&world).await;
    let films: Vec<_> = (0..3).map(|_| video(owner, channel.id)).collect();
    let published: Vec<_> = films.iter().map(|video| VideoEvent::VideoPublished { video: video.clone() }).collect();
    world.video(&published).await;
    world.video(&[VideoEvent::ProcessingDone { video: films[0].clone() }]).await;
    world.interaction(&[notify(owner, NotificationKind::Comment, fan, films[2].id)]).await;
    settled(&world).await;
    let inboxes = async || {
        let mut all = Vec::new();
        for user in &people {
            all.push(world.inbox(*user).await.into_iter().map(|entry| (entry.id, entry.kind)).collect::<Vec<_>>());
        }
        all
    };
    let before = inboxes().await;
    let sizes: Vec<usize> = before.iter().map(Vec::len).collect();
    assert_eq!(sizes, [6, 3, 3, 3, 3]);

    // The last account, the last film and one subscription end, and nobody hears of it.
    world
        .snapshot_of_gateway(users[..4].iter().map(|user| GatewayEvent::UserChanged { user: user.clone() }).collect())
        .await;
    let mut channels = vec![ChannelEvent::ChannelChanged { channel: channel.clone() }];
    channels.extend(people[1..3].iter().map(|user| subscribed(*user, false)));
    world.snapshot_of_channel(channels).await;
    world.snapshot_of_video(films[..2].iter().map(film).collect()).await;
    home.stop().await;
    let store = world.store();
    let had = kept(&store);
    let batch = had.0.iter().fold(Batch::new(), |batch, id| batch.delete(PEOPLE, id));
    let batch = had.1.iter().fold(batch, |batch, id| batch.delete(CHANNELS, id));
    let batch = had.2.iter().fold(batch, |batch, id| batch.delete(VIDEOS, id));
    // Of the subscriptions one is lost, the others stay.
    store.write(batch.delete(SUBSCRIBERS, &had.3[0])).await.unwrap();
    store.close().await;
    drop(store);

    let home = world.start(0).await;
    let asked: Vec<Projection> =
        world.peer(0).post("/internal/projections/rebuild", &Rebuild::default()).await.unwrap();
    assert_eq!(asked.len(), 3, "what people were told cannot be made anew: {asked:?}");
    settled(&world).await;
    let after = inboxes().await;
    let without = |inbox: &[(proto::NotificationId, NotificationKind)],
                   less: &[(proto::NotificationId, NotificationKind)]| {
        inbox.iter().all(|entry| less.contains(entry))
    };
    // Nothing came; what was about the film that is gone, and all of the account that is gone, has left.
    assert!(after.iter().zip(&before).all(|(after, before)| without(after, before)), "{after:?} {before:?}");
    let sizes: Vec<usize> = after.iter().map(Vec::len).collect();
    assert_eq!(sizes[1..], [2, 2, 2, 0]);
    assert!(world.inbox(owner).await.iter().all(|entry| entry.video_id != Some(films[2].id)));
    home.stop().await;
    let store = world.store();
    let has = kept(&store);
    let ids = |ids: &mut dyn Iterator<Item = Id>| {
        let mut ids: Vec<Id> = ids.collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(has.0, ids(&mut people[..4].iter().map(|id| id.bytes())));
    assert_eq!(has.1, [channel.id.bytes()]);
    assert_eq!(has.2, ids(&mut films[..2].iter().map(|film| VideoId::bytes(film.id))));
    let mut subscribers: Vec<_> = people[1..3].iter().map(|user| (channel.id.bytes(), user.bytes())).collect();
    subscribers.sort_unstable();
    assert_eq!(has.3, subscribers);
}
