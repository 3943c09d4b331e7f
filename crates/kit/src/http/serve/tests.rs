#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::time::timeout;
use warp::Filter;

use super::*;
use crate::http::{bind_tcp, filter, reply, service};

const SECOND: Duration = Duration::from_secs(1);

fn options() -> ServeOptions {
    ServeOptions {
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(600),
        write_timeout: SECOND,
        pace: Some(Pace { bytes_per_window: 1_000, window: Duration::from_millis(300) }),
        connections_max: 4,
        drain_timeout: SECOND,
    }
}

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

fn start(handler: impl Handler, options: ServeOptions) -> Server {
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let own = shutdown.clone();
    let task = tokio::spawn(async move { serve_tcp(listener, handler, options, &own).await });
    Server { address, shutdown, task }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a connection of its own and reads until the server closes it.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// Whatever comes until the end; a reset counts as the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(10 * SECOND, stream.read_to_end(&mut text)).await.expect("the server does not close");
    String::from_utf8(text).unwrap()
}

/// One answer with a `Content-Length`, on a connection that stays open.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    let length = text.to_lowercase().split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse();
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    text + std::str::from_utf8(&body).unwrap()
}

async fn echo(request: Request<Body>) -> Response<Body> {
    match request.into_body().read(1_000_000).await {
        Ok(bytes) => Response::new(Body::full(bytes)),
        Err(error) => reply::problem_body(&reply::body_problem(&error)),
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let server = start(echo, options());
    let mut stream = server.connect().await;
    let begun = Instant::now();
    let dripping = async {
        for byte in GET.bytes().cycle() {
            if stream.write_all(&[byte.max(b'A')]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(5 * SECOND, dripping).await.unwrap();
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_silent_connection_is_cut_and_a_used_one_is_kept() {
    let server = start(echo, options());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert!(one_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        // Longer than the header's patience, shorter than that with silence.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let begun = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(begun.elapsed() < 2 * SECOND);
}

#[tokio::test]
async fn a_body_below_the_least_rate_is_cut() {
    let server = start(echo, options());
    let begun = Instant::now();
    let answer = server.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nstart").await;
    assert!(answer.contains("too slowly"), "{answer}");
    assert!(begun.elapsed() < 4 * SECOND);
}

#[tokio::test]
async fn a_body_above_the_least_rate_is_not_cut() {
    let server = start(echo, options());
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n").await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(&[b'a'; 1_000]).await.unwrap();
    }
    let answer = timeout(5 * SECOND, one_answer(&mut stream)).await.unwrap();
    assert!(answer.ends_with(&"a".repeat(10_000)), "{}", &answer[..200]);
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_cut() {
    let pieces = Arc::new(AtomicUsize::new(0));
    let counted = pieces.clone();
    let endless = move |_| {
        let counted = counted.clone();
        async move {
            let stream = futures_util::stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from_static(&[0; 16_384]))
            });
            Response::new(Body::stream(stream))
        }
    };
    let server = start(endless, options());
    let mut stream = server.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    tokio::time::sleep(3 * SECOND).await;
    let sent = pieces.load(Ordering::Relaxed);
    assert!(sent < 2_000, "{sent} pieces went to a client that does not read");
    server.shutdown.request();
    timeout(SECOND / 2, server.task).await.expect("the connection was still there").unwrap();
}

#[tokio::test]
async fn a_connection_over_the_cap_is_told_so_and_places_come_back() {
    let server = start(echo, options());
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect().await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        one_answer(&mut stream).await;
        held.push(stream);
    }
    let mut stream = server.connect().await;
    let answer = one_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: 1"), "{answer}");
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let problem: proto::Problem = serde_json::from_str(body).unwrap();
    assert!(problem.is(proto::codes::OVERLOADED));
    held.clear();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut stream = server.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert!(one_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_drain_lets_requests_end_and_turns_new_ones_away() {
    let slow = |_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Response::new(Body::full("done"))
    };
    let server = start(slow, options());
    let mut idle = server.connect().await;
    idle.write_all(GET.as_bytes()).await.unwrap();
    one_answer(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(GET.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.request();
    assert_eq!(rest(&mut idle).await, "");
    assert!(rest(&mut busy).await.ends_with("done"));
    timeout(SECOND, server.task).await.expect("the drain does not end").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn the_drain_has_a_deadline() {
    let server = start(|_| std::future::pending(), options());
    let mut stream = server.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.request();
    let begun = Instant::now();
    timeout(3 * SECOND, server.task).await.expect("the drain does not end").unwrap();
    assert!(begun.elapsed() >= SECOND);
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error() {
    async fn defect(_: Request<Body>) -> Response<Body> {
        panic!("a defect")
    }
    let server = start(defect, options());
    let mut stream = server.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    let answer = one_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("\"code\":\"internal\""), "{answer}");
}

#[tokio::test]
async fn a_client_sees_the_answer_although_its_body_was_not_read() {
    let early = |_| async { reply::problem_body(&proto::Problem::new(proto::codes::BODY_TOO_LARGE, "No.")) };
    let server = start(early, options());
    let mut stream = server.connect().await;
    let body = vec![b'a'; 2_000_000];
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n").await.unwrap();
    stream.write_all(&body).await.unwrap();
    let answer = one_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Note {
    text: String,
}

fn notes() -> impl Handler {
    let post = warp::path!("notes")
        .and(warp::post())
        .and(filter::json_body::<Note>(100))
        .then(async |note: Result<Note, proto::Problem>| reply::created(note));
    let get = warp::path!("notes" / u32)
        .and(warp::get())
        .then(async |number: u32| reply::json(StatusCode::OK, &Note { text: number.to_string() }));
    service(post.or(get).unify().boxed())
}

#[tokio::test]
async fn routes_answer_errors_as_problems() {
    let server = start(notes(), options());
    let post = |kind: &str, body: &str| {
        let length = body.len();
        format!(
            "POST /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let close = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let chunked = format!(
        "POST /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "40\r\n                                                                \r\n".repeat(2)
    );
    let long = format!("{{\"text\":\"{}\"}}", "a".repeat(100));
    for (request, status, part) in [
        (post("application/json", r#"{"text":"a"}"#), "201", r#"{"text":"a"}"#),
        (post("application/json; charset=utf-8", r#"{"text":"a"}"#), "201", r#"{"text":"a"}"#),
        (post("application/json", r#"{"text":"a","x":1}"#), "422", r#""code":"unknown-field""#),
        (post("application/json", r#"{"text":1}"#), "422", r#""field":"text""#),
        (post("application/json", "{"), "400", r#""code":"invalid-json""#),
        (post("text/plain", "{}"), "415", r#""code":"unsupported-media-type""#),
        (post("application/json", &long), "413", r#""code":"body-too-large""#),
        (chunked, "413", r#""code":"body-too-large""#),
        (close("GET /notes/7"), "200", r#"{"text":"7"}"#),
        (close("GET /notes/seven"), "404", r#""code":"not-found""#),
        (close("GET /elsewhere"), "404", r#""code":"not-found""#),
        (close("GET /notes"), "405", r#""code":"method-not-allowed""#),
    ] {
        let answer = server.exchange(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(part), "{request}\n{answer}");
        assert!(status.starts_with('2') || answer.contains("application/problem+json"), "{answer}");
    }
    let head = server.exchange(&close("HEAD /notes/7")).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 12"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}
