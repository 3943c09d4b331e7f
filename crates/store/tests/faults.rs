//! A short run in which the nth write, sync or allocation fails, for every n: after an I/O error the process stops
//! and acknowledges nothing, a full disk is refused, and what was acknowledged is there at the next opening.
//!
//! Twice: with strace, where the kernel answers (but counts the calls of each thread for itself), and with the C
//! library's calls replaced, where the nth call of the whole process fails, the engine's own threads included.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use store::{
    Batch, Counter, EXIT_CODE_FULL, EXIT_CODE_UNSAFE, Log, OpenError, Options, Push, Queue, Scan, Store, Table,
    WriteError,
};
use tempfile::TempDir;

const ROWS: Table<u64, String> = Table::new("rows");
const COUNT: Counter<()> = Counter::new("count");
const EVENTS: Log<u64> = Log::new("events", &["one"]);
const JOBS: Queue<u64> = Queue::new("jobs");
const FOLDER: &str = "STORE_FAULTS_FOLDER";
const ROWS_WRITTEN: u64 = 20;
/// How many runs at a time: most of their time is waiting for the disk and for strace.
const TOGETHER: usize = 4;
/// The child's exit code when the store cannot be opened.
const EXIT_CODE_NOT_OPENED: i32 = 3;

/// The fault of the child itself: call, number of the error, n, and whether it stays.
const FAULT: &str = "STORE_FAULTS_FAULT";
static PLAN: OnceLock<(String, c_int, i64, bool)> = OnceLock::new();
static CALLS: AtomicI64 = AtomicI64::new(0);

/// Whether this call is to fail. Says so where the answers are said: the order shows.
fn fails(call: &str, fd: c_int) -> bool {
    let Some((_, error, n, stays)) = PLAN.get().filter(|plan| plan.0 == call) else { return false };
    let count = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
    if count != *n && !(*stays && count > *n) {
        return false;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    say(&format!("fault {}", path.display()));
    // SAFETY: the calling thread's own number.
    unsafe { *libc::__errno_location() = *error };
    true
}

/// The C library's call of this name; std takes the executable's own.
#[unsafe(no_mangle)]
extern "C" fn pwrite64(fd: c_int, buffer: *const c_void, count: usize, offset: i64) -> isize {
    if fails("pwrite64", fd) {
        return -1;
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { libc::syscall(libc::SYS_pwrite64, fd, buffer, count, offset) as isize }
}

/// The C library's call of this name; std takes the executable's own.
#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: takes no pointer.
    if fails("fsync", fd) { -1 } else { unsafe { libc::syscall(libc::SYS_fsync, fd) as c_int } }
}

/// The C library's call of this name; std takes the executable's own.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: takes no pointer.
    if fails("fdatasync", fd) { -1 } else { unsafe { libc::syscall(libc::SYS_fdatasync, fd) as c_int } }
}

fn say(text: &str) {
    std::io::stdout().lock().write_all(format!("\n{text}\n").as_bytes()).unwrap();
}

/// A few batches a segment: the journal is continued, and the engine synced, again and again.
fn options() -> Options {
    Options { segment_bytes: 1500, ..Options::default() }
}

fn batch(row: u64) -> Batch {
    let batch = Batch::new().assert_absent(ROWS, &row).put(ROWS, &row, &format!("text of row {row}"));
    batch.add(COUNT, &(), 1).append(EVENTS, &row).push(JOBS, Push::new(&row))
}

/// Not a test of its own: the process that meets the fault. Says `ack N` for each row that is durable.
#[test]
#[ignore = "run by the tests of this file, in a process of its own"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    if let Ok(fault) = std::env::var(FAULT) {
        let parts: Vec<_> = fault.split(':').collect();
        let (error, n) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
        PLAN.set((parts[0].to_owned(), error, n, parts[3] == "+")).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(&folder), options()).unwrap_or_else(|error| {
            say(&format!("not opened: {error}"));
            std::process::exit(EXIT_CODE_NOT_OPENED)
        });
        for row in 0..ROWS_WRITTEN {
            match store.write(batch(row)).await {
                Ok(_) => say(&format!("ack {row}")),
                Err(WriteError::Full) => say(&format!("full {row}")),
                Err(error) => panic!("{error}"),
            }
        }
        store.close().await;
        say(&format!("calls {}", CALLS.load(Ordering::SeqCst)));
        std::process::exit(0);
    });
}

