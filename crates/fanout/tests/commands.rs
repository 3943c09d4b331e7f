//! Every command, byte by byte, on a socket.
#![allow(clippy::unwrap_used)]

mod common;

use common::Fixture;
use fanout::{Limits, Server};

#[tokio::test]
async fn ping_in_both_versions_and_inline() {
    let fixture = Fixture::new(Limits::default());
    let mut raw = fixture.connect().await;
    raw.ask("*1\r\n$4\r\nPING\r\n", "+PONG\r\n").await;
    raw.ask("*2\r\n$4\r\nping\r\n$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n").await;
    raw.ask("PING\r\n", "+PONG\r\n").await;
    raw.ask("PING \"two words\"\n", "$9\r\ntwo words\r\n").await;
    raw.ask("\r\n*0\r\nPING\r\n", "+PONG\r\n").await;
    raw.ask("*1\r\n$9\r\nSUBSCRIBE\r\n", "-ERR wrong number of arguments for 'subscribe' command\r\n").await;
    raw.ask("SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    raw.ask("PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n").await;
    raw.ask("PING x\r\n", "*2\r\n$4\r\npong\r\n$1\r\nx\r\n").await;
}

#[tokio::test]
async fn a_command_may_come_one_byte_at_a_time() {
    let fixture = Fixture::new(Limits::default());
    let mut raw = fixture.connect().await;
    for byte in b"*2\r\n$4\r\nPING\r\n$5\r\na\r\nbc\r\n" {
        raw.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    raw.expect("$5\r\na\r\nbc\r\n").await;
}

#[tokio::test]
async fn messages_reach_channels_and_patterns_unchanged() {
    let fixture = Fixture::new(Limits::default());
    let mut two = fixture.connect().await;
    two.ask(
        "SUBSCRIBE user:1 user:2\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$6\r\nuser:1\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$6\r\nuser:2\r\n:2\r\n",
    )
    .await;
    let mut three = fixture.connect().await;
    three.send("HELLO 3\r\nPSUBSCRIBE user:*\r\n").await;
    let hello = "%7\r\n$6\r\nserver\r\n$15\r\ndjstream-fanout\r\n";
    three.expect(hello).await;
    assert!(three.rest().await.ends_with(b">3\r\n$10\r\npsubscribe\r\n$6\r\nuser:*\r\n:1\r\n"), "no confirmation");

    let mut publisher = fixture.connect().await;
    let payload = b"\x00\r\n\xff$5";
    let mut command = b"*3\r\n$7\r\nPUBLISH\r\n$6\r\nuser:1\r\n$6\r\n".to_vec();
    command.extend_from_slice(payload);
    command.extend_from_slice(b"\r\n");
    publisher.ask(&command, ":2\r\n").await;
    publisher.ask("PUBLISH other x\r\n", ":0\r\n").await;

    let mut expected = b"*3\r\n$7\r\nmessage\r\n$6\r\nuser:1\r\n$6\r\n".to_vec();
    expected.extend_from_slice(payload);
    expected.extend_from_slice(b"\r\n");
    two.expect(&expected).await;
    let mut expected = b">4\r\n$8\r\npmessage\r\n$6\r\nuser:*\r\n$6\r\nuser:1\r\n$6\r\n".to_vec();
    expected.extend_from_slice(payload);
    expected.extend_from_slice(b"\r\n");
    three.expect(&expected).await;
}

#[tokio::test]
async fn order_is_kept_from_one_publisher() {
    let fixture = Fixture::new(Limits::default());
    let mut subscriber = fixture.connect().await;
    subscriber.ask("SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    let mut publisher = fixture.connect().await;
    let (mut commands, mut replies, mut messages) = (String::new(), String::new(), String::new());
    for number in 100_000..102_000 {
        commands.push_str(&format!("PUBLISH a {number}\r\n"));
        replies.push_str(":1\r\n");
        messages.push_str(&format!("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$6\r\n{number}\r\n"));
    }
    publisher.ask(commands, replies).await;
    subscriber.expect(messages).await;
}

#[tokio::test]
async fn unsubscribing_counts_down_and_ends_messages() {
    let fixture = Fixture::new(Limits::default());
    let mut raw = fixture.connect().await;
    raw.ask("UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n").await;
    raw.ask("PUNSUBSCRIBE x\r\n", "*3\r\n$12\r\npunsubscribe\r\n$1\r\nx\r\n:0\r\n").await;
    raw.send("SUBSCRIBE a\r\nPSUBSCRIBE b*\r\n").await;
    raw.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\nb*\r\n:2\r\n").await;
    raw.ask("UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    raw.ask("PUNSUBSCRIBE b*\r\n", "*3\r\n$12\r\npunsubscribe\r\n$2\r\nb*\r\n:0\r\n").await;
    let mut publisher = fixture.connect().await;
    publisher.ask("PUBLISH a x\r\nPUBLISH bb x\r\n", ":0\r\n:0\r\n").await;
    raw.ask("PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn a_subscriber_of_version_2_is_confined_one_of_version_3_is_not() {
    let fixture = Fixture::new(Limits::default());
    let mut raw = fixture.connect().await;
    raw.ask("SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    raw.send("PUBLISH a x\r\n").await;
    raw.expect("-ERR Can't execute 'publish': only (P)SUBSCRIBE").await;
    raw.rest().await;
    raw.ask("RESET\r\n", "+RESET\r\n").await;
    raw.ask("PUBLISH a x\r\n", ":0\r\n").await;

    raw.send("HELLO 3\r\n").await;
    raw.rest().await;
    raw.ask("SUBSCRIBE a\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    raw.ask("PUBLISH a x\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n").await;
}

#[tokio::test]
async fn pubsub_counts() {
    let fixture = Fixture::new(Limits::default());
    let mut raw = fixture.connect().await;
    let mut subscriber = fixture.connect().await;
    subscriber.send("SUBSCRIBE user:1\r\nPSUBSCRIBE x*\r\n").await;
    subscriber.rest().await;
    raw.ask("PUBSUB CHANNELS\r\n", "*1\r\n$6\r\nuser:1\r\n").await;
    raw.ask("PUBSUB CHANNELS video:*\r\n", "*0\r\n").await;
    raw.ask("PUBSUB NUMSUB user:1 b\r\n", "*4\r\n$6\r\nuser:1\r\n:1\r\n$1\r\nb\r\n:0\r\n").await;
    raw.ask("PUBSUB NUMPAT\r\n", ":1\r\n").await;
    drop(subscriber);
    let gone = async {
        while fixture.server.connections() > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.unwrap();
    raw.ask("PUBSUB CHANNELS\r\nPUBSUB NUMPAT\r\n", "*0\r\n:0\r\n").await;
}

#[tokio::test]
async fn client_command_info_and_the_unknown() {
    let fixture = Fixture::new(Limits::default());
    let mut raw = fixture.connect().await;
    raw.ask("CLIENT ID\r\n", ":1\r\n").await;
    raw.ask("CLIENT GETNAME\r\n", "$-1\r\n").await;
    raw.ask("CLIENT SETNAME me\r\n", "+OK\r\n").await;
    raw.ask("CLIENT GETNAME\r\n", "$2\r\nme\r\n").await;
    raw.send("CLIENT SETNAME \"a b\"\r\n").await;
    raw.expect("-ERR names have at most").await;
    raw.rest().await;
    raw.ask("CLIENT SETINFO LIB-NAME x\r\n", "+OK\r\n").await;
    raw.ask("COMMAND DOCS\r\n", "*0\r\n").await;
    raw.send("INFO\r\n").await;
    let info = String::from_utf8(raw.rest().await).unwrap();
    assert!(info.contains("connected_clients:1\r\n") && info.contains("loading:0\r\n"), "{info}");
    raw.ask("GET a\r\n", "-ERR unknown command 'GET'\r\n").await;
    raw.ask("HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n").await;
    raw.ask("QUIT\r\n", "+OK\r\n").await;
    raw.expect_end().await;
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let server = Server::with_password(Limits::default(), "secret");
    let fixture = Fixture::with(server, tempfile::tempdir().unwrap());
    let mut raw = fixture.connect().await;
    raw.ask("PING\r\n", "-NOAUTH Authentication required.\r\n").await;
    raw.ask("PUBLISH a x\r\n", "-NOAUTH Authentication required.\r\n").await;
    raw.send("AUTH wrong\r\n").await;
    raw.expect("-WRONGPASS").await;
    raw.rest().await;
    raw.send("AUTH other secret\r\n").await;
    raw.expect("-WRONGPASS").await;
    raw.rest().await;
    raw.ask("AUTH secret\r\nPING\r\n", "+OK\r\n+PONG\r\n").await;
    raw.ask("RESET\r\nPING\r\n", "+RESET\r\n-NOAUTH Authentication required.\r\n").await;
    raw.send("HELLO 3 AUTH default secret SETNAME me\r\n").await;
    raw.expect("%7\r\n").await;
    raw.rest().await;
    raw.ask("CLIENT GETNAME\r\n", "$2\r\nme\r\n").await;
}
