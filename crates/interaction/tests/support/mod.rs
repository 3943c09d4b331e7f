//! The service under test with its neighbours: small real servers over real stores, on real Unix sockets.
#![allow(clippy::unwrap_used, missing_docs, dead_code, unreachable_pub)]

pub mod random;

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Request, StatusCode};
use kit::config::Config;
use kit::http::{Body, Routes, filter, reply};
use kit::{Caller, Context, DataFolder, Peer, Shutdown, logs};
use proto::api::account::Role;
use proto::api::channel::ChannelCard;
use proto::api::video::{CommentPolicy, Privacy, VideoCard, VideoState};
use proto::events::{
    EVENTS, GatewayEvent, InteractionEvent, NOTIFICATIONS, Notify, UserProfile, VideoEvent, VideoProfile,
};
use proto::internal::{Cards, CardsQuery, Relations};
use proto::{ChannelId, Problem, Timestamp, UserId, VideoId, codes};
use serde_json::Value;
use store::{Batch, Log, Options, Store};
use tokio::task::JoinHandle;
use warp::Filter;

const GATEWAY_LOG: Log<GatewayEvent> = Log::new(EVENTS, &["interaction"]);
const VIDEO_LOG: Log<VideoEvent> = Log::new(EVENTS, &["interaction"]);

type Shared<K, V> = Arc<Mutex<HashMap<K, V>>>;

/// Everything that a test needs.
pub struct World {
    folder: tempfile::TempDir,
    gateway: Store,
    video: Store,
    users: Shared<UserId, UserProfile>,
    videos: Shared<VideoId, VideoProfile>,
    neighbours: Shutdown,
    service: Mutex<Option<(Shutdown, JoinHandle<()>)>>,
    process: Mutex<Option<Child>>,
    peer: Peer,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    pub async fn start() -> Self {
        let world = Self::without_service().await;
        world.start_service().await;
        world
    }

