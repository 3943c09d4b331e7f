//! What is too much is refused or cut, and never harms the others.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::Fixture;
use fanout::{Limits, Server};

const SUBSCRIBED: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";

#[tokio::test]
async fn a_slow_subscriber_is_cut_and_a_quick_one_is_not() {
    let limits = Limits { buffered_bytes_per_connection: 64 * 1024, ..Limits::default() };
    let fixture = Fixture::new(limits);
    let mut slow = fixture.connect().await;
    slow.ask("SUBSCRIBE a\r\n", SUBSCRIBED).await;
    let mut quick = fixture.connect().await;
    quick.ask("SUBSCRIBE a\r\n", SUBSCRIBED).await;
    let mut publisher = fixture.connect().await;
    let payload = "x".repeat(1024);
    let command = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1024\r\n{payload}\r\n");
    let message = format!("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1024\r\n{payload}\r\n");
    let mut cut_after = None;
    for number in 0..4096 {
        publisher.send(&command).await;
        let mut answer = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut publisher.0, &mut answer).await.unwrap();
        quick.expect(&message).await;
        if &answer == b":1\r\n" {
            cut_after = Some(number);
            break;
        }
    }
    assert!(cut_after.is_some_and(|number| number >= 60), "cut after {cut_after:?} messages");
    slow.expect_end().await;
    publisher.ask("PUBSUB NUMSUB a\r\n", "*2\r\n$1\r\na\r\n:1\r\n").await;
}

#[tokio::test]
async fn someone_who_asks_without_reading_waits_and_is_not_cut() {
    let limits = Limits { buffered_bytes_per_connection: 16 * 1024, ..Limits::default() };
    let fixture = Fixture::new(limits);
    let raw = fixture.connect().await;
    let (reader, mut writer) = raw.0.into_split();
    let asked = 200_000;
    let asking = tokio::spawn(async move {
        for _ in 0..asked / 1000 {
            tokio::io::AsyncWriteExt::write_all(&mut writer, "PING\r\n".repeat(1000).as_bytes()).await.unwrap();
        }
        writer
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asking.is_finished(), "a million bytes of replies waited somewhere");
    let mut reader = reader;
    let mut replies = vec![0; asked * 7];
    tokio::io::AsyncReadExt::read_exact(&mut reader, &mut replies).await.unwrap();
    assert!(replies.chunks(7).all(|reply| reply == b"+PONG\r\n"));
    asking.await.unwrap();
}

#[tokio::test]
async fn subscriptions_and_names_have_limits() {
    let limits = Limits { channels_per_connection: 2, patterns_per_connection: 1, name_bytes: 8, ..Limits::default() };
    let fixture = Fixture::new(limits);
    let mut raw = fixture.connect().await;
    raw.ask("SUBSCRIBE a b c\r\n", "-ERR more than 2 subscriptions on one connection\r\n").await;
    raw.send("SUBSCRIBE a a b\r\n").await;
    assert!(raw.rest().await.ends_with(b"$1\r\nb\r\n:2\r\n"));
    raw.ask("SUBSCRIBE c\r\n", "-ERR more than 2 subscriptions on one connection\r\n").await;
    raw.ask("SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n").await;
    raw.ask("PSUBSCRIBE a b\r\n", "-ERR more than 1 subscriptions on one connection\r\n").await;
    raw.ask("SUBSCRIBE 123456789\r\n", "-ERR a name of 9 bytes is longer than the 8 allowed\r\n").await;
}

#[tokio::test]
async fn bad_frames_end_the_connection_and_only_that() {
    let limits = Limits { frame_bytes: 1024, frame_elements: 8, ..Limits::default() };
    let fixture = Fixture::new(limits);
    let mut bystander = fixture.connect().await;
    bystander.ask("PING\r\n", "+PONG\r\n").await;
    for (bytes, error) in [
        ("*1\r\n$2000\r\n", "frame too large"),
        ("*9\r\n", "frame too large"),
        ("*1\r\n$-5\r\n", "invalid length"),
        ("*x\r\n", "invalid length"),
        ("*1\r\n:1\r\n", "unexpected type byte 0x3a"),
        ("*1\r\n$1\r\nabc", "invalid value"),
        ("*1\r\n$-1\r\n", "invalid value"),
        ("PING \"a\r\n", "unbalanced quotes"),
        ("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "frame too large"),
    ] {
        let mut raw = fixture.connect().await;
        raw.ask(bytes, format!("-ERR Protocol error: {error}\r\n")).await;
        raw.expect_end().await;
    }
    let mut raw = fixture.connect().await;
    raw.ask("x".repeat(2000), "-ERR Protocol error: frame too large\r\n").await;
    raw.expect_end().await;
    bystander.ask("PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn only_so_many_connections() {
    let fixture = Fixture::new(Limits { connections: 2, ..Limits::default() });
    let mut first = fixture.connect().await;
    first.ask("PING\r\n", "+PONG\r\n").await;
    let mut second = fixture.connect().await;
    second.ask("PING\r\n", "+PONG\r\n").await;
    let mut third = fixture.connect().await;
    third.expect("-ERR max number of clients reached\r\n").await;
    third.expect_end().await;
    first.ask("QUIT\r\n", "+OK\r\n").await;
    first.expect_end().await;
    while fixture.server.connections() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut fourth = fixture.connect().await;
    fourth.ask("PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn who_does_not_authenticate_has_little_time_and_room() {
    let limits = Limits { authentication_timeout_ms: 100, ..Limits::default() };
    let server = Server::with_password(limits, "secret");
    let fixture = Fixture::with(server, tempfile::tempdir().unwrap());
    let mut idle = fixture.connect().await;
    idle.expect_end().await;
    let mut greedy = fixture.connect().await;
    greedy.ask("*2\r\n$4\r\nAUTH\r\n$5000\r\n", "-ERR Protocol error: frame too large\r\n").await;
    let mut member = fixture.connect().await;
    member.ask("AUTH secret\r\n", "+OK\r\n").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    member.ask("PING\r\n", "+PONG\r\n").await;
}
