//! The service under test with its neighbours: small real servers over real stores, on real Unix sockets.
#![allow(clippy::unwrap_used, missing_docs, dead_code, unreachable_pub)]

use std::collections::HashMap;
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
use proto::events::{ChannelEvent, EVENTS, GatewayEvent, UserProfile, VideoEvent, VideoProfile};
use proto::internal::{Cards, CardsQuery};
use proto::{ChannelId, Problem, Timestamp, UserId, VideoId, codes};
use serde_json::Value;
use store::{Batch, Log, Options, Store};
use tokio::task::JoinHandle;
use warp::Filter;

const GATEWAY_LOG: Log<GatewayEvent> = Log::new(EVENTS, &["channel"]);
const VIDEO_LOG: Log<VideoEvent> = Log::new(EVENTS, &["channel"]);

type Shared<K, V> = Arc<Mutex<HashMap<K, V>>>;

/// Everything that a test needs.
pub struct World {
    folder: tempfile::TempDir,
    gateway: Store,
    video: Store,
    users: Shared<UserId, UserProfile>,
    videos: Shared<VideoId, VideoProfile>,
    neighbours: Shutdown,
    service: Option<(Shutdown, JoinHandle<()>)>,
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
        let peer = Peer::new(&context, "channel");
        let mut world = Self { folder, gateway, video, users, videos, neighbours, service: None, peer };
        world.start_service().await;
        world
    }

    pub async fn start_service(&mut self) {
        let shutdown = Shutdown::new();
        let context = context(&self.folder, &shutdown);
        let task = tokio::spawn(async move { channel::run(context).await.unwrap() });
        self.service = Some((shutdown, task));
        self.eventually(async || self.ask(Method::GET, "/internal/health", None, None).await.status == 200).await;
    }

    pub async fn stop_service(&mut self) {
        let (shutdown, task) = self.service.take().unwrap();
        shutdown.request();
        task.await.unwrap();
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
            let page = self.ask(Method::GET, &format!("{path}?limit={limit}{token}"), caller, None).await;
            assert_eq!(page.status, 200, "{page:?}");
            items.extend(page.body["items"].as_array().unwrap().iter().cloned());
            match page.body["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return items,
            }
        }
    }

    /// What the service has told in its log, from the beginning.
    pub async fn events(&self) -> Vec<ChannelEvent> {
        let path = format!("/internal/logs/{EVENTS}?consumer=video&after=0&wait=1");
        let page: logs::LogPage<ChannelEvent> = self.peer.get(&path).await.unwrap();
        page.events.into_iter().map(|event| event.event).collect()
    }

    pub async fn eventually(&self, condition: impl AsyncFn() -> bool) {
        let waiting = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it did not happen");
    }

    pub async fn end(mut self) {
        self.stop_service().await;
        self.neighbours.request();
    }
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

fn context(folder: &tempfile::TempDir, shutdown: &Shutdown) -> Context {
    Context::new(Config::default(), DataFolder::open(folder.path()).unwrap(), shutdown.clone())
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
    user.or(logs::routes(context, store, GATEWAY_LOG)).unify().boxed()
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
