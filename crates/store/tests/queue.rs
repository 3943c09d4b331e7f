//! Work queues: many jobs, few entries, bounds, and what an admin does with them.
//! `PROPTEST_CASES` sets how often the model is tried; a failure prints what repeats it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::{Batch, JobState, JobView, Leased, Options, Push, Queue, RetryPolicy, Store, Table, WriteError};
use tempfile::TempDir;

const JOBS: Queue<String> = Queue::new("jobs");
const ROWS: Table<u64, u64> = Table::new("rows");
const LEASE_MS: i64 = 1_000;
const NOW: i64 = 5_000;
/// No delay, so that what failed comes again at once.
const AT_ONCE: RetryPolicy = RetryPolicy { attempts: 3, first_delay_ms: 0, max_delay_ms: 0 };

fn open(folder: &TempDir) -> Store {
    Store::open(folder.path(), Options::default()).unwrap()
}

fn push_many(texts: impl IntoIterator<Item = String>) -> Batch {
    texts.into_iter().fold(Batch::new(), |batch, text| batch.push(JOBS, Push::new(&text)))
}

fn numbers(numbers: impl IntoIterator<Item = u32>) -> impl Iterator<Item = String> {
    numbers.into_iter().map(|number| number.to_string())
}

fn texts(leased: &[Leased<String>]) -> Vec<&str> {
    leased.iter().map(|leased| leased.job.as_str()).collect()
}

fn ids<J>(views: &[JobView<J>]) -> Vec<u64> {
    views.iter().map(|view| view.id).collect()
}

#[tokio::test]
async fn a_full_queue_refuses_the_whole_batch_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let bounded = JOBS.bounded(2);
    let push = |number: u64| Batch::new().put(ROWS, &number, &1).push(bounded, Push::new(&number.to_string()));
    store.write(push(1)).await.unwrap();
    let both = push(2).merge(push(3));
    assert_eq!(store.write(both).await, Err(WriteError::QueueFull { queue: "jobs", limit: 2 }));
    assert!(!store.contains(ROWS, &2).unwrap(), "a refused batch leaves no trace");
    store.write(push(2)).await.unwrap();
    assert_eq!(store.write(push(3)).await, Err(WriteError::QueueFull { queue: "jobs", limit: 2 }));
    let handle = store.queue(bounded);
    assert_eq!((handle.depth().unwrap().ready, bounded.limit(), JOBS.limit()), (2, Some(2), None));

    // Leased jobs count, what follows from a job is taken all the same, and dead letters do not count.
    let leased = handle.lease(None, 1, LEASE_MS, NOW).await.unwrap();
    assert!(matches!(store.write(push(3)).await, Err(WriteError::QueueFull { .. })));
    let follow_up = Batch::new().push(JOBS, Push::new(&"follows".to_owned())).complete(&leased[0]);
    store.write(follow_up).await.unwrap();
    assert!(matches!(store.write(push(3)).await, Err(WriteError::QueueFull { .. })));
    let leased = handle.lease(None, 1, LEASE_MS, NOW).await.unwrap();
    store.write(Batch::new().bury(&leased[0], "cannot be done")).await.unwrap();
    store.write(push(3)).await.unwrap();
    let left = handle.lease(None, 9, LEASE_MS, NOW).await.unwrap();
    assert_eq!(texts(&left), ["follows", "3"]);
    assert_eq!(handle.depth().unwrap().dead, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_pushes_at_once_exactly_as_many_as_fit_are_taken() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let tasks: Vec<_> = (0..200)
        .map(|number: u64| {
            let store = store.clone();
            let text = number.to_string();
            let batch = Batch::new().put(ROWS, &number, &1).push(JOBS.bounded(70), Push::new(&text));
            tokio::spawn(async move { (text, store.write(batch).await) })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (text, Ok(_)) => taken.push(text),
            (text, Err(error)) => {
                assert_eq!(error, WriteError::QueueFull { queue: "jobs", limit: 70 });
                assert!(!store.contains(ROWS, &text.parse().unwrap()).unwrap());
            }
        }
    }
    assert_eq!(taken.len(), 70);
    drop(store);
    let store = open(&folder);
    let leased = store.queue(JOBS).lease(None, 200, LEASE_MS, NOW).await.unwrap();
    let mut found: Vec<_> = leased.into_iter().map(|leased| leased.job).collect();
    found.sort_unstable();
    taken.sort_unstable();
    assert_eq!(found, taken, "what was answered is there, and nothing else");
}

