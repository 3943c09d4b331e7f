//! Overwriting the same records again and again, in full groups: memory and disk stay what the records need.
//!
//! `STORE_OVERWRITES` sets how often (20000000 for the full figure, with 1,000,000 records); short by default.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::time::{Duration, Instant};

use store::{Batch, Options, Scan, Store, Table};
use tempfile::TempDir;

const ROWS: Table<u64, String> = Table::new("rows");
const OVERWRITES: u64 = 300_000;
/// How often each record is overwritten, on average.
const EACH: u64 = 20;
/// As many operations as a batch may have: one group, which the engine must not get at once.
const GROUP: u64 = 4096;
/// Bytes of a record besides its text: the table's name, the key, MessagePack's head.
const AROUND_BYTES: u64 = 6 + 8 + 2;
/// What memory may grow by: the engine's cache of leaves, 16 MiB, need not be full after the first third.
const GROWTH_KIB: u64 = 24 << 10;

/// What the engine may take on the disk, in times of the live data, and besides: it frees whole segments of 512 KiB,
/// and of a small store too few at a time.
const DISK_TIMES: u64 = 4;
const DISK_BESIDES_BYTES: u64 = 16 << 20;

/// Texts of 100 to 155 bytes, which say their number.
fn text(key: u64, round: u64) -> String {
    let bytes = usize::try_from(100 + (key ^ round) % 56).unwrap();
    let mut text = format!("record {key} round {round} ");
    while text.len() < bytes {
        text.push(char::from(b'a' + u8::try_from((text.len() as u64 * 7 + key + round) % 26).unwrap()));
    }
    text.truncate(bytes);
    text
}

/// Memory of this process that no file stands behind, in KiB.
fn memory_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What the files below a folder take on the disk, in bytes.
fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let size = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        folder if folder.is_dir() => disk_bytes(&entry.path()),
        file => file.blocks() * 512,
    };
    std::fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).sum()
}

#[derive(Debug, Clone, Copy)]
struct Size {
    memory_kib: u64,
    disk_bytes: u64,
}

fn size(folder: &Path) -> Size {
    Size { memory_kib: memory_kib(), disk_bytes: disk_bytes(&folder.join("engine")) }
}

/// Overwrites records in an order without a pattern. Each has the round in which it was written last.
async fn overwrite(store: &Store, rounds: &mut [u64], count: u64, turn: u64) {
    let records = rounds.len() as u64;
    for start in (0..count).step_by(usize::try_from(GROUP).unwrap()) {
        let mut batch = Batch::new();
        for index in start..(start + GROUP).min(count) {
            let key = (turn + index).wrapping_mul(0x9E37_79B9_7F4A_7C15) % records;
            let round = turn + index + 1;
            rounds[usize::try_from(key).unwrap()] = round;
            batch = batch.put(ROWS, &key, &text(key, round));
        }
        store.write(batch).await.unwrap();
    }
}

#[tokio::test]
async fn memory_and_disk_stay_flat_over_many_overwrites() {
    let overwrites = std::env::var("STORE_OVERWRITES").map_or(OVERWRITES, |text| text.parse().unwrap());
    let mut rounds = vec![0; usize::try_from(overwrites / EACH).unwrap()];
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    for key in 0..rounds.len() as u64 {
        if key % GROUP == 0 {
            let until = (key + GROUP).min(rounds.len() as u64);
            let batch = (key..until).fold(Batch::new(), |batch, key| batch.put(ROWS, &key, &text(key, 0)));
            store.write(batch).await.unwrap();
        }
    }
    println!("{} records: {:?}", rounds.len(), size(folder.path()));
    let start = Instant::now();
    let mut sizes = Vec::new();
    for third in 0..3 {
        overwrite(&store, &mut rounds, overwrites / 3, third * (overwrites / 3)).await;
        sizes.push(size(folder.path()));
        println!("third {}: {:?} after {:?}", third + 1, sizes.last().unwrap(), start.elapsed());
    }
    let live: u64 = (0..).zip(&rounds).map(|(key, round)| text(key, *round).len() as u64 + AROUND_BYTES).sum();
    let last = sizes[2].disk_bytes;
    println!("live data {live} bytes, on the disk {:.2} times that", last as f64 / live as f64);
    assert!(sizes[2].memory_kib < sizes[0].memory_kib + GROWTH_KIB, "memory grows: {sizes:?}");
    for size in &sizes {
        let most = DISK_TIMES * live + DISK_BESIDES_BYTES;
        assert!(size.disk_bytes <= most, "the engine takes more than {most} bytes for {live}: {sizes:?}");
    }
    let flat = sizes[0].disk_bytes + sizes[0].disk_bytes / 4 + DISK_BESIDES_BYTES / 2;
    assert!(last <= flat, "the engine grows: {sizes:?}");
    store.close().await;
    drop(store);
    reopen(folder.path(), &rounds);
}

fn reopen(folder: &Path, rounds: &[u64]) {
    // Another opening waits for the threads of the one before.
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    let store = Store::open(folder, Options::default()).unwrap();
    println!("opened again in {:?}", start.elapsed());
    let mut count = 0;
    for entry in store.scan(ROWS, Scan::all()) {
        let (key, found) = entry.unwrap();
        assert_eq!(found, text(key, rounds[usize::try_from(key).unwrap()]));
        count += 1;
    }
    assert_eq!(count, rounds.len());
}
