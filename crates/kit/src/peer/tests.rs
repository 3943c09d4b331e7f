#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use warp::Filter;

use super::*;
use crate::config::Config;
use crate::http::{Handler, ServeOptions, UnixSocket, bind_tcp, filter, serve_tcp, serve_unix, service};
use crate::shutdown::Shutdown;

struct Service {
    _scratch: tempfile::TempDir,
    path: PathBuf,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

fn start(handler: impl Handler) -> Service {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("video.sock");
    let shutdown = Shutdown::new();
    let task = serve_at(&path, handler, &shutdown);
    Service { _scratch: scratch, path, shutdown, task }
}

fn serve_at(path: &Path, handler: impl Handler, shutdown: &Shutdown) -> tokio::task::JoinHandle<()> {
    let socket = UnixSocket::bind(path).unwrap();
    let (options, shutdown) = (ServeOptions::service(&Config::default()), shutdown.clone());
    tokio::spawn(async move { serve_unix(socket, handler, options, &shutdown).await })
}

impl Service {
    fn peer(&self) -> Peer {
        Peer::at("video", &self.path)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    a: u32,
    b: u32,
}

fn sums() -> impl Handler {
    let add = warp::path!("add").and(warp::post()).and(filter::caller()).and(filter::json_body::<Sum>(1_000)).then(
        async |caller: Caller, sum: Result<Sum, Problem>| {
            reply::answer(sum.map(|sum| (sum.a + sum.b, caller.username)))
        },
    );
    let nothing = warp::path!("nothing").and(warp::get()).then(async || reply::empty(StatusCode::NO_CONTENT));
    service(add.or(nothing).unify().boxed())
}

#[tokio::test]
async fn calls_carry_json_and_the_caller_and_problems_come_back() {
    let service = start(sums());
    let peer = service.peer();
    let answer: (u32, Option<String>) = peer.post("/add", &Sum { a: 1, b: 2 }).await.unwrap();
    assert_eq!(answer, (3, None));
    let mut caller = Caller::guest();
    (caller.user, caller.username) = (Some(proto::UserId::generate()), Some("ada".to_owned()));
    let answer: (u32, Option<String>) =
        peer.call(Method::POST, "/add", Some(&caller), Some(&Sum { a: 1, b: 2 })).await.unwrap();
    assert_eq!(answer, (3, Some("ada".to_owned())));
    peer.get::<()>("/nothing").await.unwrap();
    assert_eq!(peer.find::<u32>("/unknown").await.unwrap(), None);
    assert!(peer.get::<u32>("/unknown").await.unwrap_err().is(codes::NOT_FOUND));
    let problem = peer.post::<_, u32>("/add", &"text").await.unwrap_err();
    assert!(problem.is(codes::INVALID_FIELD), "{problem}");
}

#[tokio::test]
async fn nobody_listening_is_service_unavailable_and_a_restart_is_noticed() {
    let service = start(sums());
    let peer = service.peer();
    peer.get::<()>("/nothing").await.unwrap();
    service.shutdown.request();
    service.task.await.unwrap();
    let problem = peer.get::<()>("/nothing").await.unwrap_err();
    assert!(problem.is(codes::SERVICE_UNAVAILABLE) && problem.retry_after_s == Some(1), "{problem}");
    let _again = serve_at(&service.path, sums(), &Shutdown::new());
    for _ in 0..20 {
        peer.get::<()>("/nothing").await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_breaks_after_it_was_sent_is_not_repeated() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("broken.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).await.unwrap() > 0 {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let problem = Peer::at("broken", &path).get::<()>("/x").await.unwrap_err();
    assert!(problem.is(codes::SERVICE_UNAVAILABLE), "{problem}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn calls_over_the_cap_are_refused_at_once() {
    let service = start(|_| async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Response::new(Body::empty())
    });
    let peer = service.peer();
    let calls = (0..PEER_CALLS_AT_ONCE + 10).map(|_| {
        let peer = peer.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            (peer.get::<()>("/").await, begun.elapsed())
        })
    });
    let mut refused = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            (Ok(()), _) => {}
            (Err(problem), elapsed) => {
                assert!(problem.is(codes::OVERLOADED) && elapsed < Duration::from_millis(400), "{problem} {elapsed:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 10);
    peer.get::<()>("/").await.unwrap();
}

/// A gateway in front of a service: what the client sends arrives, and what the service answers comes back.
fn gateway(peer: Peer) -> impl Handler {
    move |request: Request<Body>| {
        let peer = peer.clone();
        async move {
            let answer = if tunnel::is_upgrade(request.headers()) {
                peer.tunnel(request, CancellationToken::new()).await
            } else {
                peer.forward(request).await
            };
            answer.unwrap_or_else(|problem| reply::problem_body(&problem))
        }
    }
}

async fn through_a_gateway(service: &Service) -> tokio::net::TcpStream {
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (handler, options) = (gateway(service.peer()), ServeOptions::public(&Config::default()));
    tokio::spawn(async move { serve_tcp(listener, handler, options, &Shutdown::new()).await });
    tokio::net::TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn fifty_megabytes_stream_through_in_both_directions() {
    const LENGTH: usize = 50 * 1024 * 1024;
    let service = start(|request: Request<Body>| async { Response::new(request.into_body()) });
    let stream = through_a_gateway(&service).await;
    let (mut reader, mut writer) = stream.into_split();
    let sent: Vec<u8> = (0..LENGTH).map(|n| ((n * 31) >> 3) as u8).collect();
    let head = format!("PUT /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n");
    let mut received = Vec::with_capacity(LENGTH + 1024);
    let write = async {
        writer.write_all(head.as_bytes()).await.unwrap();
        writer.write_all(&sent).await.unwrap();
    };
    let both = async { tokio::join!(write, reader.read_to_end(&mut received)).1 };
    timeout(Duration::from_secs(30), both).await.unwrap().unwrap();
    let start = received.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    assert!(received[start..] == sent[..], "{} bytes came back", received.len() - start);
}

#[tokio::test]
async fn a_request_is_encoded_anew() {
    let service = start(|request: Request<Body>| async {
        let (parts, body) = request.into_parts();
        let body = body.read(1_000).await.unwrap();
        Response::new(Body::full(format!("{:?} {:?}", parts.headers, body)))
    });
    let mut stream = through_a_gateway(&service).await;
    let smuggled = "POST /a HTTP/1.1\r\nHost: x\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
        Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
    stream.write_all(smuggled.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let refused = answer.starts_with("HTTP/1.1 400");
    assert!(refused || answer.contains("abcd"), "{answer}");
    for gone in ["x-hop", "keep-alive", "\"3\""] {
        assert!(!answer.contains(gone), "{gone} in {answer}");
    }
}

#[tokio::test]
async fn an_early_answer_arrives_although_the_body_is_long() {
    let service = start(|_| async { reply::problem_body(&Problem::new(codes::UPLOAD_OFFSET_MISMATCH, "No.")) });
    for _ in 0..5 {
        let mut stream = through_a_gateway(&service).await;
        let head = "PATCH /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        tokio::spawn(async move {
            let _ = writer.write_all(&vec![0; 3_000_000]).await;
            writer
        });
        let mut answer = [0; 12];
        timeout(Duration::from_secs(5), reader.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 409");
    }
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let service = start(|mut request: Request<Body>| async move {
        let raw = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut raw = hyper_util::rt::TokioIo::new(raw.await.unwrap());
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = raw.read(&mut buffer).await {
                raw.write_all(&buffer[..length].to_ascii_uppercase()).await.unwrap();
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(http::header::UPGRADE, HeaderValue::from_static("shout"));
        response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        response
    });
    let mut stream = through_a_gateway(&service).await;
    stream.write_all(b"GET /s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n").await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("upgrade: shout"), "{head}");
    let mut answer = [0; 5];
    for _ in 0..3 {
        stream.write_all(b"hello").await.unwrap();
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HELLO");
    }
}

#[test]
fn segments_are_encoded() {
    assert_eq!(segment("a/b?c ü"), "a%2Fb%3Fc%20%C3%BC");
    assert_eq!(segment("ada_l.-~"), "ada_l.-~");
}