/// What became of a run.
struct Outcome {
    code: Option<i32>,
    acknowledged: BTreeSet<u64>,
    refused: usize,
    /// What strace saw, or else what the child said.
    trace: Vec<String>,
}

impl Outcome {
    /// Runs the child.
    fn of(mut command: Command, folder: &Path) -> Self {
        command.args(["--exact", "child", "--ignored", "--nocapture"]);
        let output = command.env(FOLDER, folder).env("RUST_BACKTRACE", "0").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = said.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).collect();
        let refused = said.lines().filter(|line| line.starts_with("full ")).count();
        let trace = said.lines().map(str::to_owned).collect();
        Self { code: output.status.code(), acknowledged: rows, refused, trace }
    }

    /// Runs the child under strace.
    fn with_strace(folder: &Path, expressions: &[&str]) -> Self {
        let trace = folder.with_extension("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "--seccomp-bpf", "-s", "16", "-o"]).arg(&trace);
        command.args(expressions.iter().flat_map(|expression| ["-e", expression]));
        command.arg(std::env::current_exe().unwrap());
        let outcome = Self::of(command, folder);
        let trace = std::fs::read_to_string(&trace).unwrap().lines().map(str::to_owned).collect();
        Self { trace, ..outcome }
    }

    /// Runs the child with a fault of its own.
    fn with_fault(folder: &Path, fault: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(FAULT, fault);
        Self::of(command, folder)
    }

    fn is_fault(line: &str) -> bool {
        line.contains("(INJECTED)") || line.starts_with("fault ")
    }

    fn met_the_fault(&self) -> bool {
        self.trace.iter().any(|line| Self::is_fault(line))
    }

    /// Whether something was said to be durable after a fault in the journal.
    fn acknowledged_after_a_fault_in_the_journal(&self) -> bool {
        let mut failed = false;
        self.trace.iter().any(|line| {
            failed |= Self::is_fault(line) && line.contains("/journal/");
            failed && (line.starts_with("ack ") || line.contains(" write(") && line.contains("ack "))
        })
    }
}

/// A child that another thread starts has all descriptors, and so the lock, until its program is there.
fn open(folder: &Path) -> Store {
    for _ in 0..500 {
        match Store::open(folder, options()) {
            Err(OpenError::Locked { .. }) => std::thread::sleep(Duration::from_millis(10)),
            result => return result.unwrap(),
        }
    }
    panic!("{} stays locked", folder.display())
}

/// Opens without a fault: all acknowledged is there, everything agrees, and writing goes on.
fn check(folder: &Path, acknowledged: &BTreeSet<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 0..2 {
        let store = open(folder);
        let rows: BTreeMap<u64, String> = store.scan(ROWS, Scan::all()).map(Result::unwrap).collect();
        let lost: Vec<_> = acknowledged.iter().filter(|row| !rows.contains_key(row)).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        for (row, text) in &rows {
            assert_eq!(*text, format!("text of row {row}"));
        }
        assert_eq!(store.count(COUNT, &()).unwrap(), rows.len() as i64);
        let events = store.log(EVENTS).read(0, usize::MAX).unwrap();
        assert_eq!(events.iter().map(|event| event.2).collect::<Vec<_>>(), rows.keys().copied().collect::<Vec<_>>());
        assert_eq!(store.log(EVENTS).head(), rows.len() as u64);
        let jobs = store.queue(JOBS).list(usize::MAX).unwrap();
        assert_eq!(jobs.iter().map(|job| job.job.unwrap()).collect::<BTreeSet<_>>().len(), jobs.len());
        assert_eq!(jobs.len(), rows.len());
        assert_eq!(store.queue(JOBS).depth().unwrap().ready, rows.len() as u64);
        runtime.block_on(async { store.write(batch(1000 + round)).await.unwrap() });
    }
}

/// Who makes the call fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Strace,
    Child,
}

/// One call that is to fail, in one run of the child.
#[derive(Debug, Clone, Copy)]
struct Fault {
    by: By,
    call: &'static str,
    error: (&'static str, c_int),
    /// Whether it goes on failing.
    stays: bool,
}

const EIO: (&str, c_int) = ("EIO", libc::EIO);
const ENOSPC: (&str, c_int) = ("ENOSPC", libc::ENOSPC);

impl Fault {
    fn run(self, folder: &Path, n: i64) -> Outcome {
        let Self { by, call, error, stays } = self;
        let plus = if stays { "+" } else { "" };
        match by {
            By::Strace => {
                let inject = format!("inject={call}:error={}:when={n}{plus}", error.0);
                Outcome::with_strace(folder, &[&format!("trace=write,{call}"), &inject])
            }
            By::Child => Outcome::with_fault(folder, &format!("{call}:{}:{n}:{plus}", error.1)),
        }
    }

