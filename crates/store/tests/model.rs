//! The store beside a simple model: whatever happens in whatever order, and whenever it is opened again, both
//! say the same. `PROPTEST_CASES` sets how often; a failure prints what repeats it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::{Batch, Counter, JobState, Leased, Log, Options, Push, Queue, RetryPolicy, Scan, Store, Table, WriteError};
use tempfile::TempDir;

const TABLE: Table<(u8, String), String> = Table::new("table");
const OTHER: Table<u8, u64> = Table::new("table-2");
const COUNTER: Counter<u8> = Counter::new("counter");
const LOG: Log<u16> = Log::new("log", &["a", "b"]);
const QUEUE: Queue<u16> = Queue::new("queue");
/// No delay, so that due times stay those that were pushed or `NOW`.
const POLICY: RetryPolicy = RetryPolicy { attempts: 2, first_delay_ms: 0, max_delay_ms: 0 };
const NOW: i64 = 1000;

#[derive(Debug, Clone)]
enum Change {
    Put(u8, u8),
    Delete(u8),
    Other(u8, u64),
    Absent(u8),
    Present(u8),
    Equal(u8, u8),
    Add(u8, i64),
    Bounded(u8, i64),
    Append(u16),
    Push { job: u16, order: Option<u8>, due_ms: i64, lane: u8 },
    Complete(usize),
    Retry(usize),
}

