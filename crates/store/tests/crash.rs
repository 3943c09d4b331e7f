//! `kill -9` under load: what was acknowledged is there. `STORE_CRASH_ROUNDS` sets how often (short by default).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use store::{Batch, Counter, Log, Options, Push, Queue, Scan, Store, Table};
use tempfile::TempDir;

const ROWS: Table<u64, u64> = Table::new("rows");
const COUNT: Counter<()> = Counter::new("count");
const EVENTS: Log<u64> = Log::new("events", &["one"]);
const JOBS: Queue<u64> = Queue::new("jobs");
const FOLDER: &str = "STORE_CRASH_FOLDER";
/// After how many milliseconds the process leaves by itself; without it, it goes on until it is killed.
const LIFE_MS: &str = "STORE_CRASH_LIFE_MS";
const WRITERS: u64 = 64;

fn options() -> Options {
    Options { segment_bytes: 256 << 10, ..Options::default() }
}

/// Not a test of its own: the process that is killed. Says `ack N` for each row that is durable.
#[test]
#[ignore = "run by the tests of this file, in a process of its own"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    if let Ok(life_ms) = std::env::var(LIFE_MS) {
        let life = Duration::from_millis(life_ms.parse().unwrap());
        std::thread::spawn(move || {
            std::thread::sleep(life);
            std::process::exit(0);
        });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(&folder), options()).unwrap();
        let next = Arc::new(AtomicU64::new(
            store.scan_keys(ROWS, Scan::all().reverse()).next().map_or(0, |key| key.unwrap() + 1),
        ));
        let mut writers: Vec<_> =
            (0..WRITERS).map(|_| tokio::spawn(write_rows(store.clone(), Arc::clone(&next)))).collect();
        writers.push(tokio::spawn(work(store)));
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

async fn write_rows(store: Store, next: Arc<AtomicU64>) {
    loop {
        let row = next.fetch_add(1, Ordering::Relaxed);
        let batch = Batch::new()
            .assert_absent(ROWS, &row)
            .put(ROWS, &row, &row)
            .add(COUNT, &(), 1)
            .append(EVENTS, &row)
            .push(JOBS, Push::new(&row));
        match store.write(batch).await {
            Ok(_) => writeln!(std::io::stdout().lock(), "\nack {row}").unwrap(),
            Err(error) => writeln!(std::io::stdout().lock(), "\nrefused {error}").unwrap(),
        }
    }
}

/// Ends the jobs of even rows, and lets the odd ones lie.
async fn work(store: Store) {
    let queue = store.queue(JOBS);
    loop {
        queue.wait(Duration::from_millis(5)).await;
        let mut batch = Batch::new();
        for leased in queue.lease(None, 100, 60_000, 0).await.unwrap() {
            if leased.job % 2 == 0 {
                batch = batch.complete(&leased).put(ROWS, &leased.job, &(leased.job + 1_000_000_000));
            }
        }
        store.write(batch).await.unwrap();
    }
}

fn start(folder: &Path, before: &[&str], life_ms: Option<u32>) -> std::process::Child {
    let program = std::env::current_exe().unwrap();
    let mut line: Vec<_> = before.iter().map(Into::into).collect();
    line.push(program.into_os_string());
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).args(["--exact", "child", "--ignored", "--nocapture"]);
    command.envs(life_ms.map(|life_ms| (LIFE_MS, life_ms.to_string())));
    command.env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn acknowledged(child: &mut std::process::Child) -> std::thread::JoinHandle<Vec<u64>> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let rows = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
    std::thread::spawn(move || rows.collect())
}

