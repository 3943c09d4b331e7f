//! Media files: to whom, which bytes, and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proto::VideoId;
use serde_json::{Value, json};
use support::{Answer, Ask, Gateway, Grants, PASSWORD, Tokens, file, media_upstream, write_media};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn grants(rule: impl Fn(&str, Option<&str>) -> Option<Value> + Send + 'static) -> Grants {
    Arc::new(Mutex::new(Box::new(rule)))
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

struct Fixture {
    gateway: Gateway,
    id: VideoId,
    content: Vec<u8>,
    _video: support::Upstream,
}

/// A public video with one file of 200,000 bytes.
async fn public() -> Fixture {
    let gateway = Gateway::start().await;
    let content = bytes(200_000);
    write_media(&gateway.context, "v/480.mp4", &content);
    write_media(&gateway.context, "v/page", b"<script>alert(1)</script>");
    let rule = grants(|_, _| {
        let mut movie = file("480.mp4", "v/480.mp4", "video/mp4");
        movie["downloadName"] = "Häschen 480p.mp4".into();
        let mut playlist = file("master.m3u8", "v/480.mp4", "application/vnd.apple.mpegurl");
        playlist["changes"] = true.into();
        let files = json!([
            movie,
            playlist,
            file("page", "v/page", "text/html"),
            file("captions/en.vtt", "v/page", "text/vtt"),
            file("gone.mp4", "v/gone.mp4", "video/mp4"),
            file("climb", "../setup-token", "text/plain"),
            file("root", "/etc/passwd", "text/plain"),
        ]);
        Some(json!({"public": true, "files": files}))
    });
    let video = gateway.upstream("video", media_upstream(&rule)).await;
    Fixture { gateway, id: VideoId::generate(), content, _video: video }
}

impl Fixture {
    async fn get(&self, name: &str, headers: &[(&str, &str)]) -> Answer {
        let ask = Ask::new("GET", &format!("/media/{}/{name}", self.id));
        self.gateway.send(headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))).await
    }
}

#[tokio::test]
async fn ranges_are_answered_to_the_byte() {
    let f = public().await;
    let length = f.content.len();
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=100000-", 100_000, length),
        ("bytes=199999-", length - 1, length),
        ("bytes=199990-999999", length - 10, length),
        ("bytes=-1", length - 1, length),
        ("bytes=-999999", 0, length),
    ] {
        let answer = f.get("480.mp4", &[("Range", range)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), Some(&*format!("bytes {start}-{}/{length}", end - 1)), "{range}");
        assert!(answer.body == f.content[start..end] && !answer.cut, "{range}");
    }
    for range in ["bytes=200000-", "bytes=-0", "bytes=300000-400000"] {
        let answer = f.get("480.mp4", &[("Range", range)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (416, "range-not-satisfiable"), "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */200000"));
    }
    for range in ["bytes=5-1", "bytes=0-1,5-6", "lines=0-1", "nonsense"] {
        let answer = f.get("480.mp4", &[("Range", range)]).await;
        assert!(answer.status == 200 && answer.body == f.content, "{range}");
    }
}

#[tokio::test]
async fn conditions_are_kept() {
    let f = public().await;
    let whole = f.get("480.mp4", &[]).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
    let (etag, date) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
    for known in [("If-None-Match", etag), ("If-None-Match", "*"), ("If-Modified-Since", date)] {
        let answer = f.get("480.mp4", &[known]).await;
        assert!(answer.status == 304 && answer.body.is_empty() && answer.header("etag") == Some(etag), "{known:?}");
    }
    let part = |holds: &'static str| [("Range", "bytes=0-9"), ("If-Range", holds)];
    assert_eq!(f.get("480.mp4", &[("Range", "bytes=0-9"), ("If-Range", etag)]).await.status, 206);
    assert_eq!(f.get("480.mp4", &[("Range", "bytes=0-9"), ("If-Range", date)]).await.status, 206);
    assert_eq!(f.get("480.mp4", &part("\"other\"")).await.status, 200);
    assert_eq!(f.get("480.mp4", &[("If-Match", "\"other\"")]).await.code(), "precondition-failed");
    let head = f.gateway.send(Ask::new("HEAD", &format!("/media/{}/480.mp4", f.id))).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("200000"), 0));
    let post = f.gateway.send(Ask::new("POST", &format!("/media/{}/480.mp4", f.id))).await;
    assert_eq!(post.code(), "method-not-allowed");
}