#[tokio::test]
async fn jobs_of_one_group_end_one_by_one_each_in_its_way() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let ids_given = store.write(push_many(numbers(0..100))).await.unwrap().jobs;
    assert_eq!(ids_given, (1..=100).collect::<Vec<_>>());
    let queue = store.queue(JOBS);
    let leased = queue.lease(None, 5, LEASE_MS, NOW).await.unwrap();
    assert_eq!(texts(&leased), ["0", "1", "2", "3", "4"]);
    let batch = Batch::new().complete(&leased[1]).retry(&leased[2], "later", AT_ONCE, NOW).bury(&leased[3], "never");
    store.write(batch).await.unwrap();
    for (number, ended) in leased[1..4].iter().enumerate() {
        let again = store.write(Batch::new().complete(ended)).await;
        assert_eq!(again, Err(WriteError::LeaseLost { queue: "jobs", id: ended.id }), "{number}");
    }
    assert_eq!(queue.job(2).unwrap().map(|view| view.id), None, "done");
    let failed = queue.job(3).unwrap().unwrap();
    assert_eq!((failed.state, failed.attempt, failed.reason.as_deref()), (JobState::Queued, 1, Some("later")));
    let dead = queue.job(4).unwrap().unwrap();
    assert_eq!((dead.state, dead.attempt, dead.reason.as_deref()), (JobState::Dead, 1, Some("never")));
    assert_eq!(queue.job(1).unwrap().unwrap().state, JobState::Leased);
    assert!(queue.job(101).unwrap().is_none());
    assert_eq!(queue.depth().unwrap().dead, 1);
    drop((queue, store));

    let store = open(&folder);
    let leased = store.queue(JOBS).lease(None, 200, LEASE_MS, NOW).await.unwrap();
    let expected: Vec<_> = numbers((0..100).filter(|number| ![1, 2, 3].contains(number))).collect();
    // What failed is due at a later time than those that never had one.
    assert_eq!(texts(&leased), [expected.iter().map(String::as_str).collect(), vec!["2"]].concat());
    store.write(leased.iter().fold(Batch::new(), Batch::complete)).await.unwrap();
    let depth = store.queue(JOBS).depth().unwrap();
    assert_eq!((depth.ready, depth.delayed, depth.leased, depth.dead), (0, 0, 0, 1));
    assert_eq!(ids(&store.queue(JOBS).list(9).unwrap()), [4]);
}

#[tokio::test]
async fn dead_letters_are_dropped_and_nothing_else_is() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    store.write(push_many(numbers(0..4))).await.unwrap();
    let leased = queue.lease(None, 3, LEASE_MS, NOW).await.unwrap();
    store.write(Batch::new().bury(&leased[0], "a").bury(&leased[1], "b")).await.unwrap();
    for id in [3, 4, 99] {
        assert_eq!(queue.drop_dead(id).await, Err(WriteError::NoSuchJob { queue: "jobs", id }));
    }
    queue.drop_dead(1).await.unwrap();
    assert_eq!(queue.drop_dead(1).await, Err(WriteError::NoSuchJob { queue: "jobs", id: 1 }));
    assert_eq!(queue.revive(1, NOW).await, Err(WriteError::NoSuchJob { queue: "jobs", id: 1 }));
    assert_eq!(ids(&queue.dead(9).unwrap()), [2]);
    assert_eq!(ids(&queue.list(9).unwrap()), [2, 3, 4]);
    queue.revive(2, NOW).await.unwrap();
    assert_eq!(queue.depth().unwrap().dead, 0);
    assert_eq!(queue.drop_dead(2).await, Err(WriteError::NoSuchJob { queue: "jobs", id: 2 }));
}

#[tokio::test]
async fn pages_of_one_state_go_on_where_the_last_one_ended() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    store.write(push_many(numbers(0..50))).await.unwrap();
    let keyed = |text: &str| {
        let text = text.to_owned();
        let push = Push { order_key: Some(b"k".to_vec()), ..Push::new(&text) };
        Batch::new().push(JOBS, push)
    };
    store.write(keyed("first").merge(keyed("second")).merge(push_many(numbers(52..60)))).await.unwrap();
    let leased = queue.lease(None, 20, LEASE_MS, NOW).await.unwrap();
    let done = leased.iter().step_by(2).fold(Batch::new(), Batch::complete);
    store.write(done.bury(&leased[1], "no").bury(&leased[3], "no")).await.unwrap();
    let pages = |state: Option<JobState>| {
        let mut all = Vec::new();
        loop {
            let page = ids(&queue.page(state, all.last().copied().unwrap_or(0), 3).unwrap());
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    };
    assert_eq!(pages(Some(JobState::Dead)), [2, 4]);
    assert_eq!(pages(Some(JobState::Leased)), (6..=20).step_by(2).collect::<Vec<_>>());
    assert_eq!(pages(Some(JobState::Blocked)), [52]);
    assert_eq!(pages(Some(JobState::Queued)), (21..=60).filter(|id| *id != 52).collect::<Vec<_>>());
    assert_eq!(pages(None), (1..=60).filter(|id| *id > 20 || id % 2 == 0).collect::<Vec<_>>());
    assert_eq!(ids(&queue.list(usize::MAX).unwrap()), pages(None));
}

