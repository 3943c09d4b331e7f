#![allow(clippy::unwrap_used)]

use http::Method;
use store::{Batch, Options, Push};

use super::*;
use crate::config::Config;
use crate::http::{ServeOptions, UnixSocket, serve_unix, service};
use crate::{Peer, Shutdown};

const JOBS: Queue<String> = Queue::new("jobs");
const OTHER: Queue<u64> = Queue::new("other").bounded(2);

struct Bench {
    scratch: tempfile::TempDir,
    store: Store,
    peer: Peer,
    _shutdown: tokio_util::sync::DropGuard,
}

fn bench() -> Bench {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(&scratch.path().join("store"), Options::default()).unwrap();
    let queues = Queues::new("video", &store).with(JOBS).with(OTHER);
    let path = scratch.path().join("video.sock");
    let socket = UnixSocket::bind(&path).unwrap();
    let shutdown = Shutdown::new();
    let guard = shutdown.token().clone().drop_guard();
    let options = ServeOptions::service(&Config::default());
    tokio::spawn(async move { serve_unix(socket, service(queues.routes()), options, &shutdown).await });
    Bench { peer: Peer::at("video", &path), scratch, store, _shutdown: guard }
}

impl Bench {
    async fn push(&self, texts: &[&str]) {
        let batch = texts.iter().fold(Batch::new(), |batch, text| batch.push(JOBS, Push::new(&(*text).to_owned())));
        self.store.write(batch).await.unwrap();
    }

    /// Makes the first so many jobs dead letters.
    async fn kill(&self, count: usize) {
        let leased = self.store.queue(JOBS).lease(None, count, 60_000, 1).await.unwrap();
        let batch = leased.iter().fold(Batch::new(), |batch, leased| batch.bury(leased, "it cannot be done"));
        self.store.write(batch).await.unwrap();
    }

    async fn jobs(&self, query: &str) -> Page<QueuedJob> {
        self.peer.get(&format!("/internal/queues/jobs/jobs{query}")).await.unwrap()
    }

    async fn act(&self, method: Method, path: &str) -> Result<(), Problem> {
        self.peer.call(method, &format!("/internal/queues/{path}"), None, None::<&()>).await
    }
}

fn ids(page: &Page<QueuedJob>) -> Vec<u64> {
    page.items.iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn queues_are_listed_with_what_is_in_them() {
    let bench = bench();
    bench.push(&["a", "b", "c"]).await;
    bench.kill(1).await;
    bench.store.queue(JOBS).lease(None, 1, 60_000, 1).await.unwrap();
    let listed: Vec<QueueDepth> = bench.peer.get("/internal/queues").await.unwrap();
    let depth = |name: &str, ready, leased, dead, limit| QueueDepth {
        name: name.to_owned(),
        ready,
        delayed: 0,
        leased,
        dead,
        limit,
    };
    assert_eq!(listed, [depth("video/jobs", 1, 1, 1, None), depth("video/other", 0, 0, 0, Some(2))]);
    assert!(bench.scratch.path().exists());
}

#[tokio::test]
async fn jobs_are_shown_in_pages_and_by_state() {
    let bench = bench();
    bench.push(&["a", "b", "c", "d"]).await;
    bench.kill(1).await;
    bench.store.queue(JOBS).lease(None, 1, 60_000, 1).await.unwrap();
    let first = bench.jobs("?limit=3").await;
    assert_eq!(ids(&first), [1, 2, 3]);
    assert_eq!(
        first.items[0],
        QueuedJob {
            id: 1,
            state: QueuedState::Dead,
            lane: 0,
            attempt: 1,
            due: None,
            job: Some("\"a\"".to_owned()),
            reason: Some("it cannot be done".to_owned()),
        }
    );
    let token = first.next_page_token.unwrap();
    let second = bench.jobs(&format!("?limit=3&pageToken={token}")).await;
    assert_eq!((ids(&second), second.next_page_token), (vec![4], None));
    for (state, expected) in [("dead", vec![1]), ("leased", vec![2]), ("queued", vec![3, 4]), ("blocked", vec![])] {
        assert_eq!(ids(&bench.jobs(&format!("?state={state}")).await), expected, "{state}");
    }
    for query in ["?state=asleep", "?limit=0", "?pageToken=x"] {
        let problem = bench.peer.get::<()>(&format!("/internal/queues/jobs/jobs{query}")).await.unwrap_err();
        assert!(matches!(problem.status, 400 | 422), "{query}: {problem}");
    }
    let problem = bench.peer.get::<()>("/internal/queues/none/jobs").await.unwrap_err();
    assert_eq!(problem.status, 404);
}

#[tokio::test]
async fn dead_letters_are_tried_again_or_dropped_and_nothing_else_is() {
    let bench = bench();
    bench.push(&["a", "b", "c", "d"]).await;
    bench.kill(2).await;
    bench.act(Method::POST, "jobs/jobs/1/retry").await.unwrap();
    bench.act(Method::DELETE, "jobs/jobs/2").await.unwrap();
    for (method, path) in [
        (Method::POST, "jobs/jobs/1/retry"),
        (Method::DELETE, "jobs/jobs/1"),
        (Method::DELETE, "jobs/jobs/2"),
        (Method::DELETE, "jobs/jobs/3"),
        (Method::POST, "jobs/jobs/99/retry"),
        (Method::POST, "none/jobs/1/retry"),
    ] {
        assert_eq!(bench.act(method, path).await.unwrap_err().status, 404, "{path}");
    }
    assert_eq!(ids(&bench.jobs("").await), [1, 3, 4]);
    let leased = bench.store.queue(JOBS).lease(None, 9, 60_000, clock::now().ms()).await.unwrap();
    let found: Vec<_> = leased.iter().map(|leased| (leased.job.as_str(), leased.attempt)).collect();
    assert_eq!(found, [("c", 0), ("d", 0), ("a", 0)], "with no failures, behind the others");
}

#[tokio::test]
async fn a_full_queue_is_overload_and_says_when_to_come_back() {
    let bench = bench();
    let push = || bench.store.write(Batch::new().push(OTHER, Push::new(&7)));
    push().await.unwrap();
    push().await.unwrap();
    let problem = problem::of_write(&push().await.unwrap_err());
    assert_eq!((problem.status, problem.code.as_str()), (503, "overloaded"));
    assert_eq!(problem.retry_after_s, Some(crate::limits::QUEUE_RETRY_AFTER_S));
}
