//! The client against a real `redis-server`, where one is installed (`apt-get install redis-server`).
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use fanout::{Client, Event, Messages, PublishError};

struct Redis(Child);

impl Redis {
    /// `None` where there is no redis-server on this machine.
    fn start(folder: &Path) -> Option<Self> {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self(child)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("redis-server: {error}"),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn next(messages: &mut Messages) -> Event {
    tokio::time::timeout(Duration::from_secs(20), messages.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn works_the_same_with_redis() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start(folder.path()) else {
        eprintln!("skipped: redis-server is not installed");
        return;
    };
    let url = format!("unix:{}", folder.path().join("redis.sock").display());
    let (client, mut messages) = Client::connect(&url).unwrap();
    assert_eq!(next(&mut messages).await, Event::Connected);
    assert_eq!(client.publish("a", "x").await, Ok(0));
    let mut subscriptions = Vec::new();
    for number in 0..1200 {
        subscriptions.push(client.subscribe(format!("channel:{number}")).await.unwrap());
    }
    drop(subscriptions.remove(0));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.publish("channel:0", "x").await, Ok(0));
    assert_eq!(client.publish("channel:1", &b"\0\r\n"[..]).await, Ok(1));
    let message = |payload: &'static [u8]| Event::Message {
        channel: Bytes::from_static(b"channel:1"),
        payload: Bytes::from_static(payload),
    };
    assert_eq!(next(&mut messages).await, message(b"\0\r\n"));

    drop(redis);
    assert_eq!(next(&mut messages).await, Event::Disconnected);
    assert_eq!(client.publish("channel:1", "lost").await, Err(PublishError::NotConnected));
    let _redis = Redis::start(folder.path()).unwrap();
    assert_eq!(next(&mut messages).await, Event::Connected);
    assert_eq!(client.publish("channel:1", "again").await, Ok(1));
    assert_eq!(next(&mut messages).await, message(b"again"));
}
