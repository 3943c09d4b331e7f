//! A bit flipped, or a tail cut off, in every kind of file that a store has: it is repaired, or refused by name, and
//! never answers wrong.
//!
//! `STORE_ROT` sets at how many positions of each file (some by default), `STORE_ROT_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use store::{Batch, Counter, EXIT_CODE_DAMAGED, Log, OpenError, Options, Push, Queue, Scan, Store, Table};
use tempfile::TempDir;

use common::copy;

const ROWS: Table<u32, Row> = Table::new("rows");
const LATER: Table<u8, u8> = Table::new("later");
const COUNT: Counter<u32> = Counter::new("count");
const EVENTS: Log<u32> = Log::new("events", &[]);
const JOBS: Queue<u32> = Queue::new("jobs");
const KEYS: u32 = 1500;
const FOLDER: &str = "STORE_ROT_FOLDER";
const KEEP: &str = "STORE_ROT_KEEP";
/// Positions of each file by default.
const POSITIONS: usize = 6;
const TOGETHER: usize = 3;
/// A process that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(30);
/// As a supervisor does: how often a process is started that stopped because it met damage.
const STARTS: usize = 4;
const EXIT_CODE_NOT_OPENED: i32 = 3;
const EXIT_CODE_NOT_READ: i32 = 4;
const EXIT_CODE_PANIC: i32 = 101;

#[derive(Serialize, Deserialize)]
struct Row {
    number: u64,
    text: String,
}

/// How the store was left that is damaged then.
#[derive(Debug, Clone, Copy)]
struct Left {
    /// Closed in order, or killed.
    closed: bool,
    /// The journal is kept from a backup on, so that an engine can be made again.
    backed_up: bool,
}