/// Reads everything back: all acknowledged is there, and everything agrees with everything else.
fn check(folder: &Path, acknowledged: &BTreeSet<u64>) {
    let store = Store::open(folder, options()).unwrap();
    let rows: BTreeSet<u64> = store.scan_keys(ROWS, Scan::all()).map(Result::unwrap).collect();
    let lost: Vec<_> = acknowledged.difference(&rows).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    assert_eq!(store.count(COUNT, &()).unwrap(), rows.len() as i64);
    let events = store.log(EVENTS).read(0, usize::MAX).unwrap();
    assert_eq!(events.iter().map(|event| event.2).collect::<BTreeSet<_>>(), rows);
    assert_eq!(events.len() as u64, store.log(EVENTS).head());
    assert_eq!(events.len(), rows.len());
    let jobs: BTreeSet<u64> = store.queue(JOBS).list(usize::MAX).unwrap().iter().map(|job| job.job.unwrap()).collect();
    let depth = store.queue(JOBS).depth().unwrap();
    assert_eq!((depth.ready, depth.leased), (jobs.len() as u64, 0));
    for entry in store.scan(ROWS, Scan::all()) {
        let (row, value) = entry.unwrap();
        assert_eq!(value >= 1_000_000_000, !jobs.contains(&row), "the effect of row {row} and the end of its job");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let rounds = std::env::var("STORE_CRASH_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let mut all = BTreeSet::new();
    for round in 0..rounds {
        let mut child = start(folder.path(), &[], None);
        let reader = acknowledged(&mut child);
        let millis = rand::random_range(30..400);
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        all.extend(reader.join().unwrap());
        println!("round {round}: killed after {millis} ms, {} acknowledged so far", all.len());
        check(folder.path(), &all);
    }
    assert!(!all.is_empty(), "no round wrote anything");
}

/// Runs the child with a fault injected by strace, and returns its exit code and what it acknowledged.
fn with_fault(folder: &Path, path: Option<&Path>, fault: &str) -> (Option<i32>, BTreeSet<u64>) {
    let path = path.map(|path| path.to_str().unwrap().to_owned());
    let inject = format!("inject={fault}");
    let mut before = vec!["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", &inject];
    if let Some(path) = &path {
        before.extend(["-P", path]);
    }
    let mut child = start(folder, &before, Some(2000));
    let reader = acknowledged(&mut child);
    let code = child.wait().unwrap().code();
    (code, reader.join().unwrap().into_iter().collect())
}

#[test]
fn a_failed_write_or_sync_stops_the_process_before_it_acknowledges() {
    for fault in ["fdatasync:error=EIO:when=", "pwrite64:error=EIO:when=", "fsync:error=EIO:when="] {
        for when in [1, 2, 3, 5, 9] {
            let folder = TempDir::new().unwrap();
            drop(Store::open(folder.path(), options()).unwrap());
            let fault = format!("{fault}{when}+");
            let (code, rows) = with_fault(folder.path(), None, &fault);
            println!("{fault}: exit {code:?}, {} acknowledged", rows.len());
            assert!(matches!(code, Some(70 | 101)), "{fault}: exit {code:?}");
            check(folder.path(), &rows);
        }
    }
}

#[test]
fn a_full_disk_refuses_and_is_no_failed_write() {
    let folder = TempDir::new().unwrap();
    drop(Store::open(folder.path(), options()).unwrap());
    // No new segment can be made: the first one is filled, then everything is refused, and nothing stops.
    let (code, rows) = with_fault(folder.path(), None, "fallocate:error=ENOSPC");
    assert_eq!(code, Some(0));
    assert!(!rows.is_empty());
    check(folder.path(), &rows);
    // Writing to the segment itself fails at some time, as on a file system that copies on write.
    let folder = TempDir::new().unwrap();
    drop(Store::open(folder.path(), options()).unwrap());
    let journal = folder.path().join("journal/00000000000000000001.journal");
    let (code, rows) = with_fault(folder.path(), Some(&journal), "pwrite64:error=ENOSPC:when=3+4");
    assert_eq!(code, Some(0));
    assert!(!rows.is_empty());
    check(folder.path(), &rows);
}

/// What the kernel saw: each barrier of the engine is refused, and a real sync follows it.
#[test]
fn no_barrier_of_the_engine_is_a_sync_file_range() {
    let folder = TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let calls = "trace=fsync,sync_file_range";
    let before = ["strace", "-f", "-qq", "-y", "-o", trace.to_str().unwrap(), "-e", calls];
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(program).args(["--exact", "closing_child", "--ignored", "--nocapture"]);
    let output = command.env(FOLDER, folder.path().join("store")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut barriers = 0;
    // Barriers whose sync has not begun yet, by thread, and calls that strace shows in two lines.
    let (mut owed, mut begun) = (BTreeSet::new(), BTreeMap::new());
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        let thread = line.split_whitespace().next().unwrap().to_owned();
        if line.contains("unfinished ...>") {
            begun.insert(thread, line.to_owned());
            continue;
        }
        let first = begun.remove(&thread).unwrap_or_default();
        let of_engine = line.contains("/engine/db>") || first.contains("/engine/db>");
        if line.contains("sync_file_range") && of_engine {
            assert!(line.contains("= -1 ENOSYS"), "{line}");
            assert!(owed.insert(thread), "a barrier without its sync: {line}");
            barriers += 1;
        } else if line.contains("fsync") && of_engine {
            assert!(line.contains("= 0"), "{line}");
            owed.remove(&thread);
        }
    }
    assert!(barriers >= 4, "{barriers} barriers");
    assert!(owed.is_empty(), "barriers without a sync");
}

/// Not a test of its own: syncs the engine again and again, and closes it.
#[test]
#[ignore = "run by the tests of this file, in a process of its own"]
fn closing_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = Options { segment_bytes: 1500, ..Options::default() };
        let store = Store::open(Path::new(&folder), options).unwrap();
        for row in 0..LONE_ROWS {
            store.write(Batch::new().put(ROWS, &row, &row)).await.unwrap();
        }
        store.close().await;
    });
}