    /// The neighbours alone.
    pub async fn without_service() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&folder.path().join(name), Options::default()).unwrap();
        let (gateway, video) = (open("gateway"), open("video"));
        let (users, videos) = (Shared::default(), Shared::default());
        let neighbours = Shutdown::new();
        let context = context(&folder, &neighbours);
        let served = gateway_routes(&context, &gateway, &users);
        serve(&context, "gateway", &gateway, served);
        let served = video_routes(&context, &video, &videos);
        serve(&context, "video", &video, served);
        kit_channel(&context);
        let peer = Peer::new(&context, "interaction");
        Self {
            folder,
            gateway,
            video,
            users,
            videos,
            neighbours,
            service: Mutex::default(),
            process: Mutex::default(),
            peer,
        }
    }

    pub async fn start_service(&self) {
        let shutdown = Shutdown::new();
        let context = context(&self.folder, &shutdown);
        let task = tokio::spawn(async move { interaction::run(context).await.unwrap() });
        *self.service.lock().unwrap() = Some((shutdown, task));
        self.eventually(async || self.ask(Method::GET, "/internal/health", None, None).await.status.is_success()).await;
    }

    pub async fn stop_service(&self) {
        let (shutdown, task) = self.service.lock().unwrap().take().unwrap();
        shutdown.request();
        task.await.unwrap();
    }

    /// Ends gateway, channel and video.
    pub async fn stop_neighbours(&self) {
        self.projected().await;
        self.neighbours.request();
        self.eventually(async || {
            Peer::new(&context(&self.folder, &self.neighbours), "channel").get::<()>("/internal/health").await.is_err()
        })
        .await;
    }

    /// Waits until the service has seen all that its neighbours told.
    pub async fn projected(&self) {
        let at_end = |cursors: Vec<(String, u64)>, head: u64| cursors.iter().all(|(_, at)| *at == head);
        let (users, videos) = (self.gateway.log(GATEWAY_LOG), self.video.log(VIDEO_LOG));
        self.eventually(async || {
            at_end(users.cursors().unwrap(), users.head()) && at_end(videos.cursors().unwrap(), videos.head())
        })
        .await;
    }

    /// Starts the service as a process of its own: `test` is a test of this binary that calls [`be_the_service`].
    pub async fn start_process(&self, test: &str) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(SERVICE_FOLDER, self.folder.path());
        // It ends with this process, whose end of the pipe closes, however that ends.
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        *self.process.lock().unwrap() = Some(command.spawn().unwrap());
        self.eventually(async || self.ask(Method::GET, "/internal/health", None, None).await.status.is_success()).await;
    }

    /// `kill -9`
    pub fn kill_process(&self) {
        let mut process = self.process.lock().unwrap().take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// The service, as its neighbours call it.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// A new account, told by the gateway.
    pub async fn user(&self, username: &str) -> Caller {
        let id = UserId::generate();
        let user = UserProfile {
            id,
            username: username.to_owned(),
            display_name: username.to_uppercase(),
            avatar_url: None,
            role: Role::User,
            active: true,
        };
        self.users.lock().unwrap().insert(id, user.clone());
        self.gateway.write(Batch::new().append(GATEWAY_LOG, &GatewayEvent::UserChanged { user })).await.unwrap();
        Caller { user: Some(id), username: Some(username.to_owned()), role: Role::User, ..Caller::guest() }
    }

    pub async fn delete_user(&self, id: UserId) {
        self.users.lock().unwrap().remove(&id);
        self.gateway.write(Batch::new().append(GATEWAY_LOG, &GatewayEvent::UserDeleted { id })).await.unwrap();
    }

    /// A published video.
    pub async fn publish(&self, owner: UserId, channel: ChannelId, published_ms: i64) -> VideoProfile {
        let video = VideoProfile {
            id: VideoId::generate(),
            owner,
            channel,
            title: format!("Video of {published_ms}"),
            privacy: Privacy::Public,
            state: VideoState::Published,
            comment_policy: CommentPolicy::Open,
            duration: 60.0,
            published_at: Some(Timestamp::from_ms(published_ms)),
            thumbnail_url: Some("/media/poster.jpg".to_owned()),
        };
        self.change(video.clone()).await;
        video
    }

    pub async fn change(&self, video: VideoProfile) {
        self.videos.lock().unwrap().insert(video.id, video.clone());
        self.video.write(Batch::new().append(VIDEO_LOG, &VideoEvent::VideoChanged { video })).await.unwrap();
    }

    pub async fn delete_video(&self, video: &VideoProfile) {
        self.videos.lock().unwrap().remove(&video.id);
        let event = VideoEvent::VideoDeleted { id: video.id, owner: video.owner, channel: video.channel };
        self.video.write(Batch::new().append(VIDEO_LOG, &event)).await.unwrap();
    }

    pub async fn ask(&self, method: Method, path: &str, caller: Option<&Caller>, body: Option<Value>) -> Answer {
        self.ask_with(method, path, caller, body, &[]).await
    }

    pub async fn ask_with(
        &self,
        method: Method,
        path: &str,
        caller: Option<&Caller>,
        body: Option<Value>,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        caller.unwrap_or(&Caller::guest()).write(request.headers_mut());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
            *request.body_mut() = Body::full(body.to_string());
        }
        let response = match self.peer.send(request).await {
            Ok(response) => response,
            Err(problem) => {
                let status = StatusCode::from_u16(problem.status).unwrap();
                return Answer { status, headers: HeaderMap::new(), body: serde_json::to_value(&problem).unwrap() };
            }
        };
        let (parts, body) = response.into_parts();
        let bytes = body.read(1 << 24).await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// All pages of a list.
    pub async fn all(&self, path: &str, caller: Option<&Caller>, limit: usize) -> Vec<Value> {
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let page = self.ask(Method::GET, &format!("{path}{mark}limit={limit}{token}"), caller, None).await;
            assert_eq!(page.status, 200, "{page:?}");
            items.extend(page.body["items"].as_array().unwrap().iter().cloned());
            match page.body["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return items,
            }
        }
    }

    /// What the service has told video, from the beginning.
    pub async fn events(&self) -> Vec<InteractionEvent> {
        self.log(EVENTS, "video").await
    }

    /// Whom the service has told what, from the beginning.
    pub async fn told(&self) -> Vec<Notify> {
        self.log(NOTIFICATIONS, "notification").await
    }

    async fn log<E: serde::de::DeserializeOwned>(&self, log: &str, consumer: &str) -> Vec<E> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/internal/logs/{log}?consumer={consumer}&after={after}&wait=0");
            let page: logs::LogPage<E> = self.peer.get(&path).await.unwrap();
            let Some(last) = page.events.last() else { return events };
            after = last.sequence;
            let end = after >= page.head;
            events.extend(page.events.into_iter().map(|event| event.event));
            if end {
                return events;
            }
        }
    }

    /// The last counts that video was told: views, likes, dislikes, comments.
    pub async fn counts(&self, of: VideoId) -> (u64, u64, u64, u64) {
        let last = self.events().await.into_iter().rev().find_map(|event| match event {
            InteractionEvent::Counts { video, views, likes, dislikes, comments } if video == of => {
                Some((views, likes, dislikes, comments))
            }
            _ => None,
        });
        last.unwrap_or_default()
    }

    /// Whether everything that was answered is counted.
    pub async fn idle(&self) -> bool {
        let queues = self.ask(Method::GET, "/internal/queues", None, None).await;
        queues.body[0]["ready"] == 0 && queues.body[0]["leased"] == 0 && queues.body[0]["delayed"] == 0
    }

    pub async fn eventually(&self, condition: impl AsyncFn() -> bool) {
        let waiting = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it did not happen");
    }

    pub async fn end(self) {
        if self.service.lock().unwrap().is_some() {
            self.stop_service().await;
        }
        self.neighbours.request();
    }
}

