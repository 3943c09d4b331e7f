//! A server on a Unix socket in a folder of its own, and a connection that speaks bytes.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::path::PathBuf;
use std::time::Duration;

use fanout::{Limits, Server};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

pub struct Fixture {
    pub server: Server,
    pub path: PathBuf,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    folder: TempDir,
}

impl Fixture {
    pub fn new(limits: Limits) -> Self {
        Self::with(Server::new(limits), tempfile::tempdir().unwrap())
    }

    pub fn with(server: Server, folder: TempDir) -> Self {
        let path = folder.path().join("fanout.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (server, stop) = (server.clone(), stop.clone());
            async move { server.serve(listener, stop).await }
        });
        Self { server, path, stop, task, folder }
    }

    /// Ends the server with all its connections; the folder stays for another one.
    pub async fn end(self) -> TempDir {
        self.stop.cancel();
        self.task.await.unwrap();
        self.folder
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    pub async fn connect(&self) -> Raw {
        Raw(UnixStream::connect(&self.path).await.unwrap())
    }
}

pub struct Raw(pub UnixStream);

impl Raw {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads exactly these bytes.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        let mut got = vec![0; expected.len()];
        let mut filled = 0;
        while filled < got.len() {
            let read = tokio::time::timeout(Duration::from_secs(5), self.0.read(&mut got[filled..]));
            match read.await {
                Ok(Ok(0)) | Err(_) => break,
                Ok(read) => filled += read.unwrap(),
            }
        }
        assert_eq!(got[..filled].escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// Sends, and expects exactly these bytes back.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) {
        self.send(bytes).await;
        self.expect(answer).await;
    }

    /// Reads until there is nothing for a moment.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_millis(200), self.0.read(&mut buffer)).await
        {
            all.extend_from_slice(&buffer[..read]);
        }
        all
    }

    /// The server has closed this connection, perhaps after some last bytes.
    pub async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), self.0.read_to_end(&mut rest));
        // A reset is an end, too.
        let _ = read.await.expect("the connection is still open");
    }
}
