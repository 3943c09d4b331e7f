//! The snapshot of this service says what its events said, and its own projections are made anew from its
//! neighbours' snapshots.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use kit::config::Config;
use kit::http::{Routes, filter, reply};
use kit::logs::{LogPage, Rows, SnapshotPage, routes_with_snapshot};
use kit::{Caller, Context, DataFolder, Peer, Shutdown};
use proto::api::account::Role;
use proto::api::channel::ChannelCard;
use proto::api::projection::{Projection, ProjectionState, Rebuild};
use proto::api::video::{CommentPolicy, Privacy, VideoCard, VideoState};
use proto::events::{ChannelEvent, EVENTS, GatewayEvent, UserProfile, VideoEvent, VideoProfile};
use proto::internal::{Cards, CardsQuery};
use proto::{ChannelId, Problem, Timestamp, UserId, VideoId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Batch, Desc, Key, Log, Options, Scan, Store, Table};
use tokio::task::JoinHandle;
use warp::Filter;

type Id = [u8; 16];

const GATEWAY_LOG: Log<GatewayEvent> = Log::new(EVENTS, &["channel"]);
const VIDEO_LOG: Log<VideoEvent> = Log::new(EVENTS, &["channel"]);
/// What the neighbours have.
const ACCOUNTS: Table<Id, UserProfile> = Table::new("accounts");
const FILMS: Table<Id, VideoProfile> = Table::new("films");

// The service's own tables.
const USERS: Table<Id, UserProfile> = Table::new("users");
const VIDEOS: Table<Id, VideoProfile> = Table::new("videos");
const VIDEOS_OF: Table<(Id, Id), ()> = Table::new("videos-of");
type FeedKey = (Id, Desc<i64>, Desc<Id>);
const FEED: Table<FeedKey, FeedRecord> = Table::new("feed");
const SUBSCRIPTIONS: Table<(Id, Id), Value> = Table::new("subscriptions");
const SAVED: Table<(Id, Id, Id), proto::PlaylistId> = Table::new("saved");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FeedRecord {
    internal: bool,
}

struct World {
    folder: tempfile::TempDir,
    gateway: Store,
    video: Store,
    neighbours: Shutdown,
    service: Option<(Shutdown, JoinHandle<()>)>,
    peer: Peer,
}

fn context(folder: &tempfile::TempDir, shutdown: &Shutdown) -> Context {
    Context::new(Config::default(), DataFolder::open(folder.path()).unwrap(), shutdown.clone())
}

fn serve(context: &Context, name: &'static str, store: &Store, routes: Routes) {
    let (context, store) = (context.clone(), store.clone());
    tokio::spawn(async move { kit::run_service(&context, name, Some(store), routes).await.unwrap() });
}

/// What the video service shows of its films.
fn cards(video: &Store) -> Routes {
    warp::path!("internal" / "cards")
        .and(filter::json_body::<CardsQuery>(1 << 20))
        .and(filter::with(video.clone()))
        .then(async |query: Result<CardsQuery, Problem>, films: Store| {
            let known = |id: &VideoId| films.get(FILMS, &id.bytes()).unwrap().map(card);
            reply::answer(query.map(|query| Cards { cards: query.ids.iter().filter_map(known).collect() }))
        })
        .boxed()
}