fn options(folder: &Path, keep: bool) -> Options {
    let backups = fs::read_dir(folder.join("backups")).into_iter().flatten();
    let backups = if keep { backups.map(|entry| entry.unwrap().path()).collect() } else { Vec::new() };
    let journal_keep_bytes = if keep { 64 << 20 } else { 0 };
    Options { segment_bytes: 200 << 10, ballast_bytes: 1 << 20, journal_keep_bytes, backups, ..Options::default() }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn fill(store: &Store, random: &mut StdRng, batches: u32) -> u64 {
    let mut sequence = 0;
    for _ in 0..batches {
        let mut batch = Batch::new();
        for _ in 0..random.random_range(1..60) {
            let key = random.random_range(0..KEYS);
            let number = random.random();
            let text: String = (0..random.random_range(20..300)).map(|_| random.random_range('a'..='z')).collect();
            batch = batch.put(ROWS, &key, &Row { number, text }).add(COUNT, &(key % 50), 1);
        }
        let number = random.random();
        sequence = store.write(batch.append(EVENTS, &number).push(JOBS, Push::new(&number))).await.unwrap().sequence;
    }
    sequence
}

/// A store of several engine segments that was opened twice, with everything that can lie in its folder.
fn make(left: Left, random: &mut StdRng) -> TempDir {
    let (made, copied) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let folder = made.path().join("store");
    fs::create_dir(made.path().join("backups")).unwrap();
    block_on(async {
        let store = Store::open(&folder, options(made.path(), left.backed_up)).unwrap();
        let sequence = fill(&store, random, 40).await;
        if left.backed_up {
            let (store, file) = (store.clone(), made.path().join("backups/one"));
            let back_up = move || store.backup_finish(store.backup_scan(&file).unwrap(), sequence, &file).unwrap();
            tokio::task::spawn_blocking(back_up).await.unwrap();
        }
        store.close().await;
        drop(store);
        let store = Store::open(&folder, options(made.path(), left.backed_up)).unwrap();
        fill(&store, random, 80).await;
        if left.closed {
            store.close().await;
        }
        // The mark behind the last group is written when it has been answered.
        tokio::time::sleep(Duration::from_millis(100)).await;
        copy(made.path(), copied.path());
    });
    copied
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// Everything that a store answers, in one number; an error if it does not answer.
fn read(store: &Store) -> Result<u32, store::ReadError> {
    let mut sum = 0;
    let mut add = |text: String| sum = crc32c::crc32c_append(sum, text.as_bytes());
    let mut rows = BTreeMap::new();
    for entry in store.scan(ROWS, Scan::all()) {
        let (key, row) = entry?;
        add(format!("{key} {} {}", row.number, row.text));
        rows.insert(key, row.number);
    }
    for key in 0..KEYS {
        let row = store.get(ROWS, &key)?;
        add(format!("{key} {:?} {:?}", row.map(|row| row.number), rows.get(&key)));
    }
    let backwards = store.scan_keys(ROWS, Scan::all().reverse()).collect::<Result<Vec<_>, _>>()?;
    add(format!("{backwards:?}"));
    for key in 0..50 {
        add(format!("{}", store.count(COUNT, &key)?));
    }
    let events = store.log(EVENTS).read(0, usize::MAX)?;
    add(format!(
        "{} {:?}",
        store.log(EVENTS).head(),
        events.iter().map(|event| (event.0, event.2)).collect::<Vec<_>>()
    ));
    let jobs = store.queue(JOBS).list(usize::MAX)?;
    add(format!("{:?} {:?}", store.queue(JOBS).depth()?, jobs.iter().map(|job| (job.id, job.job)).collect::<Vec<_>>()));
    Ok(sum)
}

/// Not a test of its own: the process that opens what is damaged, reads it, and goes on writing.
#[test]
#[ignore = "run by the tests of this file, in a process of its own"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let keep = std::env::var(KEEP).is_ok();
    block_on(async {
        let store = match Store::open(&folder.join("store"), options(folder, keep)) {
            Ok(store) => store,
            Err(error @ OpenError::Damaged { .. }) => {
                println!("\nrefused {error}");
                std::process::exit(EXIT_CODE_NOT_OPENED)
            }
            Err(error) => panic!("{error}"),
        };
        for note in store.health().notes {
            println!("\nnote {note}");
        }
        match read(&store) {
            Ok(sum) => println!("\nsum {sum}"),
            Err(error) => {
                println!("\nrefused {error}");
                std::process::exit(EXIT_CODE_NOT_READ)
            }
        }
        store.write(Batch::new().put(LATER, &1, &1)).await.unwrap();
        store.close().await;
        std::process::exit(0);
    });
}

struct Answer {
    code: Option<i32>,
    sum: Option<u32>,
    noted: bool,
    said: String,
}

fn ask(folder: &Path, left: Left) -> Answer {
    let output = folder.join("output");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture"]).env(FOLDER, folder).env("RUST_BACKTRACE", "0");
    if left.backed_up {
        command.env(KEEP, "1");
    }
    let log = fs::File::create(&output).unwrap();
    command.stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log));
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill().unwrap();
                panic!("no answer after {PATIENCE:?}: {}", fs::read_to_string(&output).unwrap());
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let said = fs::read_to_string(&output).unwrap();
    let sum = said.lines().find_map(|line| line.strip_prefix("sum ")?.parse().ok());
    let noted = said.lines().any(|line| line.starts_with("note "));
    Answer { code: status.code(), sum, noted, said }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    Repaired,
    Refused,
}

/// Starts it as a supervisor would, and holds what it answers against what is right.
fn judge(folder: &Path, left: Left, right: u32) -> Result<Outcome, String> {
    let mut outcome = Outcome::Right;
    // Once to read, once again after that.
    let mut readings = 0;
    for _ in 0..STARTS {
        let answer = ask(folder, left);
        if answer.noted {
            outcome = Outcome::Repaired;
        }
        match (answer.code, answer.sum) {
            (Some(0), Some(sum)) if sum == right => readings += 1,
            (_, Some(sum)) if sum != right => return Err(format!("WRONG: {}", answer.said)),
            (Some(EXIT_CODE_DAMAGED), _) => {}
            (Some(EXIT_CODE_NOT_OPENED | EXIT_CODE_NOT_READ), _) => return Ok(Outcome::Refused),
            (Some(EXIT_CODE_PANIC), _) => return Err(format!("a panic: {}", answer.said)),
            (code, _) => return Err(format!("exit {code:?}: {}", answer.said)),
        }
        if readings == 2 {
            return Ok(outcome);
        }
    }
    Err("it stops again and again".to_owned())
}

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip { byte: usize, bit: u8 },
    Cut { length: usize },
    Removed,
}

