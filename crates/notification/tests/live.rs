//! Two processes, real sockets: what is told reaches every websocket once and in order, whoever restarts.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{PATIENCE, Socket, World, before_everything, notify, profile};
use proto::api::notification::{Notification, NotificationKind};
use proto::events::{GatewayEvent, Notify};
use proto::{UserId, VideoId};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// Comments with these texts.
fn comments(user: UserId, texts: impl Iterator<Item = usize>) -> Vec<Notify> {
    let (actor, video) = (UserId::generate(), VideoId::generate());
    texts
        .map(|text| Notify { text: Some(text.to_string()), ..notify(user, NotificationKind::Comment, actor, video) })
        .collect()
}

async fn texts(socket: &mut Socket, count: usize) -> Vec<usize> {
    let mut texts = Vec::new();
    let mut last = before_everything();
    for _ in 0..count {
        let next = socket.next().await;
        assert!(next.id > last, "ids go up");
        last = next.id;
        texts.push(next.text.unwrap().parse().unwrap());
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_like_reaches_websockets_in_both_processes() {
    let world = World::new(|_, _| {});
    let (home, other) = (world.start(0).await, world.start(1).await);
    let (owner, fan) = (UserId::generate(), UserId::generate());
    world.gateway(&[GatewayEvent::UserChanged { user: profile(fan, "fan") }]).await;
    let mut sockets = [world.open_live(0, owner).await, world.open_live(1, owner).await];
    let mut stranger = world.open_live(1, fan).await;
    // What the second one was opened with came to the first one, too.
    assert_eq!(sockets[0].next().await.kind, NotificationKind::Reply);

    world.interaction(&[notify(owner, NotificationKind::Like, fan, VideoId::generate())]).await;
    let seen = [sockets[0].next().await, sockets[1].next().await];
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].kind, NotificationKind::Like);
    assert_eq!(seen[0].actor.as_ref().unwrap().username, "fan");
    assert_eq!(seen[0].video_title.as_deref(), Some("Rabbit in the meadow"));
    assert_eq!(world.inbox(owner).await[0], seen[0]);
    stranger.silent().await;
    other.stop().await;
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_comes_first_once_and_in_order() {
    let world = World::new(|_, _| {});
    let (_home, _other) = (world.start(0).await, world.start(1).await);
    let user = UserId::generate();
    world.interaction(&comments(user, 0..250)).await;
    let inbox = world.inbox_when(user, |inbox| inbox.len() == 250).await;
    let after = inbox.iter().find(|entry| entry.text.as_deref() == Some("19")).unwrap().id;
    // More arrive while the backlog is read.
    let more = comments(user, 250..400);
    let (mut first, mut second) = tokio::join!(
        async {
            let (socket, ()) = tokio::join!(world.open(1, user, Some(after)), world.interaction(&more));
            socket
        },
        world.open(0, user, Some(after)),
    );
    assert_eq!(texts(&mut first, 380).await, (20..400).collect::<Vec<_>>());
    assert_eq!(texts(&mut second, 380).await, (20..400).collect::<Vec<_>>());
    first.silent().await;
    second.silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_id_only_what_is_new_comes() {
    let world = World::new(|_, _| {});
    let (_home, _other) = (world.start(0).await, world.start(1).await);
    let user = UserId::generate();
    world.interaction(&comments(user, 0..3)).await;
    world.inbox_when(user, |inbox| inbox.len() == 3).await;
    let mut socket = world.open(1, user, None).await;
    socket.silent().await;
    world.interaction(&comments(user, 3..5)).await;
    assert_eq!(texts(&mut socket, 2).await, [3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_the_other_process_outlive_the_home() {
    let world = World::new(|_, _| {});
    let (home, _other) = (world.start(0).await, world.start(1).await);
    let user = UserId::generate();
    let mut socket = world.open_live(1, user).await;
    world.interaction(&comments(user, 0..5)).await;
    assert_eq!(texts(&mut socket, 5).await, [0, 1, 2, 3, 4]);

    home.stop().await;
    // Opened while the home is away: it waits.
    let after = before_everything();
    let mut late = world.open(1, user, Some(after)).await;
    world.interaction(&comments(user, 5..20)).await;
    socket.silent().await;
    let home = world.start(0).await;
    assert_eq!(texts(&mut socket, 15).await, (5..20).collect::<Vec<_>>());
    assert_eq!(late.next().await.kind, NotificationKind::Reply);
    assert_eq!(texts(&mut late, 20).await, (0..20).collect::<Vec<_>>());
    world.interaction(&comments(user, 20..22)).await;
    assert_eq!(texts(&mut socket, 2).await, [20, 21]);
    assert_eq!(texts(&mut late, 2).await, [20, 21]);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_home_restarts_again_and_again() {
    let world = World::new(|_, _| {});
    let (mut home, _other) = (world.start(0).await, world.start(1).await);
    let user = UserId::generate();
    let mut socket = world.open(1, user, Some(before_everything())).await;
    for round in 0..4 {
        let events = comments(user, round * 50..(round + 1) * 50);
        let (_, restarted) = tokio::join!(world.interaction(&events), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            home.stop().await;
            world.start(0).await
        });
        home = restarted;
    }
    assert_eq!(texts(&mut socket, 200).await, (0..200).collect::<Vec<_>>());
    socket.silent().await;
    assert_eq!(world.unread(user).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_socket_is_cut_and_finds_everything_when_it_comes_back() {
    let world = World::new(|config, _| {
        // A burst of one batch fits, what comes in all does not.
        config.notification.socket_buffer_bytes = 65_536;
        config.notification.inbox_entries = 5_000;
    });
    let (_home, _other) = (world.start(0).await, world.start(1).await);
    let user = UserId::generate();
    let mut slow = world.open_live(1, user).await;
    let mut quick = world.open_live(1, user).await;
    let seen = slow.next().await.id;
    let total = 1_500;
    let padding = "x".repeat(190);
    let padded: Vec<Notify> = comments(user, 0..total)
        .into_iter()
        .map(|comment| Notify { video_title: padding.clone(), ..comment })
        .collect();
    world.interaction(&padded).await;
    assert_eq!(texts(&mut quick, total).await, (0..total).collect::<Vec<_>>());
    // What the kernel took in is still there, then it ends.
    let mut rest = Vec::new();
    let drain = async {
        while let Some(next) = slow.try_next().await {
            rest.push(next);
        }
    };
    tokio::time::timeout(PATIENCE, drain).await.expect("the slow socket was not cut");
    assert!(rest.len() < total);
    let last = rest.last().map_or(seen, |last: &Notification| last.id);
    let mut again = world.open(1, user, Some(last)).await;
    assert_eq!(texts(&mut again, total - rest.len()).await, (rest.len()..total).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_sent_and_who_does_not_answer_is_cut() {
    let world = World::new(|config, _| config.notification.ping_interval_ms = 1_000);
    let _home = world.start(0).await;
    let user = UserId::generate();
    let mut deaf = world.open(0, user, None).await;
    let mut alive = world.open(0, user, None).await;
    // Whoever reads answers pings; whoever does not is cut after two of them.
    let reading =
        tokio::spawn(async move { tokio::time::timeout(Duration::from_millis(4_500), alive.try_next()).await });
    tokio::time::sleep(Duration::from_millis(3_600)).await;
    // Its answer to the first ping finds nobody any more.
    let mut heard = Vec::new();
    let drain = async {
        while let Some(Ok(message)) = futures_util::StreamExt::next(&mut deaf.0).await {
            heard.push(message);
        }
    };
    tokio::time::timeout(Duration::from_secs(2), drain).await.expect("it was not cut");
    assert!(matches!(heard[..], [Message::Ping(_), ..]), "{heard:?}");
    assert!(reading.await.unwrap().is_err(), "the one that answers was cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_are_checked_and_sockets_counted() {
    let world = World::new(|config, _| config.limits.sockets = 2);
    let _home = world.start(0).await;
    let user = UserId::generate();
    let status = |result: Result<Socket, SocketError>| match result {
        Err(SocketError::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => 101,
    };
    assert_eq!(status(world.handshake(0, user, "?after=nonsense").await), 422);
    let first = world.open(0, user, None).await;
    let _second = world.open(0, user, None).await;
    assert_eq!(status(world.try_open(0, user, None).await), 409);
    drop(first);
    let free = async {
        while status(world.try_open(0, user, None).await) != 101 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
    let plain = world.get::<()>(user, "/api/notifications/socket").await.unwrap_err();
    assert_eq!(plain.code, "invalid-request");
    let guest = world.peer(0).get::<()>("/api/notifications/socket").await.unwrap_err();
    assert_eq!(guest.code, "not-signed-in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_redis_takes_the_place_of_the_fan_out() {
    struct Redis(std::process::Child);
    impl Drop for Redis {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
    let start = |folder: &std::path::Path| {
        std::process::Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .current_dir(folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .map(Redis)
    };
    let folder = tempfile::tempdir().unwrap();
    let Ok(redis) = start(folder.path()) else {
        eprintln!("skipped: redis-server is not installed");
        return;
    };
    let url = format!("unix://{}", folder.path().join("redis.sock").display());
    let world = World::new(|config, _| config.fanout.url = url);
    let (_home, _other) = (world.start(0).await, world.start(1).await);
    let user = UserId::generate();
    let mut socket = world.open_live(1, user).await;
    world.interaction(&comments(user, 0..3)).await;
    assert_eq!(texts(&mut socket, 3).await, [0, 1, 2]);
    drop(redis);
    world.interaction(&comments(user, 3..6)).await;
    world.inbox_when(user, |inbox| inbox.len() == 7).await;
    socket.silent().await;
    let _redis = start(folder.path()).unwrap();
    assert_eq!(texts(&mut socket, 3).await, [3, 4, 5]);
    world.interaction(&comments(user, 6..8)).await;
    assert_eq!(texts(&mut socket, 2).await, [6, 7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_process_says_good_bye() {
    let world = World::new(|_, _| {});
    let (_home, other) = (world.start(0).await, world.start(1).await);
    let mut socket = world.open_live(1, UserId::generate()).await;
    let stopping = tokio::spawn(other.stop());
    let last = tokio::time::timeout(PATIENCE, futures_util::StreamExt::next(&mut socket.0)).await.unwrap();
    match last {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    drop(socket);
    stopping.await.unwrap();
}
