//! What the gateway passes on, and what it does not.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kit::http::Body;
use proto::api::account::Role;
use proto::routes::{ROUTES, Service};
use serde_json::json;
use support::{Ask, Gateway, config, echo, json_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_client_cannot_say_who_it_is() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let _video = gateway.upstream("video", echo).await;
    let pretend = |ask: Ask| {
        ["X-DjStream-User", "X-DjStream-Role", "X-DjStream-Anything", "Forwarded", "X-Forwarded-For", "X-Real-IP"]
            .into_iter()
            .fold(ask, |ask, name| ask.header(name, "evil"))
            .header("Cookie", "djstream-refresh=secret")
            .header("X-Other", "kept")
    };
    let guest = gateway.send(pretend(Ask::new("GET", "/api/videos?sort=new"))).await.json();
    let headers = guest["headers"].as_object().unwrap();
    assert!(headers.values().all(|value| value != "evil"), "{headers:?}");
    assert!(!headers.contains_key("cookie") && !headers.contains_key("x-djstream-user"));
    assert_eq!((guest["path"].as_str(), headers["x-other"].as_str()), (Some("/api/videos?sort=new"), Some("kept")));
    assert_eq!(headers["x-djstream-origin"], "http://gateway.test");
    assert_eq!(headers["x-djstream-address"], "127.0.0.1");

    let known = gateway.send(pretend(Ask::new("GET", "/api/me/videos")).by(&admin)).await.json();
    let headers = known["headers"].as_object().unwrap();
    assert_eq!((&headers["x-djstream-user"], &headers["x-djstream-role"]), (&json!(admin.id), &json!("admin")));
    assert!(!headers.contains_key("authorization"), "no token leaves the gateway");
}