impl Damage {
    fn random(random: &mut StdRng, bytes: &[u8]) -> Self {
        let byte = random.random_range(0..bytes.len());
        if random.random_bool(0.2) {
            return Self::Cut { length: byte };
        }
        // Mostly where something is.
        let used = bytes[byte..].iter().position(|byte| *byte != 0).filter(|_| random.random_bool(0.8));
        Self::Flip { byte: byte + used.unwrap_or(0), bit: random.random_range(0..8) }
    }

    fn act(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::Flip { byte, bit } => bytes[byte] ^= 1 << bit,
            Self::Cut { length } => bytes.truncate(length),
            Self::Removed => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

/// One file of one store, and what is done to it; perhaps the engine is gone as well, so that the rest is needed.
#[derive(Debug, Clone)]
struct Case {
    file: PathBuf,
    damage: Damage,
    without_engine: bool,
}

fn cases(folder: &Path, left: Left, random: &mut StdRng) -> Vec<Case> {
    let positions = std::env::var("STORE_ROT").map_or(POSITIONS, |text| text.parse().unwrap());
    let mut paths = Vec::new();
    files(folder, &mut paths);
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let file = path.strip_prefix(folder).unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let mut case = |damage, without_engine| cases.push(Case { file: file.clone(), damage, without_engine });
        case(Damage::Removed, false);
        // Most of a store is in the engine's one file.
        let times = if file.ends_with("db") { 4 } else { 1 };
        for _ in 0..positions * times {
            if !bytes.is_empty() {
                case(Damage::random(random, &bytes), false);
            }
        }
        if left.backed_up && !file.starts_with("store/engine") && !bytes.is_empty() {
            for _ in 0..positions {
                case(Damage::random(random, &bytes), true);
            }
        }
    }
    cases
}

fn every_damage(left: Left) {
    let seed = std::env::var("STORE_ROT_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    println!("to repeat: STORE_ROT_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let made = make(left, &mut random);
    let whole = TempDir::new().unwrap();
    copy(made.path(), whole.path());
    let right = ask(whole.path(), left).sum.unwrap();
    let cases = Mutex::new(cases(made.path(), left, &mut random).into_iter());
    let outcomes: Mutex<BTreeMap<(String, Outcome), u32>> = Mutex::default();
    let wrong: Mutex<Vec<String>> = Mutex::default();
    let work = || {
        loop {
            let Some(case) = cases.lock().unwrap().next() else { break };
            let folder = TempDir::new().unwrap();
            copy(made.path(), folder.path());
            case.damage.act(&folder.path().join(&case.file));
            if case.without_engine {
                fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
            }
            match judge(folder.path(), left, right) {
                Ok(outcome) => {
                    let name = case.file.display().to_string();
                    let kind: String = name.chars().filter(|letter| !letter.is_ascii_digit()).collect();
                    let kind = if case.without_engine { format!("{kind}, engine gone") } else { kind };
                    *outcomes.lock().unwrap().entry((kind, outcome)).or_default() += 1;
                }
                Err(error) => wrong.lock().unwrap().push(format!("{case:?}: {error}")),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(work);
        }
    });
    for ((kind, outcome), count) in outcomes.into_inner().unwrap() {
        println!("{kind}: {outcome:?} {count}");
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{left:?}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_killed_store_never_answers_wrong() {
    every_damage(Left { closed: false, backed_up: false });
}

#[test]
fn a_closed_store_never_answers_wrong() {
    every_damage(Left { closed: true, backed_up: false });
}

#[test]
fn a_killed_store_with_a_backup_never_answers_wrong() {
    every_damage(Left { closed: false, backed_up: true });
}

#[test]
fn a_closed_store_with_a_backup_never_answers_wrong() {
    every_damage(Left { closed: true, backed_up: true });
}
