//! The notification socket's tunnel.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kit::http::Body;
use serde_json::json;
use support::{Ask, Gateway, Tokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A notification process that agrees to every upgrade, says who it is for, and echoes.
async fn agree(mut request: Request<Body>) -> Response<Body> {
    let hello = format!(
        "{} {}\n",
        request.uri(),
        request.headers().get("x-djstream-username").map_or("nobody", |value| value.to_str().unwrap())
    );
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        io.write_all(hello.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = io.read(&mut buffer).await {
            if io.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", "upgrade".parse().unwrap());
    response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    response
}

async fn ticket(gateway: &Gateway, tokens: &Tokens) -> String {
    let answer = gateway.send(Ask::new("POST", "/api/notifications/ticket").by(tokens)).await;
    assert_eq!((answer.status, answer.json()["expiresIn"].as_u64()), (200, Some(30)));
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

fn upgrade(query: &str) -> Ask {
    Ask::new("GET", &format!("/api/notifications/socket{query}"))
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
}

/// Opens a tunnel; the first line that comes through it.
async fn open(gateway: &Gateway, query: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let text = format!(
        "GET /api/notifications/socket{query} HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nX-DjStream-Username: evil\r\nOrigin: http://gateway.test\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let head = until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let hello = until(&mut stream, "\n").await;
    (stream, hello)
}

async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await.expect("nothing came").unwrap();
        text.push(char::from(byte));
    }
    text
}

#[tokio::test]
async fn a_ticket_opens_one_socket_to_whom_it_belongs() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let alice = gateway.user("alice").await;
    let _home = gateway.upstream("notification-0", agree).await;
    let _other = gateway.upstream("notification-1", agree).await;
    let ticket = ticket(&gateway, &alice).await;
    let (mut stream, hello) = open(&gateway, &format!("?ticket={ticket}&after=abc")).await;
    assert_eq!(hello, "/api/notifications/socket?after=abc alice\n");
    stream.write_all(b"hello there").await.unwrap();
    let mut echo = [0; 11];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello there");
    // The ask closes its connection, so it says `Connection: close`; the ticket is looked at after the upgrade.
    let again = gateway.send(upgrade(&format!("?ticket={ticket}")).header("Connection", "upgrade")).await;
    assert_eq!(again.code(), "ticket-invalid");
    let none = gateway.send(upgrade("").header("Connection", "upgrade")).await;
    assert_eq!(none.code(), "ticket-invalid");
    assert_eq!(gateway.send(Ask::new("POST", "/api/notifications/ticket")).await.code(), "not-signed-in");
    assert_eq!(gateway.get("/api/notifications/socket?ticket=x").await.code(), "invalid-request");
}

#[tokio::test]
async fn another_sites_page_cannot_use_a_ticket() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let ticket = ticket(&gateway, &admin).await;
    let foreign =
        upgrade(&format!("?ticket={ticket}")).header("Connection", "upgrade").header("Origin", "https://evil.example");
    assert_eq!(gateway.send(foreign).await.code(), "cross-site");
}

#[tokio::test]
async fn if_the_own_process_is_away_another_one_takes_the_socket() {
    let gateway = Gateway::start().await;
    gateway.admin().await;
    let _other = gateway.upstream("notification-1", agree).await;
    // Whichever process is each person's own, all of them get in.
    for username in ["anna", "bert", "carl", "dora"] {
        let tokens = gateway.user(username).await;
        let (_stream, hello) = open(&gateway, &format!("?ticket={}", ticket(&gateway, &tokens).await)).await;
        assert_eq!(hello, format!("/api/notifications/socket {username}\n"));
    }
}

#[tokio::test]
async fn without_any_process_it_is_503() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let ticket = ticket(&gateway, &admin).await;
    let answer = gateway.send(upgrade(&format!("?ticket={ticket}")).header("Connection", "upgrade")).await;
    assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("service-unavailable", Some("1")));
}

#[tokio::test]
async fn a_session_that_ends_closes_its_sockets_and_no_other() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin().await;
    let alice = gateway.user("alice").await;
    let _home = gateway.upstream("notification-0", agree).await;
    let (mut mine, _) = open(&gateway, &format!("?ticket={}", ticket(&gateway, &alice).await)).await;
    let (mut other, _) = open(&gateway, &format!("?ticket={}", ticket(&gateway, &admin).await)).await;
    let suspend = Ask::new("PATCH", &format!("/api/admin/users/{}", alice.id)).by(&admin);
    assert_eq!(gateway.send(suspend.json(&json!({"state": "suspended"}))).await.status, 200);
    let mut buffer = [0; 8];
    let end = tokio::time::timeout(Duration::from_secs(2), mine.read(&mut buffer)).await.expect("it stays open");
    assert!(matches!(end, Ok(0) | Err(_)));
    other.write_all(b"still").await.unwrap();
    other.read_exact(&mut buffer[..5]).await.unwrap();
    assert_eq!(&buffer[..5], b"still");
    // And all of them at the end.
    gateway.context.shutdown.request();
    let end = tokio::time::timeout(Duration::from_secs(3), other.read(&mut buffer)).await.expect("it stays open");
    assert!(matches!(end, Ok(0) | Err(_)));
}
