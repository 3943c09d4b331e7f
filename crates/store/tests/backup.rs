//! Backups: made while writing goes on, of one moment; checked; restored. And a damaged engine made again from them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use store::{BackupError, Batch, Counter, Log, OpenError, Options, Push, Queue, Scan, Store, Table, backup};
use tempfile::TempDir;

const ROWS: Table<u64, String> = Table::new("rows");
const COUNT: Counter<()> = Counter::new("count");
const EVENTS: Log<u64> = Log::new("events", &["one"]);
const JOBS: Queue<u64> = Queue::new("jobs");

fn options() -> Options {
    Options { segment_bytes: 64 << 10, journal_keep_bytes: 64 << 20, ..Options::default() }
}

async fn add(store: &Store, row: u64) {
    let batch = Batch::new().put(ROWS, &row, &format!("row {row}")).add(COUNT, &(), 1).append(EVENTS, &row);
    let batch = batch.push(JOBS, Push::new(&row));
    // Something goes as well.
    let batch =
        if row >= 10 && row.is_multiple_of(5) { batch.delete(ROWS, &(row - 10)).add(COUNT, &(), -1) } else { batch };
    store.write(batch).await.unwrap();
}

fn content(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.raw().map(Result::unwrap).collect()
}

/// What must be true of any moment.
fn check(store: &Store) {
    let rows = store.scan_keys(ROWS, Scan::all()).map(Result::unwrap).count();
    assert_eq!(store.count(COUNT, &()).unwrap(), rows as i64);
    let events = store.log(EVENTS).read(0, usize::MAX).unwrap();
    assert_eq!(events.len() as u64, store.log(EVENTS).head());
    assert_eq!(store.queue(JOBS).list(usize::MAX).unwrap().len(), events.len());
}

async fn back_up(store: &Store, file: &Path) -> backup::Summary {
    let (store, file) = (store.clone(), file.to_owned());
    let (own, path) = (store.clone(), file.clone());
    let scanned = tokio::task::spawn_blocking(move || own.backup_scan(&path)).await.unwrap().unwrap();
    let hold = store.hold(Duration::from_secs(5)).await.unwrap();
    let sequence = hold.sequence;
    assert!(hold.release().await);
    tokio::task::spawn_blocking(move || store.backup_finish(scanned, sequence, &file)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_of_one_moment_and_restores_to_it() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("store"), options()).unwrap();
    for row in 0..2_000 {
        add(&store, row).await;
    }
    let ended = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (store, ended) = (store.clone(), Arc::clone(&ended));
        async move {
            let mut row = 2_000;
            while !ended.load(Ordering::Relaxed) {
                add(&store, row).await;
                row += 1;
            }
            row
        }
    });
    for round in 0..3 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let file = folder.path().join(format!("{round}.store"));
        let made = back_up(&store, &file).await;
        assert_eq!(backup::read_summary(&file).unwrap(), made);
        assert_eq!(backup::verify(&file, &folder.path().join("scratch")).unwrap(), made);
        assert!(!folder.path().join("scratch").exists());
        let restored = folder.path().join(format!("restored-{round}"));
        assert_eq!(backup::restore(&file, &restored).unwrap(), made);
        let restored = Store::open(&restored, options()).unwrap();
        check(&restored);
        assert_eq!(restored.raw().count() as u64, made.entries);
        assert_eq!(restored.log(EVENTS).epoch(), store.log(EVENTS).epoch());
        assert_ne!(restored.lineage(), store.lineage(), "its history goes on differently");
        // Each group was one batch here: the sequence says which rows there are.
        let head = restored.log(EVENTS).head();
        assert!(head >= 2_000 && head <= made.sequence, "{head}");
        add(&restored, 1_000_001).await;
        check(&restored);
    }
    ended.store(true, Ordering::Relaxed);
    assert!(load.await.unwrap() > 2_010, "nothing was written meanwhile");
}

#[tokio::test]
async fn a_hold_stops_the_writer_and_says_when_it_ran_out() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    add(&store, 0).await;
    let hold = store.hold(Duration::from_secs(5)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), add(&store, 1)).await.is_err(), "written all the same");
    assert_eq!(hold.sequence, 1);
    assert!(hold.release().await);
    add(&store, 2).await;
    let hold = store.hold(Duration::from_millis(20)).await.unwrap();
    add(&store, 3).await;
    assert!(!hold.release().await, "it had run out");
    drop(store.hold(Duration::from_secs(60)).await.unwrap());
    add(&store, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_cut_or_foreign_backup_is_refused_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("store"), options()).unwrap();
    for row in 0..50 {
        add(&store, row).await;
    }
    let file = folder.path().join("whole.store");
    back_up(&store, &file).await;
    let bytes = fs::read(&file).unwrap();
    let (bad, target) = (folder.path().join("bad.store"), folder.path().join("target"));
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&bad, bytes).unwrap();
        let error = backup::restore(&bad, &target).unwrap_err();
        assert!(!matches!(error, BackupError::Io { .. } | BackupError::Store(_)), "{what}: {error}");
        assert!(error.to_string().contains("bad.store"), "{error}");
        assert!(!target.exists(), "{what}");
    };
    for position in (0..60).chain((60..bytes.len()).step_by(151)).chain(bytes.len() - 44..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        refused(&flipped, &format!("byte {position}"));
    }
    for length in [0, 7, 39, 40, 100, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..length], &format!("{length} bytes"));
    }
    refused(b"PK\x03\x04 something else altogether, and long enough to be a header", "foreign");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "x").unwrap();
    assert!(matches!(backup::restore(&file, &target), Err(BackupError::NotEmpty { .. })));
}

