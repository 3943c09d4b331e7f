//! The service under test with its neighbours: small real servers over real stores, on real Unix sockets;
//! real ffmpeg on films made on the spot.
#![allow(clippy::unwrap_used, missing_docs, dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Request, StatusCode};
use kit::config::Config;
use kit::http::{Body, Routes, filter, reply};
use kit::{Caller, Context, DataFolder, Peer, Shutdown, logs};
use proto::api::Page;
use proto::api::account::Role;
use proto::api::channel::Channel;
use proto::events::{ChannelEvent, ChannelProfile, EVENTS, InteractionEvent, VideoEvent};
use proto::internal::MediaGrant;
use proto::{ChannelId, Problem, Timestamp, UserId, VideoId, codes};
use serde_json::Value;
use store::{Batch, Log, Options, Store, Table};
use tokio::task::JoinHandle;
use warp::Filter;

const CHANNEL_LOG: Log<ChannelEvent> = Log::new(EVENTS, &["video"]);
const INTERACTION_LOG: Log<InteractionEvent> = Log::new(EVENTS, &["video"]);

/// What the snapshots of the neighbours are made of: one row for each event.
const PLACES: Table<u64, ()> = Table::new("places");

type Said<E> = Arc<Mutex<Vec<E>>>;

/// A snapshot of these events.
fn rows<E: Clone + Send + 'static>(said: &Said<E>) -> logs::Rows<E> {
    let said = said.clone();
    logs::Rows::new()
        .keys(PLACES, move |_, at| Ok(said.lock().unwrap().get(usize::try_from(at).unwrap_or(usize::MAX)).cloned()))
}

async fn say<E>(store: &Store, said: &Said<E>, events: Vec<E>) {
    let batch = (0..events.len() as u64).fold(Batch::new(), |batch, at| batch.put(PLACES, &at, &()));
    *said.lock().unwrap() = events;
    store.write(batch).await.unwrap();
}

type Channels = Arc<Mutex<HashMap<String, ChannelProfile>>>;

/// Everything that a test needs.
pub struct World {
    pub folder: tempfile::TempDir,
    pub channel: Store,
    interaction: Store,
    channel_says: Said<ChannelEvent>,
    interaction_says: Said<InteractionEvent>,
    channels: Channels,
    neighbours: Shutdown,
    config: Config,
    service: Option<(Shutdown, JoinHandle<()>)>,
    pub peer: Peer,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn video(&self) -> VideoId {
        self.header("djstream-video").parse().unwrap()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::neighbours(configure).await;
        world.start_service().await;
        world
    }

