//! Figures, printed: `cargo test --profile ci -p store --test figures -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use store::{Batch, Counter, Log, Options, Push, Queue, Scan, Store, Table};
use tempfile::TempDir;

#[derive(Serialize, Deserialize)]
struct Row {
    title: String,
    channel: [u8; 16],
    views: u64,
    tags: Vec<String>,
}

const ROWS: Table<[u8; 16], Row> = Table::new("rows");
const COUNT: Counter<u8> = Counter::new("count");
const EVENTS: Log<u64> = Log::new("events", &[]);
const JOBS: Queue<u64> = Queue::new("jobs");

/// The process's own memory in KiB.
fn memory_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss_Anon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn row(number: u64) -> ([u8; 16], Row) {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let tags = vec!["one".to_owned(), "two".to_owned()];
    (id, Row { title: format!("The title of row {number}"), channel: id, views: number, tags })
}

async fn write_for(store: &Store, writers: u64, time: Duration, all_kinds: bool) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while start.elapsed() < time {
                    let number = writer * 1_000_000 + done;
                    let (id, row) = row(number);
                    let mut batch = Batch::new().put(ROWS, &id, &row);
                    if all_kinds {
                        batch = batch.assert_absent(ROWS, &[9; 16]).add(COUNT, &1, 1).append(EVENTS, &number);
                        batch = batch.push(JOBS, Push::new(&number));
                    }
                    store.write(batch).await.unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, asserts nothing"]
async fn figures() {
    let before = memory_kib();
    let folders: Vec<_> =
        (0..5).map(|_| TempDir::new_in(std::env::var("STORE_FIGURES").unwrap_or("/tmp".into())).unwrap()).collect();
    let start = Instant::now();
    let stores: Vec<_> = folders.iter().map(|folder| Store::open(folder.path(), Options::default()).unwrap()).collect();
    println!("new: {:?} a store, {} KiB of memory a store", start.elapsed() / 5, (memory_kib() - before) / 5);
    let store = &stores[0];
    let time = Duration::from_secs(3);
    for (writers, all_kinds) in [(1, false), (64, false), (64, true), (256, true)] {
        let rate = write_for(store, writers, time, all_kinds).await;
        println!("{writers} writers, all kinds of operations: {all_kinds}: {rate:.0} batches a second");
    }
    let queue = store.queue(JOBS);
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < time {
        let mut batch = Batch::new();
        for leased in queue.lease(None, 256, 60_000, 0).await.unwrap() {
            batch = batch.complete(&leased);
            done += 1;
        }
        if batch.is_empty() {
            break;
        }
        store.write(batch).await.unwrap();
    }
    println!(
        "queue: {:.0} jobs leased and completed a second, 256 a batch",
        done as f64 / start.elapsed().as_secs_f64()
    );
    let (start, mut reads) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        for number in 0..1000 {
            assert!(store.get(ROWS, &row(number).0).unwrap().is_some());
        }
        reads += 1000;
    }
    println!("get: {:.2} µs", time.as_micros() as f64 / reads as f64);
    let (start, mut rows) = (Instant::now(), 0_usize);
    while start.elapsed() < time {
        rows += store.scan(ROWS, Scan::all()).take(50).map(Result::unwrap).count();
    }
    println!("scan: {:.2} µs a row, 50 rows a scan", time.as_micros() as f64 / rows as f64);
    println!("memory after: {} KiB, {} rows", memory_kib(), store.scan_keys(ROWS, Scan::all()).count());
    for store in &stores {
        store.close().await;
    }
    drop((stores, queue));
    let before = memory_kib();
    let start = Instant::now();
    let store = Store::open(folders[0].path(), Options::default()).unwrap();
    println!("opened again: {:?}, {} KiB (+{})", start.elapsed(), memory_kib(), memory_kib().saturating_sub(before));
    drop(store);
}
