//! The client against the server: messages, and what happens when the server goes and comes.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::Fixture;
use fanout::{Client, Event, Limits, Messages, PublishError, Server, SubscribeError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn next(messages: &mut Messages) -> Event {
    tokio::time::timeout(Duration::from_secs(10), messages.next()).await.unwrap().unwrap()
}

/// The end of a subscription takes a moment.
async fn unsubscribed(client: &Client, channel: &str) {
    for _ in 0..500 {
        if client.publish(channel, "gone").await == Ok(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{channel} is still subscribed");
}

fn message(channel: &'static str, payload: &'static str) -> Event {
    Event::Message { channel: Bytes::from_static(channel.as_bytes()), payload: Bytes::from_static(payload.as_bytes()) }
}

#[tokio::test]
async fn publishes_and_subscribes_on_one_connection() {
    let fixture = Fixture::new(Limits::default());
    let (client, mut messages) = Client::connect(&fixture.url()).unwrap();
    assert_eq!(next(&mut messages).await, Event::Connected);
    assert_eq!(client.publish("user:1", "nobody").await, Ok(0));
    let first = client.subscribe("user:1").await.unwrap();
    let again = client.subscribe("user:1").await.unwrap();
    let _second = client.subscribe("user:2").await.unwrap();
    assert_eq!(client.publish("user:1", "one").await, Ok(1));
    assert_eq!(client.publish("user:2", "two").await, Ok(1));
    assert_eq!(next(&mut messages).await, message("user:1", "one"));
    assert_eq!(next(&mut messages).await, message("user:2", "two"));
    drop(again);
    assert_eq!(client.publish("user:1", "still").await, Ok(1));
    assert_eq!(next(&mut messages).await, message("user:1", "still"));
    drop(first);
    unsubscribed(&client, "user:1").await;
    assert_eq!(client.publish("user:2", "here").await, Ok(1));
    let mut event = next(&mut messages).await;
    while event == message("user:1", "gone") {
        event = next(&mut messages).await;
    }
    assert_eq!(event, message("user:2", "here"));
}

#[tokio::test]
async fn comes_back_with_all_its_subscriptions() {
    let fixture = Fixture::new(Limits::default());
    let url = fixture.url();
    let (client, mut messages) = Client::connect(&url).unwrap();
    let mut subscriptions = Vec::new();
    for number in 0..1500 {
        subscriptions.push(client.subscribe(format!("channel:{number}")).await.unwrap());
    }
    drop(subscriptions.remove(7));
    assert_eq!(next(&mut messages).await, Event::Connected);

    let folder = fixture.end().await;
    assert_eq!(next(&mut messages).await, Event::Disconnected);
    assert_eq!(client.publish("channel:1", "x").await, Err(PublishError::NotConnected));
    let late = tokio::spawn({
        let client = client.clone();
        async move { client.subscribe("late").await }
    });

    let fixture = Fixture::with(Server::new(Limits::default()), folder);
    assert_eq!(next(&mut messages).await, Event::Connected);
    let _late = late.await.unwrap().unwrap();
    assert_eq!(fixture.server.publish(b"channel:7", b"x"), 0);
    assert_eq!(fixture.server.publish(b"channel:1499", b"x"), 1);
    assert_eq!(next(&mut messages).await, message("channel:1499", "x"));
    assert_eq!(fixture.server.publish(b"late", b"x"), 1);
    assert_eq!(next(&mut messages).await, message("late", "x"));
}

#[tokio::test]
async fn starts_before_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("unix:{}", folder.path().join("fanout.sock").display());
    let (client, mut messages) = Client::connect(&url).unwrap();
    let subscribing = tokio::spawn(async move {
        let subscription = client.subscribe("a").await.unwrap();
        (client, subscription)
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let fixture = Fixture::with(Server::new(Limits::default()), folder);
    assert_eq!(next(&mut messages).await, Event::Connected);
    let client = subscribing.await.unwrap();
    assert_eq!(fixture.server.publish(b"a", b"x"), 1);
    assert_eq!(next(&mut messages).await, message("a", "x"));
    drop(client);
    assert_eq!(messages.next().await, None);
}

#[tokio::test]
async fn who_stops_waiting_for_a_subscription_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("unix:{}", folder.path().join("fanout.sock").display());
    let (client, mut messages) = Client::connect(&url).unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), client.subscribe("a")).await;
    assert!(waited.is_err());
    let fixture = Fixture::with(Server::new(Limits::default()), folder);
    assert_eq!(next(&mut messages).await, Event::Connected);
    unsubscribed(&client, "a").await;
    assert_eq!(fixture.server.publish(b"a", b"x"), 0);
}

#[tokio::test]
async fn what_the_server_refuses_is_said() {
    let fixture = Fixture::new(Limits { channels_per_connection: 1, ..Limits::default() });
    let (client, _messages) = Client::connect(&fixture.url()).unwrap();
    let _subscription = client.subscribe("a").await.unwrap();
    let refused = client.subscribe("b").await;
    assert!(matches!(refused, Err(SubscribeError::Refused(ref text)) if text.contains("more than 1")));
    assert_eq!(client.publish("a", "x").await, Ok(1));
    let large = client.publish("a", vec![0; 2 * 1024 * 1024]).await;
    assert!(large.is_err(), "{large:?}");
}

#[tokio::test]
async fn whoever_does_not_take_messages_is_told_so_and_keeps_the_connection() {
    let fixture = Fixture::new(Limits::default());
    let (client, mut messages) = Client::connect(&fixture.url()).unwrap();
    let _subscription = client.subscribe("a").await.unwrap();
    let payload = vec![0; 256 * 1024];
    for _ in 0..40 {
        assert_eq!(client.publish("a", payload.clone()).await, Ok(1));
    }
    client.publish("a", "last").await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&message("a", "last")) {
        seen.push(next(&mut messages).await);
    }
    assert_eq!(seen[0], Event::Connected);
    assert!(seen.contains(&Event::Lagged));
    assert!(seen.len() < 30, "{} events", seen.len());
}

#[tokio::test]
async fn tcp_with_a_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::with_password(Limits::default(), "s@cret");
    let stop = CancellationToken::new();
    tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move { server.serve(listener, stop).await }
    });
    let (client, mut messages) = Client::connect(&format!("redis://:s%40cret@{address}")).unwrap();
    let _subscription = client.subscribe("a").await.unwrap();
    assert_eq!(next(&mut messages).await, Event::Connected);
    assert_eq!(server.publish(b"a", b"x"), 1);
    assert_eq!(next(&mut messages).await, message("a", "x"));

    let (_client, mut messages) = Client::connect(&format!("redis://:wrong@{address}")).unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), messages.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    stop.cancel();
}
