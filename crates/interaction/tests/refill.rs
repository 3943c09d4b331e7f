//! The snapshot of this service says what its events said, and its own projections are made anew from its
//! neighbours' snapshots.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use kit::config::Config;
use kit::http::Routes;
use kit::logs::{LogPage, Rows, SnapshotPage, routes_with_snapshot};
use kit::{Caller, Context, DataFolder, Peer, Shutdown};
use proto::api::account::Role;
use proto::api::interaction::Rating;
use proto::api::projection::{Projection, ProjectionState, Rebuild};
use proto::api::video::{CommentPolicy, Privacy, VideoState};
use proto::events::{EVENTS, GatewayEvent, InteractionEvent, UserProfile, VideoEvent, VideoProfile, Viewer};
use proto::{ChannelId, Timestamp, UserId, VideoId};
use serde_json::{Value, json};
use store::{Batch, Key, Log, Options, Scan, Store, Table};
use tokio::task::JoinHandle;

type Id = [u8; 16];

const GATEWAY_LOG: Log<GatewayEvent> = Log::new(EVENTS, &["interaction"]);
const VIDEO_LOG: Log<VideoEvent> = Log::new(EVENTS, &["interaction"]);
/// What the neighbours have.
const ACCOUNTS: Table<Id, UserProfile> = Table::new("accounts");
const FILMS: Table<Id, VideoProfile> = Table::new("films");

// The service's own tables.
const USERS: Table<Id, UserProfile> = Table::new("users");
const USERNAMES: Table<String, UserId> = Table::new("usernames");
const VIDEOS: Table<Id, VideoProfile> = Table::new("videos");
const RATINGS: Table<(Id, u8, Id), Value> = Table::new("ratings");
const COMMENTS: Table<Id, Value> = Table::new("comments");
const HISTORY: Table<(Id, Id), Value> = Table::new("history");

struct World {
    folder: tempfile::TempDir,
    gateway: Store,
    video: Store,
    neighbours: Shutdown,
    service: Option<(Shutdown, JoinHandle<()>)>,
    peer: Peer,
}

fn context(folder: &tempfile::TempDir, shutdown: &Shutdown) -> Context {
    let mut config = Config::default();
    config.limits.interactions_per_minute = 100_000;
    Context::new(config, DataFolder::open(folder.path()).unwrap(), shutdown.clone())
}