#[derive(Debug, Clone)]
enum Step {
    /// Batches that are under way at the same time: they may become one group.
    Write(Vec<Vec<Change>>),
    Lease(Option<u8>, usize),
    Acknowledge(bool, u64),
    Revive(usize),
    Reopen {
        close: bool,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let key = || 0..6_u8;
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Change::Put(key, value)),
        2 => key().prop_map(Change::Delete),
        1 => (key(), any::<u64>()).prop_map(|(key, value)| Change::Other(key, value)),
        1 => key().prop_map(Change::Absent),
        1 => key().prop_map(Change::Present),
        1 => (key(), 0..3_u8).prop_map(|(key, value)| Change::Equal(key, value)),
        2 => (0..3_u8, -2..3_i64).prop_map(|(key, delta)| Change::Add(key, delta)),
        1 => (0..3_u8, -3..4_i64).prop_map(|(key, delta)| Change::Bounded(key, delta)),
        3 => any::<u16>().prop_map(Change::Append),
        4 => (any::<u16>(), proptest::option::of(0..2_u8), prop_oneof![Just(0), Just(NOW), Just(NOW + 1)], 0..3_u8)
            .prop_map(|(job, order, due_ms, lane)| Change::Push { job, order, due_ms, lane }),
        4 => (0..8_usize).prop_map(Change::Complete),
        2 => (0..8_usize).prop_map(Change::Retry),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let batch = || proptest::collection::vec(change(), 0..8);
    prop_oneof![
        10 => proptest::collection::vec(batch(), 1..6).prop_map(Step::Write),
        4 => (proptest::option::of(0..3_u8), 1..5_usize).prop_map(|(lane, limit)| Step::Lease(lane, limit)),
        1 => (any::<bool>(), 0..20_u64).prop_map(|(first, up_to)| Step::Acknowledge(first, up_to)),
        1 => (0..3_usize).prop_map(Step::Revive),
        1 => any::<bool>().prop_map(|close| Step::Reopen { close }),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Job {
    job: u16,
    lane: u8,
    order: Option<u8>,
    due_ms: i64,
    position: u64,
    failures: u32,
    dead: bool,
}

#[derive(Debug, Clone, Default)]
struct Model {
    table: BTreeMap<u8, String>,
    other: BTreeMap<u8, u64>,
    counter: BTreeMap<u8, i64>,
    log: Vec<u16>,
    cursors: [u64; 2],
    jobs: BTreeMap<u64, Job>,
    last_id: u64,
    last_position: u64,
    /// Which of the leases given out are still good.
    leases: BTreeMap<u64, u64>,
}

fn text(value: u8) -> String {
    // Some long, so that segments and leaves fill.
    format!("{value}").repeat(1 + usize::from(value) * 3)
}

fn key(key: u8) -> (u8, String) {
    (key / 2, format!("k\0{}", key % 2))
}

impl Model {
    fn write(&mut self, changes: &[Change], held: &[Leased<u16>]) -> Result<(), WriteError> {
        let mut next = self.clone();
        for (index, change) in changes.iter().enumerate() {
            next.change(index, change, held)?;
        }
        *self = next;
        Ok(())
    }

    fn change(&mut self, index: usize, change: &Change, held: &[Leased<u16>]) -> Result<(), WriteError> {
        let assert = |holds: bool| match holds {
            true => Ok(()),
            false => Err(WriteError::Assertion { index, table: "table" }),
        };
        match *change {
            Change::Put(key, value) => drop(self.table.insert(key, text(value))),
            Change::Delete(key) => drop(self.table.remove(&key)),
            Change::Other(key, value) => drop(self.other.insert(key, value)),
            Change::Absent(key) => assert(!self.table.contains_key(&key))?,
            Change::Present(key) => assert(self.table.contains_key(&key))?,
            Change::Equal(key, value) => assert(self.table.get(&key) == Some(&text(value)))?,
            Change::Add(key, delta) => *self.counter.entry(key).or_default() += delta,
            Change::Bounded(key, delta) => {
                let sum = self.counter.entry(key).or_default();
                *sum += delta;
                if !(0..=4).contains(sum) {
                    return Err(WriteError::Bounds { counter: "counter" });
                }
            }
            Change::Append(event) => self.log.push(event),
            Change::Push { job, order, due_ms, lane } => {
                self.last_id += 1;
                self.last_position += 1;
                let position = self.last_position;
                let job = Job { job, lane, order, due_ms, position, failures: 0, dead: false };
                self.jobs.insert(self.last_id, job);
            }
            Change::Complete(which) => {
                if let Some(id) = self.end_lease(held, which)? {
                    self.jobs.remove(&id);
                }
            }
            Change::Retry(which) => {
                if let Some(id) = self.end_lease(held, which)? {
                    let job = self.jobs.get_mut(&id).unwrap();
                    job.failures += 1;
                    job.dead = job.failures >= POLICY.attempts;
                    if !job.dead {
                        job.due_ms = NOW;
                    }
                }
            }
        }
        Ok(())
    }

    fn end_lease(&mut self, held: &[Leased<u16>], which: usize) -> Result<Option<u64>, WriteError> {
        let Some(leased) = held.get(which) else { return Ok(None) };
        if self.leases.get(&leased.id) != Some(&leased.lease) {
            return Err(WriteError::LeaseLost { queue: "queue", id: leased.id });
        }
        self.leases.remove(&leased.id);
        Ok(Some(leased.id))
    }

    fn is_first(&self, job: &Job) -> bool {
        let same = |other: &&Job| !other.dead && other.order == job.order && other.position < job.position;
        job.order.is_none() || !self.jobs.values().any(|other| same(&other))
    }

    fn leasable(&self, lane: Option<u8>, limit: usize) -> Vec<u64> {
        let free =
            |id: &u64, job: &Job| !job.dead && job.due_ms <= NOW && !self.leases.contains_key(id) && self.is_first(job);
        let jobs = self.jobs.iter().filter(|(id, job)| free(id, job) && lane.is_none_or(|lane| lane == job.lane));
        let mut jobs: Vec<_> = jobs.map(|(id, job)| (job.lane, job.due_ms, job.position, *id)).collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|job| job.3).take(limit).collect()
    }

    fn compare(&self, store: &Store) {
        let table: Vec<_> = store.scan(TABLE, Scan::all()).map(Result::unwrap).collect();
        let expected: Vec<_> = self.table.iter().map(|(k, text)| (key(*k), text.clone())).collect();
        assert_eq!(table, expected);
        let backwards: Vec<_> = store.scan_keys(TABLE, Scan::all().reverse()).map(Result::unwrap).collect();
        assert_eq!(backwards, expected.iter().rev().map(|entry| entry.0.clone()).collect::<Vec<_>>());
        let other: BTreeMap<_, _> = store.scan(OTHER, Scan::all()).map(Result::unwrap).collect();
        assert_eq!(other, self.other);
        for key in 0..4 {
            assert_eq!(store.count(COUNTER, &key).unwrap(), self.counter.get(&key).copied().unwrap_or(0));
        }
        let log = store.log(LOG);
        let trimmed = usize::try_from(log.trimmed().unwrap()).unwrap();
        assert!(trimmed as u64 <= self.cursors[0].min(self.cursors[1]));
        assert_eq!(log.head(), self.log.len() as u64);
        let events: Vec<_> = log.read(0, usize::MAX).unwrap().into_iter().map(|event| event.2).collect();
        assert_eq!(events, self.log[trimmed..]);
        let cursors: Vec<_> = log.cursors().unwrap().into_iter().map(|cursor| cursor.1).collect();
        assert_eq!(cursors, self.cursors);
        self.compare_jobs(store);
    }

    fn compare_jobs(&self, store: &Store) {
        let queue = store.queue(QUEUE);
        let views = queue.list(usize::MAX).unwrap();
        assert_eq!(views.len(), self.jobs.len());
        for (view, (id, job)) in views.iter().zip(&self.jobs) {
            let state = match () {
                () if job.dead => JobState::Dead,
                () if !self.is_first(job) => JobState::Blocked,
                () if self.leases.contains_key(id) => JobState::Leased,
                () => JobState::Queued,
            };
            let seen = (view.id, view.job, view.state, view.lane, view.attempt, view.due_ms);
            assert_eq!(seen, (*id, Some(job.job), state, job.lane, job.failures, job.due_ms));
        }
        let dead: Vec<_> = queue.dead(usize::MAX).unwrap().iter().map(|view| view.id).collect();
        let expected: Vec<_> = self.jobs.iter().filter(|(_, job)| job.dead).map(|(id, _)| *id).collect();
        assert_eq!(dead, expected);
        let depth = queue.depth().unwrap();
        assert_eq!((depth.dead, depth.leased), (dead.len() as u64, self.leases.len() as u64));
        assert_eq!(depth.ready + depth.delayed + depth.leased + depth.dead, self.jobs.len() as u64);
    }
}

fn batch(changes: &[Change], held: &[Leased<u16>]) -> Batch {
    changes.iter().fold(Batch::new(), |batch, change| match *change {
        Change::Put(k, value) => batch.put(TABLE, &key(k), &text(value)),
        Change::Delete(k) => batch.delete(TABLE, &key(k)),
        Change::Other(k, value) => batch.put(OTHER, &k, &value),
        Change::Absent(k) => batch.assert_absent(TABLE, &key(k)),
        Change::Present(k) => batch.assert_present(TABLE, &key(k)),
        Change::Equal(k, value) => batch.assert_equal(TABLE, &key(k), &text(value)),
        Change::Add(k, delta) => batch.add(COUNTER, &k, delta),
        Change::Bounded(k, delta) => batch.add_bounded(COUNTER, &k, delta, 0..=4),
        Change::Append(event) => batch.append(LOG, &event),
        Change::Push { job, order, due_ms, lane } => {
            let order_key = order.map(|order| vec![0; usize::from(order)]);
            batch.push(QUEUE, Push { job: &job, order_key, due_ms, lane })
        }
        Change::Complete(which) => held.get(which).map_or(Batch::new(), |job| Batch::new().complete(job)).after(batch),
        Change::Retry(which) => {
            held.get(which).map_or(Batch::new(), |job| Batch::new().retry(job, "no", POLICY, NOW)).after(batch)
        }
    })
}

trait After {
    fn after(self, first: Batch) -> Batch;
}
impl After for Batch {
    fn after(self, first: Batch) -> Batch {
        first.merge(self)
    }
}

/// Without an operation for a lease that is not there, the index of an assertion is another one.
fn without_missing(changes: &[Change], held: &[Leased<u16>]) -> Vec<Change> {
    let is_there = |change: &&Change| match change {
        Change::Complete(which) | Change::Retry(which) => *which < held.len(),
        _ => true,
    };
    changes.iter().filter(is_there).cloned().collect()
}

async fn run(steps: Vec<Step>) {
    let folder = TempDir::new().unwrap();
    let options = || Options { segment_bytes: 2048, ..Options::default() };
    let mut store = Store::open(folder.path(), options()).unwrap();
    let mut model = Model::default();
    let mut held: Vec<Leased<u16>> = Vec::new();
    for step in steps {
        match step {
            Step::Write(batches) => {
                let batches: Vec<_> = batches.iter().map(|changes| without_missing(changes, &held)).collect();
                let tasks: Vec<_> = batches
                    .iter()
                    .map(|changes| {
                        let (store, batch) = (store.clone(), batch(changes, &held));
                        tokio::spawn(async move { store.write(batch).await })
                    })
                    .collect();
                for (task, changes) in tasks.into_iter().zip(&batches) {
                    let answer = task.await.unwrap().map(drop);
                    assert_eq!(answer, model.write(changes, &held), "{changes:?}");
                }
            }
            Step::Lease(lane, limit) => {
                let leased = store.queue(QUEUE).lease(lane, limit, 1_000_000, NOW).await.unwrap();
                let ids: Vec<_> = leased.iter().map(|leased| leased.id).collect();
                assert_eq!(ids, model.leasable(lane, limit));
                model.leases.extend(leased.iter().map(|leased| (leased.id, leased.lease)));
                held.extend(leased);
                held.drain(..held.len().saturating_sub(8));
            }
            Step::Acknowledge(first, up_to) => {
                let consumer = usize::from(first);
                store.log(LOG).acknowledge(["a", "b"][consumer], up_to).await.unwrap();
                let reached = up_to.min(model.log.len() as u64);
                model.cursors[consumer] = model.cursors[consumer].max(reached);
            }
            Step::Revive(which) => {
                let dead: Vec<_> = model.jobs.iter().filter(|(_, job)| job.dead).map(|(id, _)| *id).collect();
                if let Some(id) = dead.get(which) {
                    store.queue(QUEUE).revive(*id, NOW).await.unwrap();
                    model.last_position += 1;
                    let job = model.jobs.get_mut(id).unwrap();
                    (job.position, job.due_ms, job.failures, job.dead) = (model.last_position, NOW, 0, false);
                }
            }
            Step::Reopen { close } => {
                if close {
                    store.close().await;
                }
                drop(store);
                store = Store::open(folder.path(), options()).unwrap();
                model.leases.clear();
                model.compare(&store);
            }
        }
    }
    model.compare(&store);
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn store_and_model_agree(steps in proptest::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