/// Flips a byte of every kilobyte of the engine's log.
fn ruin(folder: &Path) {
    let path = folder.join("engine/db");
    let mut bytes = fs::read(&path).unwrap();
    for at in (100..bytes.len()).step_by(1024) {
        bytes[at] ^= 0x55;
    }
    fs::write(&path, bytes).unwrap();
}

fn set_aside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("set-aside-")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_engine_is_made_again_from_a_backup_and_the_journal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let store = Store::open(&path, options()).unwrap();
    let mut backups = Vec::new();
    for row in 0..3_000 {
        add(&store, row).await;
        if row == 1_000 || row == 2_000 {
            let file = folder.path().join(format!("{row}.store"));
            let made = back_up(&store, &file).await;
            backups.insert(0, file);
            if row == 1_000 {
                store.covered(made.sequence);
            }
        }
    }
    let (before, epoch) = (content(&store), store.log(EVENTS).epoch());
    store.close().await;
    drop(store);
    // The newest backup is of no use, and there is a stranger: the one before holds, with the journal since.
    fs::write(&backups[0], "rubbish").unwrap();
    backups.insert(0, folder.path().join("stranger.store"));
    let stranger = Store::open(&folder.path().join("stranger"), options()).unwrap();
    back_up(&stranger, &backups[0]).await;
    ruin(&path);
    let with = |backups: &[PathBuf]| Options { backups: backups.to_vec(), ..options() };
    let refused = Store::open(&path, with(&backups[..2]));
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    assert!(set_aside(&path).is_empty(), "what cannot be repaired is not touched");
    let repaired = Store::open(&path, with(&backups)).unwrap();
    assert_eq!(content(&repaired), before);
    assert_eq!(repaired.log(EVENTS).epoch(), epoch, "nothing is lost, so nobody has to start anew");
    assert_eq!(repaired.health().notes.len(), 1, "{:?}", repaired.health());
    assert_eq!(set_aside(&path).len(), 1);
    check(&repaired);
    add(&repaired, 5_001).await;
    let before = content(&repaired);
    drop(repaired);
    let again = Store::open(&path, with(&backups)).unwrap();
    assert_eq!((content(&again), again.health().notes.len()), (before, 0));
}

#[tokio::test]
async fn without_a_backup_the_whole_journal_is_enough() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    for row in 0..2_000 {
        add(&store, row).await;
    }
    let before = content(&store);
    store.close().await;
    drop(store);
    assert!(fs::read_dir(folder.path().join("journal")).unwrap().count() > 3);
    ruin(folder.path());
    let repaired = Store::open(folder.path(), options()).unwrap();
    assert_eq!((content(&repaired), repaired.health().notes.len()), (before, 1));
}

#[tokio::test]
async fn the_journal_is_kept_until_backups_have_it_and_never_beyond_its_limit() {
    let folder = TempDir::new().unwrap();
    let limit = 1 << 20;
    let store = Store::open(folder.path(), Options { journal_keep_bytes: limit, ..options() }).unwrap();
    let mut most = 0;
    for row in 0..6_000 {
        add(&store, row).await;
        most = most.max(store.journal_bytes());
    }
    assert!(most > limit / 2 && most <= limit + 3 * (64 << 10), "{most}");
    store.covered(u64::MAX);
    for row in 6_000..6_500 {
        add(&store, row).await;
    }
    assert!(store.journal_bytes() <= 3 * (64 << 10), "{}", store.journal_bytes());
}

#[tokio::test]
async fn a_newer_format_is_refused_and_nothing_changed() {
    let folder = TempDir::new().unwrap();
    drop(Store::open(folder.path(), options()).unwrap());
    let path = folder.path().join("state");
    let mut bytes = fs::read(&path).unwrap();
    for offset in [0, 4096] {
        bytes[offset + 16] = 99;
        let crc = crc32c::crc32c(&bytes[offset..offset + 508]);
        bytes[offset + 508..offset + 512].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(&path, &bytes).unwrap();
    let refused = Store::open(folder.path(), options());
    assert!(matches!(refused, Err(OpenError::Newer { found: 99, .. })), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