/// One writer at a time: between two answers there is always a sync of the journal, after its write.
#[test]
fn with_one_writer_each_answer_has_its_own_sync() {
    let folder = TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let calls = "trace=fdatasync,pwrite64,write";
    let before = ["strace", "-f", "-qq", "-y", "-s", "40", "-o", trace.to_str().unwrap(), "-e", calls];
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(program).args(["--exact", "lone_child", "--ignored", "--nocapture"]);
    let output = command.env(FOLDER, folder.path().join("store")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (mut written, mut synced, mut answers) = (false, false, 0);
    // Calls that strace shows in two lines, by thread.
    let mut begun = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        let thread = line.split_whitespace().next().unwrap().to_owned();
        let of_journal = match line.contains("resumed>") {
            true => begun.remove(&thread).unwrap_or(false),
            false => line.contains(".journal>"),
        };
        if line.contains("unfinished ...>") {
            begun.insert(thread, of_journal);
        } else if of_journal && line.contains("\"DjSm") {
            // The mark behind the last group is for damage only.
        } else if of_journal && line.contains("pwrite64") {
            (written, synced) = (true, false);
        } else if of_journal && line.contains("fdatasync") {
            synced = written;
        }
        // An answer counts from its beginning.
        if line.contains(" write(") && line.contains("ack ") {
            assert!(written && synced, "{line}");
            (written, synced, answers) = (false, false, answers + 1);
        }
    }
    assert_eq!(answers, LONE_ROWS);
}

const LONE_ROWS: u64 = 50;

/// Not a test of its own: one writer, one row after the other.
#[test]
#[ignore = "run by the tests of this file, in a process of its own"]
fn lone_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(&folder), options()).unwrap();
        for row in 0..LONE_ROWS {
            store.write(Batch::new().put(ROWS, &row, &row)).await.unwrap();
            std::io::stdout().lock().write_all(format!("\nack {row}\n").as_bytes()).unwrap();
        }
    });
}
