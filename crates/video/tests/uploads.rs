//! Resumable uploads through the real socket.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use http::Method;
use kit::http::Body;
use kit::{Caller, Shutdown};
use serde_json::json;
use sha2::{Digest, Sha256};
use support::{World, encoded, film, person};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A `PATCH` by hand, which announces more than it sends.
async fn start_patch(world: &World, caller: &Caller, location: &str, offset: usize, announced: usize) -> UnixStream {
    let mut socket = UnixStream::connect(world.folder.path().join("run/video.sock")).await.unwrap();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: djstream\r\ntus-resumable: 1.0.0\r\nupload-offset: {offset}\r\n\
         content-type: application/offset+octet-stream\r\ncontent-length: {announced}\r\nx-djstream-user: {}\r\n\
         x-djstream-role: user\r\n\r\n",
        caller.user.unwrap()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

async fn offset(world: &World, caller: &Caller, location: &str) -> usize {
    let position = world.position(caller, location).await;
    assert_eq!(position.status, 200, "{position:?}");
    position.header("upload-offset").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_spoken_as_written() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let options = world.ask(Method::OPTIONS, "/api/uploads", None, None).await;
    assert_eq!((options.status.as_u16(), options.header("tus-version")), (204, "1.0.0"));
    assert!(options.header("tus-extension").contains("creation-with-upload"));
    assert!(options.header("tus-max-size").parse::<u64>().unwrap() > 1 << 30);

    let without_version = world.send(Method::POST, "/api/uploads", Some(&caller), &[], Body::empty()).await;
    assert_eq!((without_version.status.as_u16(), without_version.code()), (412, "tus-version"));
    assert_eq!(without_version.header("tus-version"), "1.0.0");
    let version = [("tus-resumable", "1.0.0")];
    let without_length = world.send(Method::POST, "/api/uploads", Some(&caller), &version, Body::empty()).await;
    assert_eq!((without_length.status.as_u16(), without_length.code()), (400, "invalid-request"));
    let guest = world.create(&Caller::guest(), 10, &[]).await;
    assert_eq!((guest.status.as_u16(), guest.code()), (401, "not-signed-in"));
    let foreign = world.create(&person("bob"), 10, &[("channel", "films")]).await;
    assert_eq!((foreign.status.as_u16(), foreign.code()), (422, "invalid-field"));

    let created = world.create(&caller, 10, &[("filename", "a.mp4"), ("channel", "films")]).await;
    assert_eq!(created.status, 201, "{created:?}");
    let location = created.header("location").to_owned();
    assert!(created.header("upload-expires").ends_with("GMT"));
    let position = world.position(&caller, &location).await;
    assert_eq!((position.header("upload-offset"), position.header("upload-length")), ("0", "10"));
    assert_eq!(position.header("upload-metadata"), encoded(&[("filename", "a.mp4"), ("channel", "films")]));
    assert_eq!(position.header("cache-control"), "no-store");
    assert_eq!(world.position(&person("bob"), &location).await.status, 404);

    let wrong_type = world.send(Method::PATCH, &location, Some(&caller), &version, Body::full("12345")).await;
    assert_eq!((wrong_type.status.as_u16(), wrong_type.code()), (415, "unsupported-media-type"));
    let wrong_offset = world.append(&caller, &location, 3, b"12345".to_vec()).await;
    assert_eq!((wrong_offset.status.as_u16(), wrong_offset.code()), (409, "upload-offset-mismatch"));
    let beyond = world.append(&caller, &location, 0, b"12345678901".to_vec()).await;
    assert_eq!((beyond.status.as_u16(), beyond.code()), (413, "upload-length-exceeded"));
    let first = world.append(&caller, &location, 0, b"12345".to_vec()).await;
    assert_eq!((first.status.as_u16(), first.header("upload-offset")), (204, "5"), "{first:?}");
    assert_eq!(world.video(&caller, created.video()).await["state"], "uploading");

    let ended = world.send(Method::DELETE, &location, Some(&caller), &version, Body::empty()).await;
    assert_eq!(ended.status, 204);
    assert_eq!(world.position(&caller, &location).await.status, 404);
    assert_eq!(world.get(&format!("/api/videos/{}", created.video()), &caller).await.status, 404);
    let folder = world.media().join(created.video().to_string());
    world.eventually(async || !folder.exists()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_can_come_in_pieces_of_unknown_length_or_with_the_first_request() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = film(1, "160x120");
    let version = ("tus-resumable", "1.0.0");
    let stream = ("content-type", "application/offset+octet-stream");

    let length = film.len().to_string();
    let headers = [version, stream, ("upload-length", &length)];
    let at_once = world.send(Method::POST, "/api/uploads", Some(&caller), &headers, Body::full(film.clone())).await;
    assert_eq!((at_once.status.as_u16(), at_once.header("upload-offset")), (201, length.as_str()));
    world.until_state(&caller, at_once.video(), "published").await;

    let headers = [version, ("upload-defer-length", "1")];
    let deferred = world.send(Method::POST, "/api/uploads", Some(&caller), &headers, Body::empty()).await;
    assert_eq!((deferred.status.as_u16(), deferred.header("upload-defer-length")), (201, "1"));
    let location = deferred.header("location");
    let (head, tail) = film.split_at(film.len() / 2);
    assert_eq!(world.append(&caller, location, 0, head.to_vec()).await.status, 204);
    let at = head.len().to_string();
    let headers = [version, stream, ("upload-offset", &at), ("upload-length", &length)];
    let last = world.send(Method::PATCH, location, Some(&caller), &headers, Body::full(tail.to_vec())).await;
    assert_eq!((last.status.as_u16(), last.header("upload-offset")), (204, length.as_str()));
    let video = world.until_state(&caller, deferred.video(), "published").await;
    assert!(video["bytes"].as_u64().unwrap() >= 2 * film.len() as u64);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_request_may_be_repeated() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = film(1, "160x120");
    let created = world.create(&caller, film.len(), &[]).await;
    let location = created.header("location");
    let (head, tail) = film.split_at(film.len() - 1000);
    assert_eq!(world.append(&caller, location, 0, head.to_vec()).await.status, 204);
    for _ in 0..3 {
        let last = world.append(&caller, location, head.len(), tail.to_vec()).await;
        assert_eq!((last.status.as_u16(), last.video()), (204, created.video()));
        let empty = world.append(&caller, location, film.len(), Vec::new()).await;
        assert_eq!((empty.status.as_u16(), empty.video()), (204, created.video()));
    }
    world.until_settled(&caller, created.video()).await;
    let own = world.get("/api/me/videos", &caller).await;
    assert_eq!(own.body["items"].as_array().unwrap().len(), 1);
    let probes = world.get(&format!("/api/videos/{}/processing", created.video()), &caller).await;
    let probes = probes.body["jobs"].as_array().unwrap().iter().filter(|job| job["kind"] == "probe").count();
    assert_eq!(probes, 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_the_connection_broke_is_kept_and_the_checksum_is_right() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = [film(1, "160x120"), noise(3 << 20)].concat();
    let created = world.create(&caller, film.len(), &[("sha256", &sha256(&film))]).await;
    let location = created.header("location").to_owned();
    let mut at = 0;
    for cut in [70_001, 1_500_000, 2_500_000] {
        let mut socket = start_patch(&world, &caller, &location, at, film.len() - at).await;
        socket.write_all(&film[at..cut]).await.unwrap();
        socket.flush().await.unwrap();
        drop(socket);
        // Asking makes whoever writes stop: so give the server the time to read what is on its way.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = offset(&world, &caller, &location).await;
        assert!((at + 1..=cut).contains(&now), "{now} of {cut}");
        at = now;
    }
    assert_eq!(world.append(&caller, &location, at, film[at..].to_vec()).await.status, 204);
    let grant = world.grant(&caller, created.video()).await.unwrap();
    let original = grant.files.iter().find(|file| file.name == "original").unwrap();
    assert_eq!(sha256(&std::fs::read(world.media().join(&original.path)).unwrap()), sha256(&film));
    assert_eq!(world.until_settled(&caller, created.video()).await["state"], "published");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_gives_way_at_once() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let bytes = noise(100_000);
    let location = world.create(&caller, bytes.len(), &[]).await.header("location").to_owned();
    let mut hanging = start_patch(&world, &caller, &location, 0, bytes.len()).await;
    hanging.write_all(&bytes[..40_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = Instant::now();
    let at = offset(&world, &caller, &location).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(at, 40_000);
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(3), hanging.read_buf(&mut answer)).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 423"), "{}", String::from_utf8_lossy(&answer));

    let mut hanging = start_patch(&world, &caller, &location, at, bytes.len() - at).await;
    hanging.write_all(&bytes[at..50_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = world.append(&caller, &location, at, bytes[at..].to_vec()).await;
    assert_eq!((refused.status.as_u16(), refused.header("upload-offset")), (409, "50000"));
    assert_eq!(world.append(&caller, &location, 50_000, bytes[50_000..].to_vec()).await.status, 204);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_file_than_the_announced_one_is_noticed() {
    let world = World::start().await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = film(1, "160x120");
    let created = world.create(&caller, film.len(), &[("sha256", &sha256(b"another"))]).await;
    let last = world.append(&caller, created.header("location"), 0, film).await;
    assert_eq!(last.status, 422, "{last:?}");
    let video = world.video(&caller, created.video()).await;
    assert_eq!(video["state"], "failed");
    assert!(video["failure"].as_str().unwrap().ends_with('.'));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told_before_anything_is_sent() {
    let world = World::start_with(|config| {
        config.media.upload_max_bytes = 50_000_000;
        config.limits.quota_bytes = 60_000_000;
        config.limits.uploads_open = 3;
    })
    .await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let large = world.create(&caller, 50_000_001, &[]).await;
    assert_eq!((large.status.as_u16(), large.code()), (413, "upload-too-large"));
    let first = world.create(&caller, 40_000_000, &[]).await;
    assert_eq!(first.status, 201);
    let quota = world.create(&caller, 30_000_000, &[]).await;
    assert_eq!((quota.status.as_u16(), quota.code()), (413, "quota-exceeded"));
    assert_eq!(world.create(&caller, 1000, &[]).await.status, 201);
    assert_eq!(world.create(&caller, 1000, &[]).await.status, 201);
    let many = world.create(&caller, 1000, &[]).await;
    assert_eq!((many.status.as_u16(), many.code()), (429, "rate-limited"));
    // Whoever ends one may begin another, and has the room again.
    let version = [("tus-resumable", "1.0.0")];
    let ended = world.send(Method::DELETE, first.header("location"), Some(&caller), &version, Body::empty()).await;
    assert_eq!(ended.status, 204);
    assert_eq!(world.create(&caller, 45_000_000, &[]).await.status, 201);
    // Refused ones leave no folder.
    let folders = std::fs::read_dir(world.media()).unwrap().count();
    world.eventually(async || std::fs::read_dir(world.media()).unwrap().count() == 3).await;
    assert!(folders <= 4, "{folders}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_before_anything_is_sent() {
    let world = World::start_with(|config| config.storage.reserve_bytes = 1 << 50).await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let refused = world.create(&caller, 1000, &[]).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (507, "disk-full"));
    world.end().await;
}

/// The service as a process of its own, to be killed.
struct Child(std::process::Child);

impl Child {
    fn start(world: &World) -> Self {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_service_alone", "--ignored", "--nocapture"])
            .env("DJSTREAM_TEST_FOLDER", world.folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that other tests kill"]
async fn the_service_alone() {
    let Some(folder) = std::env::var_os("DJSTREAM_TEST_FOLDER") else { return };
    let context = support::context(folder.as_ref(), &kit::config::Config::default(), &Shutdown::new());
    video::run_with_helper(context, support::helper()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_and_its_processing_survive_kill_9() {
    let world = World::neighbours(|_| ()).await;
    let caller = person("ann");
    world.open_channel(&caller, "films").await;
    let film = [film(20, "1280x720"), noise(1 << 20)].concat();
    let mut child = Child::start(&world);
    world.ready().await;
    let created = world.create(&caller, film.len(), &[("sha256", &sha256(&film))]).await;
    assert_eq!(created.status, 201, "{created:?}");
    let location = created.header("location").to_owned();
    let mut at = 0;
    for share in [3, 2] {
        let until = at + (film.len() - at) / share;
        assert_eq!(world.append(&caller, &location, at, film[at..until].to_vec()).await.status, 204);
        let mut socket = start_patch(&world, &caller, &location, until, film.len() - until).await;
        socket.write_all(&film[until..until + 10_000]).await.unwrap();
        child.kill();
        child = Child::start(&world);
        world.ready().await;
        at = offset(&world, &caller, &location).await;
        assert!((until..=until + 10_000).contains(&at), "{at} of {until}");
    }
    let last = world.append(&caller, &location, at, film[at..].to_vec()).await;
    assert_eq!((last.status.as_u16(), last.video()), (204, created.video()));
    // In the middle of whatever it does now, three times.
    for pause_ms in [20, 150, 600] {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        child.kill();
        child = Child::start(&world);
        world.ready().await;
    }
    let settled = world.until_settled(&caller, created.video()).await;
    assert_eq!(settled["state"], "published", "{settled}");
    assert!(settled["jobs"].as_array().unwrap().iter().all(|job| job["state"] == "done"), "{settled}");
    let video = world.video(&caller, created.video()).await;
    assert_eq!(video["renditions"].as_array().unwrap().len(), 2);
    // The original, two renditions with their playlists, two posters, the master and perhaps its predecessor.
    let folder = std::fs::read_dir(world.media().join(created.video().to_string())).unwrap();
    let left: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!((8..=9).contains(&left.len()), "{left:?}");
    let again = world.append(&caller, &location, film.len(), Vec::new()).await;
    assert_eq!((again.status.as_u16(), again.video()), (204, created.video()));
    assert_eq!(world.get("/api/me/videos", &caller).await.body["items"].as_array().unwrap().len(), 1);
    let title = world
        .ask(
            Method::PATCH,
            &format!("/api/videos/{}", created.video()),
            Some(&caller),
            Some(json!({"title": "After all"})),
        )
        .await;
    assert_eq!(title.status, 200);
    child.kill();
    world.end().await;
}