fn card(video: VideoProfile) -> VideoCard {
    let (handle, name) = ("of-it".to_owned(), "Of it".to_owned());
    VideoCard {
        id: video.id,
        title: video.title,
        channel: ChannelCard { id: video.channel, handle, name, avatar_url: None, subscribers: 0 },
        privacy: video.privacy,
        state: video.state,
        duration: video.duration,
        published_at: video.published_at,
        views: 0,
        thumbnail_url: video.thumbnail_url,
    }
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&folder.path().join(name), Options::default()).unwrap();
        let (gateway, video, neighbours) = (open("accounts"), open("films"), Shutdown::new());
        let context = context(&folder, &neighbours);
        let accounts = Rows::new().table(ACCOUNTS, |_, _, user| Ok(Some(GatewayEvent::UserChanged { user })));
        serve(&context, "gateway", &gateway, routes_with_snapshot(&context, &gateway, GATEWAY_LOG, accounts));
        let films = Rows::new().table(FILMS, |_, _, video| Ok(Some(VideoEvent::VideoChanged { video })));
        let log = routes_with_snapshot(&context, &video, VIDEO_LOG, films);
        serve(&context, "video", &video, cards(&video).or(log).unify().boxed());
        let peer = Peer::new(&context, "channel");
        let mut world = Self { folder, gateway, video, neighbours, service: None, peer };
        world.start_service().await;
        world
    }

    async fn start_service(&mut self) {
        let shutdown = Shutdown::new();
        let context = context(&self.folder, &shutdown);
        let task = tokio::spawn(async move { channel::run(context).await.unwrap() });
        self.service = Some((shutdown, task));
        self.eventually(async || self.peer.get::<serde_json::Value>("/internal/health").await.is_ok()).await;
    }

    /// Ends the service, and opens what it keeps.
    async fn stop_service(&mut self) -> Store {
        let (shutdown, task) = self.service.take().unwrap();
        shutdown.request();
        task.await.unwrap();
        Store::open(&DataFolder::open(self.folder.path()).unwrap().service("channel"), Options::default()).unwrap()
    }

    async fn eventually(&self, condition: impl AsyncFn() -> bool) {
        let waiting = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it did not happen");
    }

    /// Until all that the neighbours told is known here, nothing is being filled, and no job is left.
    async fn settled(&self) {
        let heads = [self.gateway.log(GATEWAY_LOG).head(), self.video.log(VIDEO_LOG).head()];
        self.eventually(async || {
            let all: Vec<Projection> = self.peer.get("/internal/projections").await.unwrap();
            let queues: Value = self.peer.get("/internal/queues").await.unwrap();
            let is_idle = queues[0]["ready"] == 0 && queues[0]["leased"] == 0;
            let at_end = |one: &Projection, head| one.cursor == head && one.state == ProjectionState::Following;
            let of = |owner: &str| all.iter().find(|one| one.owner == owner);
            is_idle
                && of("gateway").is_some_and(|one| at_end(one, heads[0]))
                && of("video").is_some_and(|one| at_end(one, heads[1]))
        })
        .await;
    }

    async fn user(&self, username: &str) -> Caller {
        let id = UserId::generate();
        let (username, display_name) = (username.to_owned(), username.to_uppercase());
        let user = UserProfile { id, username, display_name, avatar_url: None, role: Role::User, active: true };
        let caller =
            Caller { user: Some(id), username: Some(user.username.clone()), role: Role::User, ..Caller::guest() };
        let batch = Batch::new().put(ACCOUNTS, &id.bytes(), &user);
        self.gateway.write(batch.append(GATEWAY_LOG, &GatewayEvent::UserChanged { user })).await.unwrap();
        caller
    }

    async fn film(&self, owner: &Caller, channel: ChannelId, published_ms: i64) -> VideoId {
        let video = VideoProfile {
            id: VideoId::generate(),
            owner: owner.user.unwrap(),
            channel,
            title: "Film".to_owned(),
            privacy: Privacy::Public,
            state: VideoState::Published,
            comment_policy: CommentPolicy::Open,
            duration: 60.0,
            published_at: Some(Timestamp::from_ms(published_ms)),
            thumbnail_url: None,
        };
        let id = video.id;
        let batch = Batch::new().put(FILMS, &id.bytes(), &video);
        self.video.write(batch.append(VIDEO_LOG, &VideoEvent::VideoPublished { video })).await.unwrap();
        id
    }

    async fn ask(&self, method: Method, path: &str, caller: &Caller, body: Value) -> Value {
        self.peer.call(method, path, Some(caller), Some(&body)).await.unwrap()
    }

    async fn channel(&self, owner: &Caller, handle: &str) -> ChannelId {
        let body = json!({ "handle": handle, "name": handle });
        let made = self.ask(Method::POST, "/api/channels", owner, body).await;
        made["id"].as_str().unwrap().parse().unwrap()
    }

    async fn subscribe(&self, who: &Caller, handle: &str, notify: &str) {
        let path = format!("/api/channels/{handle}/subscription");
        self.ask(Method::PUT, &path, who, json!({ "notify": notify })).await;
    }

    async fn keep(&self, who: &Caller, videos: &[VideoId]) {
        let list = self.ask(Method::POST, "/api/playlists", who, json!({ "title": "Mine" })).await;
        for video in videos {
            let path = format!("/api/playlists/{}/items", list["id"].as_str().unwrap());
            self.ask(Method::POST, &path, who, json!({ "videoId": video })).await;
        }
    }
}

