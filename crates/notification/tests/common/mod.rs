//! The service as it runs, in this process: the home and one more, with real stores of the other services
//! whose logs are served on real sockets.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use http::{Method, Request};
use kit::config::Config;
use kit::http::{Routes, ServeOptions, UnixSocket, serve_unix, service};
use kit::{Caller, Context, DataFolder, Peer, Shutdown, clock, logs};
use proto::api::Page;
use proto::api::account::Role;
use proto::api::notification::{Notification, NotificationKind, UnreadCount};
use proto::api::video::{CommentPolicy, Privacy, VideoState};
use proto::events::{ChannelEvent, GatewayEvent, Notify, UserProfile, VideoEvent, VideoProfile};
use proto::{ChannelId, CommentId, NotificationId, Problem, UserId, VideoId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Batch, Log, Options, Store, Table};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub const PATIENCE: Duration = Duration::from_secs(20);

const GATEWAY: Log<GatewayEvent> = Log::new("events", &["notification"]);
const CHANNEL: Log<ChannelEvent> = Log::new("events", &["notification"]);
const VIDEO: Log<VideoEvent> = Log::new("events", &["notification"]);
const INTERACTION: Log<Notify> = Log::new("notifications", &["notification"]);

/// Another service, as far as this one can see it: its log.
struct Owner<E> {
    store: Store,
    log: Log<E>,
    snapshot: Arc<Mutex<Vec<E>>>,
}

/// What an owner's snapshot is made of: one row for each of its events.
const PLACES: Table<u64, ()> = Table::new("places");

impl<E: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Owner<E> {
    fn new(context: &Context, name: &'static str, log: Log<E>) -> Self {
        let store = Store::open(&context.data.service(name), Options::default()).unwrap();
        let snapshot = Arc::new(Mutex::new(Vec::<E>::new()));
        let events = snapshot.clone();
        let rows = logs::Rows::new().keys(PLACES, move |_, at| {
            Ok(events.lock().unwrap().get(usize::try_from(at).unwrap_or(usize::MAX)).cloned())
        });
        let routes: Routes = logs::routes_with_snapshot(context, &store, log, rows);
        let socket = UnixSocket::bind(&context.data.socket(name)).unwrap();
        let (options, shutdown) = (ServeOptions::service(&context.config), context.shutdown.clone());
        tokio::spawn(async move { serve_unix(socket, service(routes), options, &shutdown).await });
        Self { store, log, snapshot }
    }

    async fn has(&self, events: Vec<E>) {
        let batch = (0..events.len() as u64).fold(Batch::new(), |batch, at| batch.put(PLACES, &at, &()));
        *self.snapshot.lock().unwrap() = events;
        self.store.write(batch).await.unwrap();
    }

    async fn tell(&self, events: &[E]) {
        for some in events.chunks(200) {
            let batch = some.iter().fold(Batch::new(), |batch, event| batch.append(self.log, event));
            self.store.write(batch).await.unwrap();
        }
    }
}

/// One process of the service.
pub struct Process {
    pub index: usize,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), notification::RunError>>,
}