fn serve(context: &Context, name: &'static str, store: &Store, routes: Routes) {
    let (context, store) = (context.clone(), store.clone());
    tokio::spawn(async move { kit::run_service(&context, name, Some(store), routes).await.unwrap() });
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
        serve(&context, "video", &video, routes_with_snapshot(&context, &video, VIDEO_LOG, films));
        let peer = Peer::new(&context, "interaction");
        let mut world = Self { folder, gateway, video, neighbours, service: None, peer };
        world.start_service().await;
        world
    }

    async fn start_service(&mut self) {
        let shutdown = Shutdown::new();
        let context = context(&self.folder, &shutdown);
        let task = tokio::spawn(async move { interaction::run(context).await.unwrap() });
        self.service = Some((shutdown, task));
        self.eventually(async || self.peer.get::<serde_json::Value>("/internal/health").await.is_ok()).await;
    }

    /// Ends the service, and opens what it keeps.
    async fn stop_service(&mut self) -> Store {
        let (shutdown, task) = self.service.take().unwrap();
        shutdown.request();
        task.await.unwrap();
        let folder = DataFolder::open(self.folder.path()).unwrap().service("interaction");
        Store::open(&folder, Options::default()).unwrap()
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
            let is_idle = queues[0]["ready"] == 0 && queues[0]["leased"] == 0 && queues[0]["delayed"] == 0;
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
        let user = profile(id, username);
        let batch = Batch::new().put(ACCOUNTS, &id.bytes(), &user);
        self.gateway.write(batch.append(GATEWAY_LOG, &GatewayEvent::UserChanged { user })).await.unwrap();
        Caller { user: Some(id), username: Some(username.to_owned()), role: Role::User, ..Caller::guest() }
    }

    async fn film(&self, owner: &Caller) -> VideoId {
        let video = VideoProfile {
            id: VideoId::generate(),
            owner: owner.user.unwrap(),
            channel: ChannelId::generate(),
            title: "Film".to_owned(),
            privacy: Privacy::Public,
            state: VideoState::Published,
            comment_policy: CommentPolicy::Open,
            duration: 600.0,
            published_at: Some(Timestamp::from_ms(1_000)),
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

    async fn rate(&self, who: &Caller, video: VideoId, rating: &str) {
        self.ask(Method::PUT, &format!("/api/videos/{video}/rating"), who, json!({ "rating": rating })).await;
    }

    async fn comment(&self, who: &Caller, video: VideoId) {
        self.ask(Method::POST, &format!("/api/videos/{video}/comments"), who, json!({ "text": "Well done" })).await;
    }

    async fn watch(&self, who: &Caller, video: VideoId, seconds: f64) {
        let body = json!({ "sessionId": "a-page-of-mine", "positionSeconds": seconds, "watchedSeconds": seconds });
        self.ask(Method::POST, &format!("/api/videos/{video}/views"), who, body).await;
    }
}

fn profile(id: UserId, username: &str) -> UserProfile {
    let (username, display_name) = (username.to_owned(), username.to_uppercase());
    UserProfile { id, username, display_name, avatar_url: None, role: Role::User, active: true }
}

/// What a reader makes of events.
#[derive(Debug, Default, PartialEq)]
struct Read {
    counts: BTreeMap<Id, [u64; 4]>,
    ratings: BTreeMap<(Id, Id), (Rating, Timestamp)>,
    comments: BTreeSet<(Id, Id)>,
    watched: BTreeMap<(Id, Id), (u64, Timestamp)>,
}

impl Read {
    fn take(mut self, event: InteractionEvent) -> Self {
        match event {
            InteractionEvent::Counts { video, views, likes, dislikes, comments } => {
                self.counts.insert(video.bytes(), [views, likes, dislikes, comments]);
            }
            InteractionEvent::Rated { user, video, rating: Rating::None, .. } => {
                self.ratings.remove(&(user.bytes(), video.bytes()));
            }
            InteractionEvent::Rated { user, video, rating, at } => {
                self.ratings.insert((user.bytes(), video.bytes()), (rating, at));
            }
            InteractionEvent::Commented { user, video, .. } => {
                self.comments.insert((user.bytes(), video.bytes()));
            }
            InteractionEvent::Watched { viewer: Viewer::User(user), video, position_seconds, at, .. } => {
                self.watched.insert((user.bytes(), video.bytes()), (position_seconds as u64, at));
            }
            InteractionEvent::Watched { .. } => {}
            InteractionEvent::Forgotten { user, video } => {
                self.watched
                    .retain(|(who, what), _| *who != user.bytes() || video.is_some_and(|video| video.bytes() != *what));
            }
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snapshot_says_what_the_events_said() {
    let world = World::start().await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    let films = [world.film(&ada).await, world.film(&ada).await, world.film(&bob).await];
    world.settled().await;
    for film in films {
        world.rate(&bob, film, "like").await;
        world.comment(&cid, film).await;
        world.watch(&cid, film, 12.0).await;
    }
    world.rate(&cid, films[0], "dislike").await;
    world.settled().await;
    world.rate(&cid, films[0], "none").await;
    world.rate(&bob, films[1], "dislike").await;
    let path = format!("/api/me/history/{}", films[2]);
    let () = world.peer.call(Method::DELETE, &path, Some(&cid), None::<&()>).await.unwrap();
    world.settled().await;

    let log = "/internal/logs/events?consumer=video&after=0";
    let page: LogPage<InteractionEvent> = world.peer.get(log).await.unwrap();
    let told = page.events.into_iter().fold(Read::default(), |read, event| read.take(event.event));
    let snapshot = "/internal/logs/events/snapshot?consumer=video";
    let page: SnapshotPage<InteractionEvent> = world.peer.get(snapshot).await.unwrap();
    let said = page.events.into_iter().fold(Read::default(), Read::take);
    assert_eq!((told.counts.len(), told.ratings.len(), told.comments.len(), told.watched.len()), (3, 3, 3, 2));
    assert_eq!(said, told);
    // Of what people were told there is no snapshot: a new reader begins at the end.
    let page: SnapshotPage<Value> =
        world.peer.get("/internal/logs/notifications/snapshot?consumer=notification").await.unwrap();
    assert!(page.events.is_empty() && page.sequence > 0);
    world.neighbours.request();
}

fn all<K: Key, V: serde::de::DeserializeOwned>(store: &Store, table: Table<K, V>) -> Vec<(K, V)> {
    store.scan(table, Scan::all()).map(Result::unwrap).collect()
}

fn keys<K: Key, V>(store: &Store, table: Table<K, V>) -> Vec<K> {
    store.scan_keys(table, Scan::all()).map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_others_can_be_dropped_and_made_anew() {
    let mut world = World::start().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cid", "dan"] {
        people.push(world.user(name).await);
    }
    let films = [world.film(&people[0]).await, world.film(&people[0]).await];
    world.settled().await;
    for who in &people[1..] {
        for film in films {
            world.rate(who, film, "like").await;
            world.comment(who, film).await;
            world.watch(who, film, 12.0).await;
        }
    }
    world.settled().await;
    let store = world.stop_service().await;
    let (mut users, names) = (all(&store, USERS), all(&store, USERNAMES));
    let mut videos = all(&store, VIDEOS);
    assert_eq!((users.len(), names.len(), videos.len()), (4, 4, 2));
    // All but one account, which is gone without a word, and whose name somebody else has now.
    let (gone, heir) = (people[3].user.unwrap(), UserId::from_bytes([1; 16]));
    let batch =
        users.iter().filter(|(id, _)| *id != gone.bytes()).fold(Batch::new(), |batch, (id, _)| batch.delete(USERS, id));
    let batch =
        names.iter().filter(|(_, id)| *id != gone).fold(batch, |batch, (name, _)| batch.delete(USERNAMES, name));
    let batch = videos.iter().fold(batch, |batch, (id, _)| batch.delete(VIDEOS, id));
    store.write(batch.put(USERNAMES, &"nobody".to_owned(), &gone)).await.unwrap();
    store.close().await;
    drop(store);
    let there = Batch::new().delete(ACCOUNTS, &gone.bytes()).put(ACCOUNTS, &heir.bytes(), &profile(heir, "dan"));
    world.gateway.write(there).await.unwrap();
    world.video.write(Batch::new().delete(FILMS, &films[1].bytes())).await.unwrap();

    world.start_service().await;
    let asked: Vec<Projection> = world.peer.post("/internal/projections/rebuild", &Rebuild::default()).await.unwrap();
    assert_eq!(asked.len(), 2);
    world.settled().await;
    let path = format!("/api/videos/{}/rating", films[0]);
    assert_eq!(world.ask(Method::GET, &path, &people[1], Value::Null).await, json!({ "rating": "like" }));
    let store = world.stop_service().await;
    users.retain(|(id, _)| *id != gone.bytes());
    users.push((heir.bytes(), profile(heir, "dan")));
    users.sort_by_key(|(id, _)| *id);
    assert_eq!(all(&store, USERS), users);
    let mut names: Vec<(String, UserId)> = users.iter().map(|(_, user)| (user.username.clone(), user.id)).collect();
    names.sort();
    assert_eq!(all(&store, USERNAMES), names);
    videos.retain(|(id, _)| *id == films[0].bytes());
    assert_eq!(all(&store, VIDEOS), videos);
    // What hung on the film and on the account has gone with them, and nothing else.
    let mut left: Vec<(Id, Id)> =
        people[1..3].iter().map(|who| (who.user.unwrap().bytes(), films[0].bytes())).collect();
    left.sort_unstable();
    assert_eq!(keys(&store, HISTORY), left);
    let ratings: Vec<(Id, Id)> = keys(&store, RATINGS).into_iter().map(|(user, _, video)| (user, video)).collect();
    assert_eq!(ratings, left);
    assert_eq!(keys(&store, COMMENTS).len(), 2);
    world.neighbours.request();
}
