//! Calls to the running instance, over the gateway's Unix socket.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use proto::Problem;
use proto::api::Page;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// Answers are lists of at most a hundred items; more than this is not one of ours.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The command's words are off.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers.
    #[error("no instance answers on {}: {source}. Is it running, and is --data its data folder?", socket.display())]
    Unreachable {
        /// Where we knocked.
        socket: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server said no.
    #[error("{}", explain(.0))]
    Refused(Box<Problem>),
    /// A backup is not good, or cannot be brought back.
    #[error(transparent)]
    Backup(Box<kit::backup::Error>),
    /// Some services do not answer.
    #[error("not every service answers")]
    Degraded,
    /// The answer makes no sense.
    #[error("the answer could not be read: {0}")]
    Broken(String),
}

fn explain(problem: &Problem) -> String {
    let mut text = format!("{} ({})", problem.detail, problem.code);
    for error in &problem.errors {
        let _ = write!(text, "\n  {}: {}", error.field, error.detail);
    }
    text
}

/// A client for the instance with this data folder.
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(data: &Path) -> Self {
        Self { socket: data.join("run/gateway.sock") }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        read(self.call(Method::GET, path, Bytes::new()).await?)
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        read(self.call(Method::POST, path, body.into()).await?)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, path, Bytes::new()).await.map(|_| ())
    }

    /// All items of a paged list.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CallError> {
        let mut items = Vec::new();
        let mut token = None::<String>;
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let more = token.map(|token| format!("&pageToken={token}")).unwrap_or_default();
            let page: Page<T> = self.get(&format!("{path}{mark}limit=100{more}")).await?;
            items.extend(page.items);
            token = page.next_page_token;
            if token.is_none() {
                return Ok(items);
            }
        }
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let unreachable = |source| CallError::Unreachable { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "localhost")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await.map_err(broken)?.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice(&bytes) {
            Ok(problem) => Err(CallError::Refused(Box::new(problem))),
            Err(_) => Err(CallError::Broken(format!("status {status}"))),
        }
    }
}

/// Reads an answer; an empty one reads as `null`.
fn read<T: DeserializeOwned>(bytes: Bytes) -> Result<T, CallError> {
    let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
    serde_json::from_slice(&bytes).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> CallError {
    CallError::Broken(error.to_string())
}