impl Process {
    pub async fn stop(self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

pub struct World {
    folder: TempDir,
    config: Config,
    owners: Shutdown,
    gateway: Owner<GatewayEvent>,
    channel: Owner<ChannelEvent>,
    video: Owner<VideoEvent>,
    interaction: Owner<Notify>,
}

impl World {
    pub fn new(configure: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.runtime.drain_timeout_ms = 1_000;
        configure(&mut config, folder.path());
        let owners = Shutdown::new();
        let data = DataFolder::open(folder.path()).unwrap();
        let context = Context::new(config.clone(), data, owners.clone());
        Self {
            gateway: Owner::new(&context, "gateway", GATEWAY),
            channel: Owner::new(&context, "channel", CHANNEL),
            video: Owner::new(&context, "video", VIDEO),
            interaction: Owner::new(&context, "interaction", INTERACTION),
            folder,
            config,
            owners,
        }
    }

    /// Starts a process of the service and waits until it answers.
    pub async fn start(&self, index: usize) -> Process {
        let shutdown = Shutdown::new();
        let data = DataFolder::open(self.folder.path()).unwrap();
        let context = Context::new(self.config.clone(), data, shutdown.clone());
        let task = tokio::spawn(notification::run(context, index));
        let process = Process { index, shutdown, task };
        let healthy = async {
            while self.peer(index).get::<serde_json::Value>("/internal/health").await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, healthy).await.unwrap();
        process
    }

    fn socket(&self, index: usize) -> std::path::PathBuf {
        self.folder.path().join(format!("run/notification-{index}.sock"))
    }

    pub fn peer(&self, index: usize) -> Peer {
        Peer::at("notification", &self.socket(index))
    }

    pub async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        user: UserId,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Problem> {
        self.peer(0).call(method, path, Some(&caller(user)), body).await
    }

    pub async fn get<T: DeserializeOwned>(&self, user: UserId, path: &str) -> Result<T, Problem> {
        self.call(user, Method::GET, path, None::<&()>).await
    }

    pub async fn inbox(&self, user: UserId) -> Vec<Notification> {
        let mut all = Vec::new();
        let mut path = "/api/notifications?limit=100".to_owned();
        loop {
            let page: Page<Notification> = self.get(user, &path).await.unwrap();
            all.extend(page.items);
            let Some(token) = page.next_page_token else { return all };
            path = format!("/api/notifications?limit=100&pageToken={token}");
        }
    }

    pub async fn unread(&self, user: UserId) -> u64 {
        self.get::<UnreadCount>(user, "/api/notifications/unread-count").await.unwrap().unread
    }

    /// Waits until an inbox is as it should be.
    pub async fn inbox_when(&self, user: UserId, ready: impl Fn(&[Notification]) -> bool) -> Vec<Notification> {
        let wait = async {
            loop {
                let inbox = self.inbox(user).await;
                if ready(&inbox) {
                    return inbox;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(inbox) => inbox,
            Err(_) => panic!("the inbox stays {:#?}", self.inbox(user).await),
        }
    }

    pub async fn open(&self, index: usize, user: UserId, after: Option<NotificationId>) -> Socket {
        self.try_open(index, user, after).await.unwrap()
    }

    pub async fn try_open(
        &self,
        index: usize,
        user: UserId,
        after: Option<NotificationId>,
    ) -> Result<Socket, SocketError> {
        let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
        self.handshake(index, user, &after).await
    }

    pub async fn handshake(&self, index: usize, user: UserId, query: &str) -> Result<Socket, SocketError> {
        let stream = UnixStream::connect(self.socket(index)).await.unwrap();
        let address = format!("ws://djstream/api/notifications/socket{query}");
        let mut request: Request<()> = address.into_client_request().unwrap();
        caller(user).write(request.headers_mut());
        client_async(request, stream).await.map(|(stream, _)| Socket(stream))
    }

    /// A socket that is certainly subscribed: it has seen something that was told after it was opened.
    pub async fn open_live(&self, index: usize, user: UserId) -> Socket {
        let mut socket = self.open(index, user, Some(before_everything())).await;
        let marker = notify(user, NotificationKind::Reply, UserId::generate(), VideoId::generate());
        self.interaction(std::slice::from_ref(&marker)).await;
        while socket.next().await.video_id != Some(marker.video) {}
        socket
    }

    /// What the gateway has now; nobody is told.
    pub async fn snapshot_of_gateway(&self, events: Vec<GatewayEvent>) {
        self.gateway.has(events).await;
    }

    pub async fn snapshot_of_channel(&self, events: Vec<ChannelEvent>) {
        self.channel.has(events).await;
    }

    pub async fn snapshot_of_video(&self, events: Vec<VideoEvent>) {
        self.video.has(events).await;
    }

    /// How many events an owner has told.
    pub fn head(&self, owner: &str) -> u64 {
        match owner {
            "gateway" => self.gateway.store.log(GATEWAY).head(),
            "channel" => self.channel.store.log(CHANNEL).head(),
            "video" => self.video.store.log(VIDEO).head(),
            _ => self.interaction.store.log(INTERACTION).head(),
        }
    }

    /// The service's own store, while it does not run.
    pub fn store(&self) -> Store {
        let data = DataFolder::open(self.folder.path()).unwrap();
        Store::open(&data.service("notification"), Options::default()).unwrap()
    }

    pub async fn gateway(&self, events: &[GatewayEvent]) {
        self.gateway.tell(events).await;
    }

    pub async fn channel(&self, events: &[ChannelEvent]) {
        self.channel.tell(events).await;
    }

    pub async fn video(&self, events: &[VideoEvent]) {
        self.video.tell(events).await;
    }

    pub async fn interaction(&self, events: &[Notify]) {
        self.interaction.tell(events).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.owners.request();
    }
}

pub struct Socket(pub WebSocketStream<UnixStream>);

impl Socket {
    pub async fn next(&mut self) -> Notification {
        tokio::time::timeout(PATIENCE, self.try_next()).await.expect("nothing came").expect("the socket ended")
    }

    /// The next notification; `None` when the socket ends.
    pub async fn try_next(&mut self) -> Option<Notification> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("{other:?}"),
            }
        }
    }

    /// Nothing comes for a moment.
    pub async fn silent(&mut self) {
        let came = tokio::time::timeout(Duration::from_millis(300), self.try_next()).await;
        assert!(came.is_err(), "{came:?}");
    }
}

pub fn caller(user: UserId) -> Caller {
    Caller { user: Some(user), username: Some("somebody".to_owned()), role: Role::User, ..Caller::guest() }
}

pub fn before_everything() -> NotificationId {
    NotificationId::from_bytes([0; 16])
}

pub fn profile(id: UserId, username: &str) -> UserProfile {
    UserProfile {
        id,
        username: username.to_owned(),
        display_name: username.to_uppercase(),
        avatar_url: None,
        role: Role::User,
        active: true,
    }
}

pub fn notify(recipient: UserId, kind: NotificationKind, actor: UserId, video: VideoId) -> Notify {
    let comment = (kind != NotificationKind::Like).then(CommentId::generate);
    Notify {
        recipient,
        kind,
        actor,
        video,
        video_title: "Rabbit in the meadow".to_owned(),
        comment,
        text: comment.map(|_| "Well done!".to_owned()),
        at: clock::now(),
    }
}

pub fn video(owner: UserId, channel: ChannelId) -> VideoProfile {
    VideoProfile {
        id: VideoId::generate(),
        owner,
        channel,
        title: "Rabbit in the meadow".to_owned(),
        privacy: Privacy::Public,
        state: VideoState::Published,
        comment_policy: CommentPolicy::Open,
        duration: 5.0,
        published_at: Some(clock::now()),
        thumbnail_url: Some("/media/poster.jpg".to_owned()),
    }
}