/// What a reader makes of events.
#[derive(Debug, Default, PartialEq)]
struct Read {
    channels: BTreeMap<Id, proto::events::ChannelProfile>,
    subscriptions: BTreeMap<(Id, Id), (UserId, String, Value, Timestamp)>,
    saved: BTreeSet<(Id, Id)>,
}

impl Read {
    fn take(mut self, event: ChannelEvent) -> Self {
        match event {
            ChannelEvent::ChannelChanged { channel } => drop(self.channels.insert(channel.id.bytes(), channel)),
            ChannelEvent::ChannelDeleted { id } => drop(self.channels.remove(&id.bytes())),
            ChannelEvent::Subscribed { user, channel, owner, handle, notify, at, .. } => {
                let key = (user.bytes(), channel.bytes());
                // Who changes what they are notified of subscribed before.
                let since = self.subscriptions.get(&key).map_or(at, |known| known.3);
                self.subscriptions.insert(key, (owner, handle, serde_json::to_value(notify).unwrap(), since));
            }
            ChannelEvent::Unsubscribed { user, channel } => {
                self.subscriptions.remove(&(user.bytes(), channel.bytes()));
            }
            ChannelEvent::Saved { user, video, .. } => drop(self.saved.insert((user.bytes(), video.bytes()))),
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snapshot_says_what_the_events_said() {
    let world = World::start().await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    world.settled().await;
    let films = world.channel(&ada, "films").await;
    let sounds = world.channel(&bob, "sounds").await;
    let videos = [world.film(&ada, films, 1_000).await, world.film(&bob, sounds, 2_000).await];
    world.settled().await;
    world.subscribe(&bob, "films", "all").await;
    world.subscribe(&cid, "films", "all").await;
    world.subscribe(&cid, "films", "none").await;
    world.subscribe(&cid, "sounds", "all").await;
    let nothing = Caller { ..cid.clone() };
    let () = world
        .peer
        .call(Method::DELETE, "/api/channels/sounds/subscription", Some(&nothing), None::<&()>)
        .await
        .unwrap();
    world.ask(Method::PATCH, "/api/channels/sounds", &bob, json!({ "name": "Sounds of the sea" })).await;
    world.keep(&cid, &videos).await;
    world.settled().await;

    let log = "/internal/logs/events?consumer=video&after=0";
    let page: LogPage<ChannelEvent> = world.peer.get(log).await.unwrap();
    let told = page.events.into_iter().fold(Read::default(), |read, event| read.take(event.event));
    let page: SnapshotPage<ChannelEvent> =
        world.peer.get("/internal/logs/events/snapshot?consumer=video").await.unwrap();
    assert!(page.events.iter().all(|event| !matches!(event, ChannelEvent::Subscribed { new: true, .. })));
    let snapshot = page.events.into_iter().fold(Read::default(), Read::take);
    assert_eq!((told.channels.len(), told.subscriptions.len(), told.saved.len()), (2, 2, 2));
    assert_eq!(snapshot, told);
    assert!(world.peer.get::<Value>("/internal/logs/events/snapshot?consumer=stranger").await.is_err());
    world.neighbours.request();
}

fn all<K: Key, V: serde::de::DeserializeOwned>(store: &Store, table: Table<K, V>) -> Vec<(K, V)> {
    store.scan(table, Scan::all()).map(Result::unwrap).collect()
}

#[derive(Debug, PartialEq)]
struct Kept {
    users: Vec<(Id, UserProfile)>,
    videos: Vec<(Id, VideoProfile)>,
    videos_of: Vec<(Id, Id)>,
    feed: Vec<(FeedKey, FeedRecord)>,
}

fn kept(store: &Store) -> Kept {
    Kept {
        users: all(store, USERS),
        videos: all(store, VIDEOS),
        videos_of: store.scan_keys(VIDEOS_OF, Scan::all()).map(Result::unwrap).collect(),
        feed: store.scan(FEED, Scan::all()).map(Result::unwrap).collect(),
    }
}

/// Removes all that is projected.
async fn drop_all(store: &Store, kept: &Kept) {
    let batch = kept.users.iter().fold(Batch::new(), |batch, (id, _)| batch.delete(USERS, id));
    let batch = kept.videos.iter().fold(batch, |batch, (id, _)| batch.delete(VIDEOS, id));
    let batch = kept.videos_of.iter().fold(batch, |batch, key| batch.delete(VIDEOS_OF, key));
    let batch = kept.feed.iter().fold(batch, |batch, (key, _)| batch.delete(FEED, key));
    store.write(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_others_can_be_dropped_and_made_anew() {
    let mut world = World::start().await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    world.settled().await;
    let films = world.channel(&ada, "films").await;
    let mut videos = Vec::new();
    for published_ms in 1..6 {
        videos.push(world.film(&ada, films, published_ms * 1_000).await);
    }
    world.settled().await;
    for who in [&bob, &cid] {
        world.subscribe(who, "films", "all").await;
        world.keep(who, &videos).await;
    }
    world.settled().await;
    let store = world.stop_service().await;
    let before = kept(&store);
    assert_eq!((before.users.len(), before.videos.len(), before.feed.len()), (3, 5, 5));
    drop_all(&store, &before).await;
    // Besides, two rows that no event would ever remove.
    let (nowhere, now) = ([9; 16], Desc(77));
    let litter = Batch::new().put(VIDEOS_OF, &(nowhere, videos[0].bytes()), &()).put(
        FEED,
        &(nowhere, now, Desc(videos[0].bytes())),
        &FeedRecord { internal: false },
    );
    store.write(litter).await.unwrap();
    store.close().await;
    drop(store);
    // Nobody ever hears of these.
    world.gateway.write(Batch::new().delete(ACCOUNTS, &cid.user.unwrap().bytes())).await.unwrap();
    world.video.write(Batch::new().delete(FILMS, &videos[4].bytes())).await.unwrap();

    world.start_service().await;
    let asked: Vec<Projection> = world.peer.post("/internal/projections/rebuild", &Rebuild::default()).await.unwrap();
    assert_eq!(asked.len(), 2);
    world.settled().await;
    let store = world.stop_service().await;
    let after = kept(&store);
    let Kept { mut users, mut videos_of, mut feed, videos: mut known } = before;
    let gone = (cid.user.unwrap().bytes(), videos[4].bytes());
    users.retain(|(id, _)| *id != gone.0);
    known.retain(|(id, _)| *id != gone.1);
    videos_of.retain(|(_, id)| *id != gone.1);
    feed.retain(|((_, _, id), _)| id.0 != gone.1);
    assert_eq!(after, Kept { users, videos: known, videos_of, feed });
    let subscribers: Vec<(Id, Id)> = store.scan_keys(SUBSCRIPTIONS, Scan::all()).map(Result::unwrap).collect();
    assert_eq!(subscribers, [(bob.user.unwrap().bytes(), films.bytes())]);
    let saved: Vec<(Id, Id, Id)> = store.scan_keys(SAVED, Scan::all()).map(Result::unwrap).collect();
    assert_eq!(saved.len(), 4, "what is gone has left the playlist");
    assert!(saved.iter().all(|(owner, video, _)| *owner == bob.user.unwrap().bytes() && *video != gone.1));
    world.neighbours.request();
}
