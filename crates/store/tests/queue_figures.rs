//! Figures of the work queues, printed:
//! `cargo test --profile ci -p store --test queue_figures -- --ignored --nocapture --test-threads 1`.
//!
//! `STORE_FIGURES` is the folder to measure in, `STORE_FIGURES_BACKLOG` the large backlog (a million).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use store::{Batch, Options, Push, Queue, Store};
use tempfile::TempDir;
use tokio::sync::oneshot;

const JOBS: Queue<Job> = Queue::new("jobs");
const PRODUCERS: usize = 256;
const JOB_BYTES: usize = 200;
/// Of so many rounds the middle one counts: what is compared alternates.
const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    /// What is to be done, of such a length that the record has 200 bytes.
    text: String,
}

fn job(number: usize) -> Job {
    let mut text = "x".repeat(JOB_BYTES - 28);
    let _ = write!(text, "{number:020}");
    Job { text }
}

fn tempdir() -> TempDir {
    TempDir::new_in(std::env::var("STORE_FIGURES").unwrap_or("/tmp".into())).unwrap()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Does `one` in 256 tasks for the time, and says how often a second.
async fn rate<F, Fut>(one: F) -> f64
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let tasks: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while start.elapsed() < TIME {
                    one(producer + done * PRODUCERS).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done as f64 / start.elapsed().as_secs_f64()
}

type Record = (Vec<u8>, oneshot::Sender<()>);

/// The least that a durable queue can do: records appended to a file, one `fdatasync` a group.
fn bare_file(path: &std::path::Path) -> flume::Sender<Record> {
    let (sender, receiver) = flume::bounded::<Record>(1024);
    let mut file = File::create(path).unwrap();
    std::thread::spawn(move || {
        while let Ok(first) = receiver.recv() {
            let (mut bytes, mut replies) = (first.0, vec![first.1]);
            while let Some((record, reply)) = receiver.try_recv().ok().filter(|_| replies.len() < 256) {
                bytes.extend_from_slice(&record);
                replies.push(reply);
            }
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
            for reply in replies {
                let _ = reply.send(());
            }
        }
    });
    sender
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, asserts nothing"]
async fn push_by_256_producers_beside_a_bare_file() {
    let (mut all_bare, mut all_pushed, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempdir();
        let file = bare_file(&folder.path().join("bare"));
        let bare = rate(move |number| {
            let file = file.clone();
            async move {
                let (reply, answer) = oneshot::channel();
                let mut record = job(number).text.into_bytes();
                record.resize(JOB_BYTES, b' ');
                file.send_async((record, reply)).await.unwrap();
                answer.await.unwrap();
            }
        })
        .await;
        let store = Store::open(&folder.path().join("store"), Options::default()).unwrap();
        let pushing = store.clone();
        let pushed = rate(move |number| {
            let store = pushing.clone();
            async move {
                let written = store.write(Batch::new().push(JOBS, Push::new(&job(number)))).await.unwrap();
                assert_eq!(written.jobs.len(), 1);
            }
        })
        .await;
        println!("bare file {bare:.0} a second, queue push {pushed:.0} a second: {:.2} of it", pushed / bare);
        all_bare.push(bare);
        all_pushed.push(pushed);
        ratios.push(pushed / bare);
    }
    let (bare, pushed, ratio) = (median(all_bare), median(all_pushed), median(ratios));
    println!("in the middle: bare file {bare:.0}, queue push {pushed:.0}, {ratio:.2} of it");
}

/// Fills the queue up to a backlog, as fast as it goes.
async fn fill(store: &Store, backlog: u64) {
    let mut depth = store.queue(JOBS).depth().unwrap().ready;
    while depth < backlog {
        let some = (backlog - depth).min(1024);
        let batch = (0..some).fold(Batch::new(), |batch, number| {
            batch.push(JOBS, Push::new(&job(usize::try_from(depth + number).unwrap())))
        });
        store.write(batch).await.unwrap();
        depth += some;
    }
}

/// Jobs leased and completed in batches of 256, until so many are done: microseconds a job.
async fn pop(store: &Store, jobs: usize) -> f64 {
    let queue = store.queue(JOBS);
    let (start, mut done) = (Instant::now(), 0);
    while done < jobs {
        let leased = queue.lease(None, 256.min(jobs - done), 60_000, 0).await.unwrap();
        assert!(!leased.is_empty());
        done += leased.len();
        let batch = leased.iter().fold(Batch::new(), Batch::complete);
        store.write(batch).await.unwrap();
    }
    start.elapsed().as_micros() as f64 / done as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, asserts nothing"]
async fn pop_and_complete_at_two_backlogs() {
    let large = std::env::var("STORE_FIGURES_BACKLOG").map_or(1_000_000, |number| number.parse().unwrap());
    let folder = tempdir();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let small_folder = tempdir();
    let small = Store::open(small_folder.path(), Options::default()).unwrap();
    let start = Instant::now();
    fill(&store, large).await;
    println!("filled to {large} in {:?}", start.elapsed());
    let start = Instant::now();
    let depth = store.queue(JOBS).depth().unwrap();
    println!("depth in {:?}: {depth:?}", start.elapsed());
    let (mut at_small, mut at_large) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut micros = 0.0;
        for _ in 0..20 {
            fill(&small, 2000).await;
            micros += pop(&small, 1000).await / 20.0;
        }
        at_small.push(micros);
        at_large.push(pop(&store, 20_000).await);
        println!("at 1,000 to 2,000: {micros:.2} µs a job; at {large}: {:.2} µs", at_large[at_large.len() - 1]);
    }
    let (small, large) = (median(at_small), median(at_large));
    println!("in the middle: {:.0} and {:.0} a second, {:.2} of it", 1e6 / small, 1e6 / large, small / large);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, asserts nothing"]
async fn leasing_behind_many_that_are_leased() {
    let folder = tempdir();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    fill(&store, 50_000).await;
    let queue = store.queue(JOBS);
    for held in [0, 1_000, 10_000, 40_000] {
        let leased = queue.depth().unwrap().leased;
        let more = usize::try_from(held - leased).unwrap();
        if more > 0 {
            queue.lease(None, more, 60_000, 0).await.unwrap();
        }
        let start = Instant::now();
        for _ in 0..50 {
            queue.lease(None, 1, 60_000, 0).await.unwrap();
        }
        println!("{held} leased: {:?} for one more", start.elapsed() / 50);
    }
}