#[tokio::test]
async fn what_becomes_free_behind_the_leased_ones_is_leased_again() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    store.write(push_many(numbers(0..300))).await.unwrap();
    let first = queue.lease(None, 3, LEASE_MS, NOW).await.unwrap();
    let others = queue.lease(None, 200, 10 * LEASE_MS, NOW).await.unwrap();
    queue.release(&others[100]).await;
    let again = queue.lease(None, 2, 10 * LEASE_MS, NOW).await.unwrap();
    assert_eq!(texts(&again), ["103", "203"], "released, then the next one");
    // One of three is kept; the others run out.
    queue.heartbeat(&first[1], NOW + 500).await.unwrap();
    let again = queue.lease(None, 3, 10 * LEASE_MS, NOW + LEASE_MS).await.unwrap();
    assert_eq!(texts(&again), ["0", "2", "204"]);
    assert_eq!(
        store.write(Batch::new().complete(&first[0])).await,
        Err(WriteError::LeaseLost { queue: "jobs", id: first[0].id })
    );
    // Due earlier than everything that is leased; and a retry that is due at once.
    let text = "early".to_owned();
    store.write(Batch::new().push(JOBS, Push { due_ms: -1, ..Push::new(&text) })).await.unwrap();
    store.write(Batch::new().retry(&others[0], "no", AT_ONCE, 0)).await.unwrap();
    let again = queue.lease(None, 3, LEASE_MS, NOW + LEASE_MS).await.unwrap();
    assert_eq!(texts(&again), ["early", "3", "205"]);
    queue.release_all_leases().await;
    let all = queue.lease(None, 400, LEASE_MS, NOW).await.unwrap();
    assert_eq!(all.len(), 301);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_seen_also_after_the_clock_went_back() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    store.write(push_many(numbers(0..2))).await.unwrap();
    queue.lease(None, 2, LEASE_MS, NOW).await.unwrap();
    assert!(queue.lease(None, 0, LEASE_MS, NOW + 2 * LEASE_MS).await.unwrap().is_empty());
    assert!(queue.lease(None, 2, LEASE_MS, NOW).await.unwrap().is_empty());
    assert_eq!(queue.lease(None, 2, LEASE_MS, NOW + 2 * LEASE_MS).await.unwrap().len(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    /// So many jobs in a batch, of a length, in a lane, due so much later.
    Push {
        count: usize,
        bytes: usize,
        lane: u8,
        delay_ms: i64,
    },
    Lease {
        lane: Option<u8>,
        limit: usize,
    },
    /// Of what is held, the ones at every so many places end.
    Complete {
        every: usize,
    },
    Retry(usize),
    Bury(usize),
    Release(usize),
    Later(i64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![4 => 0..300_usize, 1 => Just(1000), 1 => Just(2000)];
    let delay = prop_oneof![3 => Just(0), 1 => 0..300_i64];
    prop_oneof![
        5 => (1..90_usize, bytes, 0..2_u8, delay)
            .prop_map(|(count, bytes, lane, delay_ms)| Step::Push { count, bytes, lane, delay_ms }),
        6 => (proptest::option::of(0..2_u8), 1..80_usize).prop_map(|(lane, limit)| Step::Lease { lane, limit }),
        4 => (1..4_usize).prop_map(|every| Step::Complete { every }),
        3 => any::<usize>().prop_map(Step::Retry),
        1 => any::<usize>().prop_map(Step::Bury),
        1 => any::<usize>().prop_map(Step::Release),
        2 => (0..700_i64).prop_map(Step::Later),
        1 => Just(Step::Reopen),
    ]
}

/// Where a job is, in the order in which it is leased: lane, due, number of its pushing.
type Place = (u8, i64, u64);

#[derive(Default)]
struct Model {
    /// Jobs in line by place, with the failures.
    line: BTreeMap<Place, u32>,
    /// Until when somebody has them.
    leases: BTreeMap<u64, i64>,
    dead: Vec<u64>,
    last: u64,
}

impl Model {
    fn lease(&mut self, lane: Option<u8>, limit: usize, now_ms: i64) -> Vec<(u64, u32)> {
        let free = |place: &Place| place.1 <= now_ms && self.leases.get(&place.2).is_none_or(|until| *until <= now_ms);
        let wanted = self.line.iter().filter(|(place, _)| lane.is_none_or(|lane| lane == place.0) && free(place));
        let found: Vec<_> = wanted.map(|(place, failures)| (place.2, *failures)).take(limit).collect();
        self.leases.extend(found.iter().map(|(id, _)| (*id, now_ms + LEASE_MS)));
        found
    }

    fn end(&mut self, id: u64) -> (Place, u32) {
        self.leases.remove(&id);
        let place = *self.line.keys().find(|place| place.2 == id).unwrap();
        (place, self.line.remove(&place).unwrap())
    }
}

async fn run(steps: Vec<Step>) {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let mut model = Model::default();
    let mut held: BTreeMap<u64, Leased<String>> = BTreeMap::new();
    let mut now_ms = NOW;
    for step in steps {
        let nth = |at: usize| held.values().nth(at % held.len().max(1)).cloned();
        match step {
            Step::Push { count, bytes, lane, delay_ms } => {
                let text = "x".repeat(bytes);
                let due_ms = now_ms + delay_ms;
                let batch = (0..count)
                    .fold(Batch::new(), |batch, _| batch.push(JOBS, Push { due_ms, lane, ..Push::new(&text) }));
                let given = store.write(batch).await.unwrap().jobs;
                model.line.extend(given.iter().map(|id| ((lane, due_ms, *id), 0)));
                model.last += count as u64;
                assert_eq!(given.last(), Some(&model.last));
            }
            Step::Lease { lane, limit } => {
                let leased = store.queue(JOBS).lease(lane, limit, LEASE_MS, now_ms).await.unwrap();
                let found: Vec<_> = leased.iter().map(|leased| (leased.id, leased.attempt)).collect();
                assert_eq!(found, model.lease(lane, limit, now_ms));
                held.extend(leased.into_iter().map(|leased| (leased.id, leased)));
            }
            Step::Complete { every } => {
                let done: Vec<_> = held.values().step_by(every).cloned().collect();
                store.write(done.iter().fold(Batch::new(), Batch::complete)).await.unwrap();
                for leased in done {
                    held.remove(&leased.id);
                    model.end(leased.id);
                }
            }
            Step::Retry(at) => {
                let Some(leased) = nth(at) else { continue };
                store.write(Batch::new().retry(&leased, "no", AT_ONCE, now_ms)).await.unwrap();
                held.remove(&leased.id);
                let ((lane, _, id), failures) = model.end(leased.id);
                if failures + 1 < AT_ONCE.attempts {
                    model.line.insert((lane, now_ms, id), failures + 1);
                } else {
                    model.dead.push(id);
                }
            }
            Step::Bury(at) => {
                let Some(leased) = nth(at) else { continue };
                store.write(Batch::new().bury(&leased, "no")).await.unwrap();
                held.remove(&leased.id);
                model.end(leased.id);
                model.dead.push(leased.id);
            }
            Step::Release(at) => {
                let Some(leased) = nth(at) else { continue };
                store.queue(JOBS).release(&leased).await;
                held.remove(&leased.id);
                model.leases.remove(&leased.id);
            }
            Step::Later(by_ms) => now_ms += by_ms,
            Step::Reopen => {
                drop(store);
                store = open(&folder);
                held.clear();
                model.leases.clear();
            }
        }
        let queue = store.queue(JOBS);
        let mut expected: Vec<_> = model.line.keys().map(|place| place.2).chain(model.dead.clone()).collect();
        expected.sort_unstable();
        assert_eq!(ids(&queue.list(usize::MAX).unwrap()), expected);
        model.dead.sort_unstable();
        assert_eq!(ids(&queue.dead(usize::MAX).unwrap()), model.dead);
        let leased: Vec<_> = model.leases.keys().copied().collect();
        assert_eq!(ids(&queue.page(Some(JobState::Leased), 0, usize::MAX).unwrap()), leased);
        let depth = queue.depth().unwrap();
        // The system's clock is far past the test's.
        let counted = (depth.ready, depth.delayed, depth.leased, depth.dead);
        let ready = (model.line.len() - leased.len()) as u64;
        assert_eq!(counted, (ready, 0, leased.len() as u64, model.dead.len() as u64));
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(32, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn queue_and_model_agree(steps in proptest::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