/// Names the data folder to a process that is to be the service.
const SERVICE_FOLDER: &str = "DJSTREAM_TEST_SERVICE_FOLDER";

/// Runs the service for [`World::start_process`] until it is killed; returns at once in a test run.
pub async fn be_the_service() {
    let Some(folder) = std::env::var_os(SERVICE_FOLDER) else { return };
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let data = DataFolder::open(folder.as_ref()).unwrap();
    let mut config = config();
    config.limits.comments_per_minute = 1_000_000;
    interaction::run(Context::new(config, data, Shutdown::new())).await.unwrap();
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.limits.interactions_per_minute = 1_000_000;
    config.limits.comments_per_minute = 30;
    config
}

fn context(folder: &tempfile::TempDir, shutdown: &Shutdown) -> Context {
    Context::new(config(), DataFolder::open(folder.path()).unwrap(), shutdown.clone())
}

fn serve(context: &Context, name: &'static str, store: &Store, routes: Routes) {
    let (context, store) = (context.clone(), store.clone());
    tokio::spawn(async move { kit::run_service(&context, name, Some(store), routes).await.unwrap() });
}

fn nothing() -> Problem {
    Problem::new(codes::NOT_FOUND, "not here")
}

fn gateway_routes(context: &Context, store: &Store, users: &Shared<UserId, UserProfile>) -> Routes {
    let user = warp::path!("internal" / "users" / UserId).and(filter::with(users.clone())).map(
        |id: UserId, users: Shared<UserId, UserProfile>| {
            reply::answer(users.lock().unwrap().get(&id).cloned().ok_or_else(nothing))
        },
    );
    let by_name = warp::path!("internal" / "users" / "by-name" / String).and(filter::with(users.clone())).map(
        |name: String, users: Shared<UserId, UserProfile>| {
            let found = users.lock().unwrap().values().find(|user| user.username == name).cloned();
            reply::answer(found.ok_or_else(nothing))
        },
    );
    user.or(by_name).unify().or(logs::routes(context, store, GATEWAY_LOG)).unify().boxed()
}

/// A channel service to which everybody subscribes.
fn kit_channel(context: &Context) {
    let relations = warp::path!("internal" / "relations" / UserId / ChannelId / VideoId)
        .map(|_, _, _| reply::answer(Ok::<_, Problem>(Relations { subscribed: true, playlists: Vec::new() })));
    let (context, routes) = (context.clone(), relations.boxed());
    tokio::spawn(async move { kit::run_service(&context, "channel", None, routes).await.unwrap() });
}

fn video_routes(context: &Context, store: &Store, videos: &Shared<VideoId, VideoProfile>) -> Routes {
    let video = warp::path!("internal" / "videos" / VideoId).and(filter::with(videos.clone())).map(
        |id: VideoId, videos: Shared<VideoId, VideoProfile>| {
            reply::answer(videos.lock().unwrap().get(&id).cloned().ok_or_else(nothing))
        },
    );
    let cards = warp::path!("internal" / "cards")
        .and(filter::caller())
        .and(filter::json_body::<CardsQuery>(1 << 20))
        .and(filter::with(videos.clone()))
        .then(async |caller: Caller, query: Result<CardsQuery, Problem>, videos: Shared<VideoId, VideoProfile>| {
            let videos = videos.lock().unwrap();
            let visible = |id: &VideoId| videos.get(id).filter(|it| it.visible_to(caller.user, caller.role)).map(card);
            reply::answer(query.map(|query| Cards { cards: query.ids.iter().filter_map(visible).collect() }))
        });
    video.or(cards).unify().or(logs::routes(context, store, VIDEO_LOG)).unify().boxed()
}

fn card(video: &VideoProfile) -> VideoCard {
    VideoCard {
        id: video.id,
        title: video.title.clone(),
        channel: ChannelCard {
            id: video.channel,
            handle: "of-it".to_owned(),
            name: "Of it".to_owned(),
            avatar_url: None,
            subscribers: 0,
        },
        privacy: video.privacy,
        state: video.state,
        duration: video.duration,
        published_at: video.published_at,
        views: 0,
        thumbnail_url: video.thumbnail_url.clone(),
    }
}