    /// Without the service itself.
    pub async fn neighbours(configure: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&folder.path().join(name), Options::default()).unwrap();
        let (channel, interaction) = (open("channel"), open("interaction"));
        let channels = Channels::default();
        let (channel_says, interaction_says) = (Said::default(), Said::default());
        let mut config = Config::default();
        configure(&mut config);
        let neighbours = Shutdown::new();
        let context = context(folder.path(), &config, &neighbours);
        serve(&context, "channel", &channel, channel_routes(&context, &channel, &channels, &channel_says));
        let said = rows(&interaction_says);
        let served = logs::routes_with_snapshot(&context, &interaction, INTERACTION_LOG, said);
        serve(&context, "interaction", &interaction, served);
        let peer = Peer::new(&context, "video");
        Self {
            folder,
            channel,
            interaction,
            channel_says,
            interaction_says,
            channels,
            neighbours,
            config,
            service: None,
            peer,
        }
    }

    pub async fn start_service(&mut self) {
        let shutdown = Shutdown::new();
        let context = context(self.folder.path(), &self.config, &shutdown);
        let task = tokio::spawn(async move { video::run_with_helper(context, helper()).await.unwrap() });
        self.service = Some((shutdown, task));
        self.ready().await;
    }

    pub async fn ready(&self) {
        self.eventually(async || self.ask(Method::GET, "/internal/health", None, None).await.status.is_success()).await;
    }

    pub async fn stop_service(&mut self) {
        let (shutdown, task) = self.service.take().unwrap();
        shutdown.request();
        task.await.unwrap();
    }

    /// For the next start of the service.
    pub fn configure(&mut self, configure: impl FnOnce(&mut Config)) {
        configure(&mut self.config);
    }

    pub fn media(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    /// A channel of `caller`'s, told by its owner.
    pub async fn open_channel(&self, caller: &Caller, handle: &str) -> ChannelProfile {
        let channel = ChannelProfile {
            id: ChannelId::generate(),
            owner: caller.user.unwrap(),
            handle: handle.to_owned(),
            name: handle.to_uppercase(),
            avatar_url: None,
            subscribers: 3,
        };
        self.channels.lock().unwrap().insert(handle.to_owned(), channel.clone());
        self.tell_channel(ChannelEvent::ChannelChanged { channel: channel.clone() }).await;
        channel
    }

    pub async fn tell_channel(&self, event: ChannelEvent) {
        self.channel.write(Batch::new().append(CHANNEL_LOG, &event)).await.unwrap();
    }

    /// What the channel service has now; nobody is told.
    pub async fn channel_has(&self, events: Vec<ChannelEvent>) {
        say(&self.channel, &self.channel_says, events).await;
    }

    /// What the interaction service has now; nobody is told.
    pub async fn interaction_has(&self, events: Vec<InteractionEvent>) {
        say(&self.interaction, &self.interaction_says, events).await;
    }

    /// How many events a neighbour has told.
    pub fn head(&self, owner: &str) -> u64 {
        match owner {
            "channel" => self.channel.log(CHANNEL_LOG).head(),
            _ => self.interaction.log(INTERACTION_LOG).head(),
        }
    }

    /// The service's own store, while it does not run.
    pub fn store(&self) -> Store {
        let folder = DataFolder::open(self.folder.path()).unwrap().service("video");
        Store::open(&folder, Options::default()).unwrap()
    }

    pub async fn tell_interaction(&self, event: InteractionEvent) {
        self.interaction.write(Batch::new().append(INTERACTION_LOG, &event)).await.unwrap();
    }

    pub async fn ask(&self, method: Method, path: &str, caller: Option<&Caller>, body: Option<Value>) -> Answer {
        let body = body.map(|body| Body::full(body.to_string()));
        let json = [("content-type", "application/json")];
        let headers: &[(&str, &str)] = if body.is_some() { &json } else { &[] };
        self.send(method, path, caller, headers, body.unwrap_or_else(Body::empty)).await
    }

    pub async fn get(&self, path: &str, caller: &Caller) -> Answer {
        self.ask(Method::GET, path, Some(caller), None).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        caller: Option<&Caller>,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        caller.unwrap_or(&Caller::guest()).write(request.headers_mut());
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
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
        let json = parts.headers.get(CONTENT_TYPE).is_some() && !bytes.is_empty();
        let body = if json { serde_json::from_slice(&bytes).unwrap() } else { Value::Null };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// `POST /api/uploads`
    pub async fn create(&self, caller: &Caller, length: usize, metadata: &[(&str, &str)]) -> Answer {
        let (length, metadata) = (length.to_string(), encoded(metadata));
        let headers =
            [("tus-resumable", "1.0.0"), ("upload-length", length.as_str()), ("upload-metadata", metadata.as_str())];
        self.send(Method::POST, "/api/uploads", Some(caller), &headers, Body::empty()).await
    }

    /// `PATCH`
    pub async fn append(&self, caller: &Caller, location: &str, offset: usize, bytes: Vec<u8>) -> Answer {
        let offset = offset.to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-offset", offset.as_str()),
            ("content-type", "application/offset+octet-stream"),
        ];
        self.send(Method::PATCH, location, Some(caller), &headers, Body::full(bytes)).await
    }

    /// `HEAD`
    pub async fn position(&self, caller: &Caller, location: &str) -> Answer {
        self.send(Method::HEAD, location, Some(caller), &[("tus-resumable", "1.0.0")], Body::empty()).await
    }

    /// A whole upload in one go; returns the video's id.
    pub async fn upload(&self, caller: &Caller, film: &[u8], metadata: &[(&str, &str)]) -> VideoId {
        let created = self.create(caller, film.len(), metadata).await;
        assert_eq!(created.status, 201, "{created:?}");
        let sent = self.append(caller, created.header("location"), 0, film.to_vec()).await;
        assert_eq!(sent.status, 204, "{sent:?}");
        assert_eq!(sent.video(), created.video());
        created.video()
    }

    /// An upload that is waited for until it can be played.
    pub async fn publish(&self, caller: &Caller, film: &[u8], metadata: &[(&str, &str)]) -> VideoId {
        let id = self.upload(caller, film, metadata).await;
        self.until_state(caller, id, "published").await;
        id
    }

    pub async fn video(&self, caller: &Caller, id: VideoId) -> Value {
        let answer = self.get(&format!("/api/videos/{id}"), caller).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub async fn until_state(&self, caller: &Caller, id: VideoId, state: &str) -> Value {
        self.until(caller, id, |video| video["state"] == state).await
    }

    pub async fn until(&self, caller: &Caller, id: VideoId, wanted: impl Fn(&Value) -> bool) -> Value {
        let patience = tokio::time::Instant::now();
        loop {
            let video = self.video(caller, id).await;
            if wanted(&video) {
                return video;
            }
            if patience.elapsed() > Duration::from_secs(60) {
                let steps = self.get(&format!("/api/videos/{id}/processing"), caller).await;
                panic!("it did not happen: {video} {steps:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until every step is done or failed.
    pub async fn until_settled(&self, caller: &Caller, id: VideoId) -> Value {
        let path = format!("/api/videos/{id}/processing");
        let patience = tokio::time::Instant::now();
        loop {
            let answer = self.get(&path, caller).await;
            let jobs = answer.body["jobs"].as_array().cloned().unwrap_or_default();
            if !jobs.is_empty() && jobs.iter().all(|job| job["state"] == "done" || job["state"] == "failed") {
                return answer.body;
            }
            assert!(patience.elapsed() < Duration::from_secs(90), "it does not settle: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn grant(&self, caller: &Caller, id: VideoId) -> Option<MediaGrant> {
        let answer = self.get(&format!("/internal/media-grants/{id}"), caller).await;
        (answer.status == 200).then(|| serde_json::from_value(answer.body).unwrap())
    }

    /// What the service has told in its log, from the beginning.
    pub async fn events(&self) -> Vec<VideoEvent> {
        let path = format!("/internal/logs/{EVENTS}?consumer=notification&after=0");
        let page: logs::LogPage<VideoEvent> = self.peer.get(&path).await.unwrap();
        page.events.into_iter().map(|event| event.event).collect()
    }

    pub async fn eventually(&self, condition: impl AsyncFn() -> bool) {
        let waiting = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it did not happen");
    }

    pub async fn end(mut self) {
        if self.service.is_some() {
            self.stop_service().await;
        }
        self.neighbours.request();
    }
}

/// The executable that becomes ffmpeg.
pub fn helper() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_djstream-media-helper"))
}

pub fn person(username: &str) -> Caller {
    let (user, username) = (Some(UserId::generate()), Some(username.to_owned()));
    Caller { user, username, role: Role::User, ..Caller::guest() }
}

pub fn with_role(role: Role) -> Caller {
    Caller { role, ..person("somebody") }
}

pub fn encoded(metadata: &[(&str, &str)]) -> String {
    let encode = |value: &str| base64::engine::general_purpose::STANDARD.encode(value);
    metadata.iter().map(|(key, value)| format!("{key} {}", encode(value))).collect::<Vec<_>>().join(",")
}

pub fn context(folder: &Path, config: &Config, shutdown: &Shutdown) -> Context {
    Context::new(config.clone(), DataFolder::open(folder).unwrap(), shutdown.clone())
}

fn serve(context: &Context, name: &'static str, store: &Store, routes: Routes) {
    let (context, store) = (context.clone(), store.clone());
    tokio::spawn(async move { kit::run_service(&context, name, Some(store), routes).await.unwrap() });
}

fn channel_routes(context: &Context, store: &Store, channels: &Channels, said: &Said<ChannelEvent>) -> Routes {
    let nothing = || Problem::new(codes::NOT_FOUND, "not here");
    let by_handle = warp::path!("internal" / "channels" / "by-handle" / String)
        .and(filter::with(channels.clone()))
        .map(move |handle: String, channels: Channels| {
            reply::answer(channels.lock().unwrap().get(&handle).cloned().ok_or_else(nothing))
        });
    let own = warp::path!("api" / "me" / "channels").and(filter::caller()).and(filter::with(channels.clone())).map(
        |caller: Caller, channels: Channels| {
            let channels = channels.lock().unwrap();
            let items = channels.values().filter(|channel| caller.is(channel.owner)).map(public).collect();
            reply::json(StatusCode::OK, &Page { items, next_page_token: None })
        },
    );
    by_handle.or(own).unify().or(logs::routes_with_snapshot(context, store, CHANNEL_LOG, rows(said))).unify().boxed()
}

fn public(channel: &ChannelProfile) -> Channel {
    Channel {
        id: channel.id,
        handle: channel.handle.clone(),
        name: channel.name.clone(),
        description: String::new(),
        support: String::new(),
        links: Vec::new(),
        owner: "somebody".to_owned(),
        subscribers: channel.subscribers,
        videos: 0,
        avatar_url: None,
        banner_url: None,
        created_at: Timestamp::from_ms(0),
        me: None,
    }
}

/// A film that browsers play.
pub fn film(seconds: u32, size: &str) -> Vec<u8> {
    made(seconds, size, "mp4", &["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50"])
}

pub fn made(seconds: u32, size: &str, extension: &str, codec: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("film.{extension}"));
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate=25:duration={seconds}"))
        .args(["-f", "lavfi", "-i"])
        .arg(format!("sine=frequency=440:duration={seconds}"))
        .args(codec)
        .args(["-c:a", "aac"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path).unwrap()
}