#[tokio::test]
async fn every_route_asks_for_the_role_of_the_table() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let user = gateway.user("alice").await;
    for route in ROUTES.iter().filter(|route| route.service != Service::Gateway) {
        let ask = Ask::new(route.method.name(), &route.pattern.replace(['{', '}'], ""));
        let guest = gateway.send(ask.clone()).await.status;
        let signed_in = gateway.send(ask.by(&user)).await.status;
        // Nobody runs behind it: who may pass gets 503.
        let expected = match route.least {
            Role::Guest => (503, 503),
            Role::User => (401, 503),
            Role::Moderator | Role::Admin => (401, 403),
        };
        assert_eq!((guest, signed_in), expected, "{route:?}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let gateway = Gateway::start().await;
    for (method, path, status, code) in [
        ("GET", "/api/nothing", 404, "not-found"),
        ("GET", "/api/", 404, "not-found"),
        ("GET", "/api/videos/a/b/c", 404, "not-found"),
        ("GET", "/internal/health", 404, "not-found"),
        ("GET", "/api/../internal/health", 404, "not-found"),
        ("DELETE", "/api/auth/login", 405, "method-not-allowed"),
        ("BREW", "/api/videos", 405, "method-not-allowed"),
        ("POST", "/", 405, "method-not-allowed"),
        ("GET", "/api/auth/oauth/x/start", 404, "not-found"),
    ] {
        let answer = gateway.send(Ask::new(method, path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(gateway.get("/api/auth/providers").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_service_that_is_away_is_503_and_back_at_once() {
    let gateway = Gateway::start().await;
    let answer = gateway.get("/api/videos").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "service-unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let video = gateway.upstream("video", echo).await;
    assert_eq!(gateway.get("/api/videos").await.status, 200);
    video.stop().await;
    assert_eq!(gateway.get("/api/videos").await.status, 503);
    let _video = gateway.upstream("video", echo).await;
    assert_eq!(gateway.get("/api/videos").await.status, 200);
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let gateway = Gateway::start().await;
    let _video = gateway.upstream("video", echo).await;
    let answer = gateway.send(Ask::new("HEAD", "/api/videos")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let answer = gateway.send(Ask::new("HEAD", "/api/instance")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

/// Counts the pieces of a body as they come, and says so at the end.
async fn pieces(request: Request<Body>) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let (mut count, mut bytes) = (0, 0);
    while let Some(Ok(frame)) = body.frame().await {
        count += 1;
        bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
    let length = parts.headers.get("content-length").map(|value| value.to_str().unwrap().to_owned());
    let mut response = json_response(http::StatusCode::OK, &json!({"pieces": count, "bytes": bytes, "length": length}));
    response.headers_mut().insert("upload-offset", bytes.into());
    response
}

#[tokio::test]
async fn an_upload_streams_and_never_waits_for_its_end() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let (arrived, mut first) = tokio::sync::mpsc::channel::<usize>(1_000);
    let _video = gateway
        .upstream("video", move |request: Request<Body>| {
            let arrived = arrived.clone();
            async move {
                let (parts, mut body) = request.into_parts();
                while let Some(Ok(frame)) = body.frame().await {
                    let _ = arrived.try_send(frame.data_ref().map_or(0, bytes::Bytes::len));
                }
                pieces(Request::from_parts(parts, Body::empty())).await
            }
        })
        .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "PATCH /api/uploads/abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 200000\r\nTus-Resumable: 1.0.0\r\n\r\n",
        admin.access
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; 100_000]).await.unwrap();
    let mut bytes = 0;
    while bytes < 100_000 {
        bytes += tokio::time::timeout(Duration::from_secs(5), first.recv()).await.expect("it was held back").unwrap();
    }
    stream.write_all(&vec![7; 100_000]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn lengths_that_contradict_each_other_smuggle_nothing() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let _video = gateway.upstream("video", pieces).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let text = format!(
        "PATCH /api/uploads/abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /internal/health HTTP/1.1\r\n\r\n",
        admin.access
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    // Refused, or read by one rule throughout.
    assert!(answer.starts_with("HTTP/1.1 400") || answer.contains("\"bytes\":5"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn other_origins_get_the_api_only_if_configured() {
    let mut config = config();
    config.http.cors_origins = vec!["https://app.example.org".to_owned()];
    let gateway = Gateway::start_with(config).await;
    let preflight = |origin: &str| {
        Ask::new("OPTIONS", "/api/uploads/x").header("Origin", origin).header("Access-Control-Request-Method", "PATCH")
    };
    let allowed = gateway.send(preflight("https://app.example.org")).await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example.org"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("Upload-Offset"));
    let refused = gateway.send(preflight("https://evil.example")).await;
    assert_eq!(refused.header("access-control-allow-origin"), None);
    let ask = |path: &str, origin: &str| Ask::new("GET", path).header("Origin", origin);
    let own = gateway.send(ask("/api/me", "https://app.example.org")).await;
    assert_eq!(own.header("access-control-allow-credentials"), Some("true"));
    let foreign = gateway.send(ask("/api/me", "https://evil.example")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    // What the embed page reads, in frames without an origin, and without credentials.
    let embed = gateway.send(ask("/api/instance", "null")).await;
    assert_eq!(embed.header("access-control-allow-origin"), Some("*"));
    assert_eq!(embed.header("access-control-allow-credentials"), None);
    // And what it tells: that somebody watches.
    let asks =
        |path: &str| Ask::new("OPTIONS", path).header("Origin", "null").header("Access-Control-Request-Method", "POST");
    let view = gateway.send(asks("/api/videos/x/views")).await;
    assert_eq!(view.header("access-control-allow-origin"), Some("*"));
    assert!(view.header("access-control-allow-headers").unwrap().contains("Content-Type"));
    let comment = gateway.send(asks("/api/videos/x/comments")).await;
    assert_eq!(comment.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn one_address_may_not_ask_for_everything_at_once() {
    let mut config = config();
    config.limits.per_address = true;
    config.limits.per_address_requests_per_s = 1;
    config.limits.per_address_requests_burst = 5;
    let gateway = Gateway::start_with(config).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(gateway.get("/api/instance").await.status);
    }
    assert!(statuses[..5].iter().all(|status| *status == 200) && statuses[7] == 429, "{statuses:?}");
}

#[tokio::test]
async fn one_person_may_not_take_all_the_places() {
    let mut config = config();
    config.limits.calls_at_once = 2;
    let gateway = Gateway::start_with(config).await;
    gateway.admin().await;
    let (alice, bob) = (gateway.user("alice").await, gateway.user("bob").await);
    let _video = gateway
        .upstream("video", async |request| {
            tokio::time::sleep(Duration::from_millis(400)).await;
            echo(request).await
        })
        .await;
    let slow = || gateway.send(Ask::new("GET", "/api/me/videos").by(&alice));
    let other = gateway.send(Ask::new("GET", "/api/me/videos").by(&bob));
    let (a, b, c, d) = tokio::join!(slow(), slow(), slow(), other);
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!((statuses, d.status), ([200, 200, 429], 200));
}