    /// How many calls there are without a fault: of the thread that makes most of them, or of all.
    fn calls(self) -> i64 {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("store");
        let outcome = match self.by {
            By::Strace => Outcome::with_strace(&store, &[&format!("trace={}", self.call)]),
            By::Child => self.run(&store, i64::MAX),
        };
        assert_eq!((outcome.code, outcome.acknowledged.len() as u64), (Some(0), ROWS_WRITTEN));
        if self.by == By::Child {
            return outcome.trace.iter().find_map(|line| line.strip_prefix("calls ")?.parse().ok()).unwrap();
        }
        let mut by_thread = BTreeMap::<&str, i64>::new();
        for line in outcome.trace.iter().filter(|line| line.contains(&format!(" {}(", self.call))) {
            *by_thread.entry(line.split_whitespace().next().unwrap()).or_default() += 1;
        }
        by_thread.into_values().max().unwrap_or(0)
    }

    /// Runs the child once for each n, several at a time, and looks at what is there afterwards.
    fn for_every_n(self, judge: impl Fn(i64, &Outcome) + Sync) {
        let most = self.calls();
        let left = Mutex::new(1..=most);
        let met = AtomicI64::new(0);
        let work = || {
            loop {
                let Some(n) = left.lock().unwrap().next() else { break };
                let folder = TempDir::new().unwrap();
                let store = folder.path().join("store");
                let outcome = self.run(&store, n);
                let Outcome { code, acknowledged, refused, .. } = &outcome;
                println!("{self:?} {n}: exit {code:?}, {} acknowledged, {refused} refused", acknowledged.len());
                judge(n, &outcome);
                check(&store, acknowledged);
                met.fetch_add(i64::from(outcome.met_the_fault()), Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..TOGETHER {
                scope.spawn(work);
            }
        });
        let met = met.into_inner();
        println!("{self:?}: {met} of {most} runs met the fault");
        // The engine's threads share their work by chance: the last calls may not come about.
        assert!(most > 0 && met * 10 >= most * 7, "{self:?}: {met} of {most} runs met the fault");
    }
}

fn after_an_io_error_it_stops(call: &'static str) {
    for by in [By::Strace, By::Child] {
        let fault = Fault { by, call, error: EIO, stays: false };
        fault.for_every_n(|n, outcome| {
            let expected: &[_] = match outcome.met_the_fault() {
                true => &[Some(EXIT_CODE_UNSAFE), Some(EXIT_CODE_NOT_OPENED)],
                false => &[Some(0)],
            };
            let Outcome { code, trace, .. } = outcome;
            assert!(expected.contains(code), "{fault:?} {n}: exit {code:?}: {trace:?}");
            assert!(!outcome.acknowledged_after_a_fault_in_the_journal(), "{fault:?} {n}: {trace:?}");
        });
    }
}

#[test]
fn after_a_failed_write_it_stops() {
    after_an_io_error_it_stops("pwrite64");
}

#[test]
fn after_a_failed_sync_of_data_it_stops() {
    after_an_io_error_it_stops("fdatasync");
}

#[test]
fn after_a_failed_sync_it_stops() {
    after_an_io_error_it_stops("fsync");
}

#[test]
fn a_full_disk_is_refused_or_stops_and_loses_nothing() {
    for (by, call) in [(By::Strace, "pwrite64"), (By::Strace, "fallocate"), (By::Child, "pwrite64")] {
        for stays in [false, true] {
            let fault = Fault { by, call, error: ENOSPC, stays };
            fault.for_every_n(|n, outcome| {
                let Outcome { code, acknowledged, refused, trace } = outcome;
                let expected = [0, EXIT_CODE_FULL, EXIT_CODE_NOT_OPENED].map(Some);
                assert!(expected.contains(code), "{fault:?} {n}: exit {code:?}: {trace:?}");
                let answered = acknowledged.len() as u64 + *refused as u64;
                assert!(*code != Some(0) || answered == ROWS_WRITTEN, "{fault:?} {n}: {trace:?}");
            });
        }
    }
}
