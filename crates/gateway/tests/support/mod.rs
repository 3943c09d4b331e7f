//! A real gateway on a free port, over a real store in a temporary folder, with small real upstreams.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kit::config::{Config, RegistrationPolicy};
use kit::http::{Body, ServeOptions, UnixSocket, serve_unix};
use kit::{Context, DataFolder, Shutdown};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub const PASSWORD: &str = "mild rivers carry boats";

/// A gateway that ends with the test.
pub struct Gateway {
    pub address: SocketAddr,
    pub context: Context,
    folder: Option<tempfile::TempDir>,
    running: Option<tokio::task::JoinHandle<()>>,
}

/// What a gateway of a test is like, unless the test says otherwise: open, cheap hashes, no limits.
pub fn config() -> Config {
    let mut config = Config::default();
    config.registration.policy = RegistrationPolicy::Open;
    config.auth.argon2_memory_kib = 64;
    config.limits.per_address = false;
    config.runtime.drain_timeout_ms = 500;
    config
}

impl Gateway {
    pub async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub async fn start_with(config: Config) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config).await
    }

    pub async fn start_in(folder: tempfile::TempDir, mut config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        config.http.listen = address;
        let data = DataFolder::open(&folder.path().join("data")).unwrap();
        let context = Context::new(config, data, Shutdown::new());
        let socket = context.data.socket("gateway");
        let running = tokio::spawn({
            let context = context.clone();
            async move { gateway::run_on(context, listener).await.unwrap() }
        });
        wait_for(|| UnixStream::connect(&socket)).await;
        Self { address, context, folder: Some(folder), running: Some(running) }
    }

    /// Ends it and starts it again over the same data.
    pub async fn restart(mut self) -> Self {
        self.context.shutdown.request();
        self.running.take().unwrap().await.unwrap();
        let config = (*self.context.config).clone();
        let folder = self.folder.take().unwrap();
        Self::start_in(folder, config).await
    }

    pub fn setup_token(&self) -> String {
        std::fs::read_to_string(self.context.data.setup_token()).unwrap().trim().to_owned()
    }

    pub async fn send(&self, request: Ask) -> Answer {
        request.over(TcpStream::connect(self.address).await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Ask::new("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Ask::new("POST", path).json(body)).await
    }

    /// Over the gateway's own socket.
    pub async fn local(&self, request: Ask) -> Answer {
        request.over(UnixStream::connect(self.context.data.socket("gateway")).await.unwrap()).await
    }

    /// Makes the first account, the admin; its tokens.
    pub async fn admin(&self) -> Tokens {
        self.register(&json!({"setupToken": self.setup_token(), "username": "admin"})).await
    }

    /// Makes an account; its tokens.
    pub async fn user(&self, username: &str) -> Tokens {
        self.register(&json!({"username": username})).await
    }

    async fn register(&self, more: &Value) -> Tokens {
        let username = more["username"].as_str().unwrap();
        let mut body = json!({
            "email": format!("{username}@example.org"), "password": PASSWORD, "returnRefreshToken": true
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.post("/api/auth/register", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Tokens::of(&answer)
    }

    /// A service that answers with `handler`.
    pub async fn upstream<H, F>(&self, name: &str, handler: H) -> Upstream
    where
        H: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Upstream::start(&self.context, name, handler)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.context.shutdown.request();
    }
}

/// A running service of a test.
pub struct Upstream {
    shutdown: Shutdown,
    running: tokio::task::JoinHandle<()>,
}

impl Upstream {
    fn start<H, F>(context: &Context, name: &str, handler: H) -> Self
    where
        H: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let socket = UnixSocket::bind(&context.data.socket(name)).unwrap();
        let options = ServeOptions::service(&context.config);
        let shutdown = Shutdown::new();
        let running = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { serve_unix(socket, handler, options, &shutdown).await }
        });
        Self { shutdown, running }
    }

    /// Ends it, so that nobody listens any more.
    pub async fn stop(self) {
        self.shutdown.request();
        self.running.await.unwrap();
    }
}

/// What somebody who signed in has.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub id: String,
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    pub fn of(answer: &Answer) -> Self {
        let body = answer.json();
        Self {
            id: body["user"]["id"].as_str().unwrap().to_owned(),
            access: body["accessToken"].as_str().unwrap().to_owned(),
            refresh: body["refreshToken"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// A request, written as it stands.
#[derive(Debug, Clone)]
pub struct Ask {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn by(self, tokens: &Tokens) -> Self {
        self.header("Authorization", &format!("Bearer {}", tokens.access))
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").bytes(body.to_string().into_bytes())
    }

    pub fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    async fn over(self, mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> Answer {
        let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: gateway.test\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.write_all(&self.body).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
        let broken = read.expect("no answer in time").is_err();
        Answer::parse(&bytes, self.method == "HEAD", broken)
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it ended before its end.
    pub cut: bool,
}

impl Answer {
    fn parse(bytes: &[u8], head_only: bool, broken: bool) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("no answer");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: Vec::new(), cut: broken };
        let rest = &bytes[end + 4..];
        if answer.header("transfer-encoding") == Some("chunked") {
            let (body, whole) = unchunk(rest);
            (answer.body, answer.cut) = (body, !whole);
        } else {
            let length = answer.header("content-length").map(|text| text.parse::<usize>().unwrap());
            answer.cut |= !head_only && status != 304 && length.is_some_and(|length| length != rest.len());
            answer.body = rest.to_vec();
        }
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn cookies(&self) -> HashMap<String, String> {
        let lines = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        lines.map(|(_, line)| (line.split('=').next().unwrap().to_owned(), line.clone())).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.text()))
    }

    /// The problem's code; the body has to be a problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{} {}", self.status, self.text());
        assert_eq!(self.json()["status"], self.status);
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    (body, false)
}

/// Answers with what it got: method, path, headers and the length of the body.
pub async fn echo(request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let headers: HashMap<String, String> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let length = body.read(64 << 20).await.map(|bytes| bytes.len()).unwrap_or_default();
    let text = json!({
        "method": parts.method.as_str(), "path": parts.uri.to_string(), "headers": headers, "length": length
    });
    json_response(StatusCode::OK, &text)
}

pub fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

/// What a media upstream answers at present: the grants by video, with the caller's id.
pub type Grants = Arc<Mutex<Box<dyn Fn(&str, Option<&str>) -> Option<Value> + Send>>>;

/// A video service that answers questions about rights.
pub fn media_upstream(grants: &Grants) -> impl Fn(Request<Body>) -> std::future::Ready<Response<Body>> + Clone + use<> {
    let grants = grants.clone();
    move |request: Request<Body>| {
        let user = request.headers().get("x-djstream-user").map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path().to_owned();
        let found =
            path.strip_prefix("/internal/media-grants/").and_then(|id| (grants.lock().unwrap())(id, user.as_deref()));
        std::future::ready(match found {
            Some(grant) => json_response(StatusCode::OK, &grant),
            None => kit::http::reply::problem_body(&proto::Problem::new(proto::codes::NOT_FOUND, "no")),
        })
    }
}

/// A file as a grant names it.
pub fn file(name: &str, path: &str, content_type: &str) -> Value {
    json!({"name": name, "path": path, "contentType": content_type, "changes": false})
}

pub fn write_media(context: &Context, path: &str, bytes: &[u8]) {
    let path = context.data.media().join(path);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Tries until it works, for some seconds.
pub async fn wait_for<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(attempt: impl Fn() -> F) -> T {
    let mut last = None;
    for _ in 0..500 {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never worked: {last:?}");
}