#[tokio::test]
async fn headers_say_who_may_keep_and_read_it() {
    let f = public().await;
    let movie = f.get("480.mp4", &[("Origin", "null")]).await;
    assert_eq!(movie.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(movie.header("access-control-allow-origin"), Some("*"));
    assert_eq!(movie.header("access-control-allow-credentials"), None);
    assert_eq!(movie.header("content-disposition"), None);
    assert_eq!(f.get("master.m3u8", &[]).await.header("cache-control"), Some("public, no-cache"));
    let download = f.get("480.mp4?download=1", &[]).await;
    let disposition = "attachment; filename*=UTF-8''H%C3%A4schen%20480p.mp4";
    assert_eq!(download.header("content-disposition"), Some(disposition));
    let page = f.get("page", &[]).await;
    assert!(page.header("content-disposition").unwrap().starts_with("attachment"), "never shown as a page");
    assert_eq!(page.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(f.get("captions/en.vtt", &[]).await.status, 200);
    assert_eq!(f.get("captions%2Fen.vtt", &[]).await.status, 200);
}

#[tokio::test]
async fn nothing_outside_of_the_grant_can_be_reached() {
    let f = public().await;
    for name in [
        "",
        "other.mp4",
        "gone.mp4",
        "climb",
        "root",
        "../setup-token",
        "..%2f..%2fsetup-token",
        "%2e%2e/%2e%2e/setup-token",
        "480.mp4/",
        "480.mp4%00",
        "./480.mp4",
        "//480.mp4",
        "%2Fetc%2Fpasswd",
        "\\..\\setup-token",
    ] {
        let answer = f.get(name, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not-found"), "{name}");
    }
    for path in ["/media/nonsense/480.mp4", "/media/../setup-token", "/media/", "/media//480.mp4"] {
        assert_eq!(f.gateway.get(path).await.status, 404, "{path}");
    }
    // A link that somebody managed to put there is not followed.
    let link = f.gateway.context.data.media().join("v/gone.mp4");
    std::os::unix::fs::symlink(f.gateway.context.data.setup_token(), link).unwrap();
    assert!(f.get("gone.mp4", &[]).await.status >= 400);
}

/// A video that only `owner` may have.
async fn private() -> (Gateway, Tokens, VideoId, Grants, support::Upstream) {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let owner = gateway.user("owner").await;
    write_media(&gateway.context, "p/480.mp4", &bytes(5_000_000));
    let id = owner.id.clone();
    let rule = grants(move |_, user| {
        let granted = json!({"public": false, "files": [file("480.mp4", "p/480.mp4", "video/mp4")]});
        (user == Some(id.as_str())).then_some(granted)
    });
    let video = gateway.upstream("video", media_upstream(&rule)).await;
    (gateway, owner, VideoId::generate(), rule, video)
}

#[tokio::test]
async fn private_files_need_the_right_to_them() {
    let (gateway, owner, id, _rule, _video) = private().await;
    let stranger = gateway.user("stranger").await;
    let path = format!("/media/{id}/480.mp4");
    let ask = || Ask::new("GET", &path).header("Range", "bytes=0-9");
    assert_eq!(gateway.send(ask()).await.code(), "not-found");
    assert_eq!(gateway.send(ask().by(&stranger)).await.code(), "not-found");
    assert_eq!(gateway.send(ask().header("Authorization", "Bearer x.y.z")).await.code(), "token-invalid");
    let mine = gateway.send(ask().by(&owner)).await;
    assert_eq!((mine.status, mine.body), (206, bytes(10)));
    let mine = gateway.send(ask().by(&owner)).await;
    assert_eq!(mine.header("cache-control"), Some("private, no-store"));
    assert_eq!(mine.header("access-control-allow-origin"), None);
    assert_eq!(mine.header("cross-origin-resource-policy"), Some("same-origin"));

    let login = json!({"login": "owner", "password": PASSWORD});
    let cookies = gateway.post("/api/auth/login", &login).await.cookies();
    let cookie = |name: &str| cookies[name].split(';').next().unwrap().to_owned();
    let by_cookie = gateway.send(ask().header("Cookie", &cookie("djstream-media"))).await;
    assert_eq!(by_cookie.status, 206);
    let wrong_cookie = cookie("djstream-refresh").replace("refresh", "media");
    assert_eq!(gateway.send(ask().header("Cookie", &wrong_cookie)).await.status, 404);
    // The media token is good for media only, and the access token is no media token.
    let media = cookie("djstream-media").split_once('=').unwrap().1.to_owned();
    let me = Ask::new("GET", "/api/me").header("Authorization", &format!("Bearer {media}"));
    assert_eq!(gateway.send(me).await.code(), "token-invalid");
    let access = format!("djstream-media={}", owner.access);
    assert_eq!(gateway.send(ask().header("Cookie", &access)).await.status, 404);
    assert_eq!(gateway.send(Ask::new("GET", "/api/me").header("Cookie", &cookie("djstream-media"))).await.status, 401);
}

#[tokio::test]
async fn while_the_video_service_is_away_the_last_answer_holds() {
    let (gateway, owner, id, _rule, video) = private().await;
    let path = format!("/media/{id}/480.mp4");
    let ask = || Ask::new("GET", &path).header("Range", "bytes=0-9");
    assert_eq!(gateway.send(ask().by(&owner)).await.status, 206);
    video.stop().await;
    assert_eq!(gateway.send(ask().by(&owner)).await.status, 206);
    let unknown = gateway.send(ask()).await;
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn a_session_that_ends_ends_what_it_downloads() {
    let (gateway, owner, id, _rule, _video) = private().await;
    write_media(&gateway.context, "p/480.mp4", &bytes(60_000_000));
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "GET /media/{id}/480.mp4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        owner.access
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    let out = Ask::new("POST", "/api/auth/logout").json(&json!({"refreshToken": owner.refresh}));
    assert_eq!(gateway.send(out).await.status, 204);
    // Read slowly, as a player does, until it is cut.
    let (started, mut read) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(15) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => read += length,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read < 55_000_000, "everything was sent");
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_new_rendition_is_there_at_once() {
    let (gateway, owner, id, rule, _video) = private().await;
    let get = |name: &str| Ask::new("GET", &format!("/media/{id}/{name}")).header("Range", "bytes=0-9").by(&owner);
    assert_eq!(gateway.send(get("480.mp4")).await.status, 206);
    assert_eq!(gateway.send(get("720.mp4")).await.status, 404);
    *rule.lock().unwrap() = Box::new(|_, _| {
        let files = ["480.mp4", "720.mp4"].map(|name| file(name, "p/480.mp4", "video/mp4"));
        Some(json!({"public": false, "files": files}))
    });
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(gateway.send(get("720.mp4")).await.status, 206);
}
