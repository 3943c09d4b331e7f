//! Random batches, and what a store has after each of them.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use store::{Batch, Counter, JobState, Leased, Log, Options, Push, Queue, RetryPolicy, Scan, Store, Table};

use crate::calls;

const ROWS: Table<u16, Row> = Table::new("rows");
/// Rows by their bucket.
const COUNT: Counter<u8> = Counter::new("count");
/// Jobs ever pushed: the last id given.
const PUSHED: Counter<()> = Counter::new("pushed");
const EVENTS: Log<u64> = Log::new("events", &["one"]);
const JOBS: Queue<u32> = Queue::new("jobs");
const BUCKETS: u16 = 4;
const POLICY: RetryPolicy = RetryPolicy { attempts: 2, first_delay_ms: 0, max_delay_ms: 0 };

#[derive(Serialize, Deserialize)]
struct Row {
    number: u64,
    text: String,
}

/// What a store has, shortened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Number, length and CRC32C of each row.
    rows: BTreeMap<u16, (u64, usize, u32)>,
    count: BTreeMap<u8, i64>,
    /// Those after the trimmed ones.
    events: Vec<u64>,
    trimmed: u64,
    /// Job, failures, whether it is a dead letter.
    jobs: BTreeMap<u64, (u32, u32, bool)>,
    pushed: i64,
}

/// The sizes of one history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    keys: u16,
    text_bytes: usize,
    changes: usize,
    segment_bytes: u64,
    /// The journal is kept for a backup that never comes, and given up when it is too long.
    journal_keep_bytes: u64,
    pub(crate) steps: usize,
}

impl Shape {
    /// Small histories in small segments; now and then one that fills several segments of the engine too.
    pub(crate) fn random(random: &mut StdRng) -> Self {
        let (keys, text_bytes, changes, segment_bytes, steps) = match random.random_range(0..10) {
            0 => (400, 6900, 40, 128 << 10, 40),
            1..4 => (40, 900, 12, 16 << 10, 25),
            _ => (12, 60, 6, 1500, 15),
        };
        let journal_keep_bytes = *[0, segment_bytes * 3].choose(random).unwrap();
        Self { keys, text_bytes, changes, segment_bytes, journal_keep_bytes, steps }
    }

    pub(crate) fn options(self) -> Options {
        let Self { segment_bytes, journal_keep_bytes, .. } = self;
        Options { segment_bytes, journal_keep_bytes, cache_bytes: 1 << 20, ..Options::default() }
    }
}

/// All the states that the store went through, in order: one for each batch, and the first.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(crate) states: Vec<State>,
}

fn bucket(key: u16) -> u8 {
    u8::try_from(key % BUCKETS).unwrap()
}

fn text(number: u64, bytes: usize) -> String {
    let mut state = number;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap())
    };
    (0..bytes).map(letter).collect()
}

impl State {
    /// Reads a store, all of it, in every way there is to count it.
    pub(crate) fn read(store: &Store) -> Self {
        let mut state = Self::default();
        let mut count = BTreeMap::new();
        for entry in store.scan(ROWS, Scan::all()) {
            let (key, row) = entry.unwrap();
            state.rows.insert(key, (row.number, row.text.len(), crc32c::crc32c(row.text.as_bytes())));
            *count.entry(bucket(key)).or_default() += 1;
        }
        for bucket in 0..u8::try_from(BUCKETS).unwrap() {
            let counted = store.count(COUNT, &bucket).unwrap();
            assert_eq!(counted, count.get(&bucket).copied().unwrap_or(0), "a counter and the rows of bucket {bucket}");
        }
        state.count = count;
        state.pushed = store.count(PUSHED, &()).unwrap();
        let log = store.log(EVENTS);
        state.trimmed = log.trimmed().unwrap();
        let events = log.read(0, usize::MAX).unwrap();
        let sequences: Vec<_> = events.iter().map(|event| event.0).collect();
        let expected: Vec<_> = (state.trimmed + 1..=log.head()).collect();
        assert_eq!(sequences, expected, "the log is without a gap");
        assert_eq!(log.cursors().unwrap(), [("one".to_owned(), state.trimmed)]);
        state.events = events.into_iter().map(|event| event.2).collect();
        let queue = store.queue(JOBS);
        for view in queue.list(usize::MAX).unwrap() {
            state.jobs.insert(view.id, (view.job.unwrap(), view.attempt, view.state == JobState::Dead));
        }
        let depth = queue.depth().unwrap();
        assert_eq!(depth.leased, 0);
        assert_eq!(depth.ready + depth.dead, state.jobs.len() as u64, "the counts of the queue and its jobs");
        assert_eq!(depth.dead, state.jobs.values().filter(|job| job.2).count() as u64);
        state
    }
}

/// One batch as it is made up, with its effect on the state.
fn batch(shape: Shape, random: &mut StdRng, held: &mut Vec<Leased<u32>>, state: &mut State) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..random.random_range(1..=shape.changes) {
        let key = random.random_range(0..shape.keys);
        batch = match random.random_range(0..12) {
            0..5 => put(shape, random, key, batch, state),
            5..7 => delete(key, batch, state),
            7..9 => {
                let event = random.random();
                state.events.push(event);
                batch.append(EVENTS, &event)
            }
            9..11 => {
                let job = random.random();
                state.pushed += 1;
                state.jobs.insert(state.pushed.cast_unsigned(), (job, 0, false));
                let order_key = random.random_bool(0.5).then(|| vec![random.random_range(0..3)]);
                batch.push(JOBS, Push { order_key, ..Push::new(&job) }).add(PUSHED, &(), 1)
            }
            _ => match held.pop() {
                Some(leased) => end(&leased, random.random_bool(0.4), batch, state),
                None => put(shape, random, key, batch, state),
            },
        };
    }
    batch
}

fn put(shape: Shape, random: &mut StdRng, key: u16, batch: Batch, state: &mut State) -> Batch {
    let number = random.random();
    let text = text(number, random.random_range(0..=shape.text_bytes));
    let before = state.rows.insert(key, (number, text.len(), crc32c::crc32c(text.as_bytes())));
    let batch = batch.put(ROWS, &key, &Row { number, text });
    if before.is_some() {
        return batch.assert_present(ROWS, &key);
    }
    *state.count.entry(bucket(key)).or_default() += 1;
    batch.add(COUNT, &bucket(key), 1)
}

fn delete(key: u16, batch: Batch, state: &mut State) -> Batch {
    if state.rows.remove(&key).is_none() {
        return batch.assert_absent(ROWS, &key);
    }
    let count = state.count.get_mut(&bucket(key)).unwrap();
    *count -= 1;
    if *count == 0 {
        state.count.remove(&bucket(key));
    }
    batch.delete(ROWS, &key).add_bounded(COUNT, &bucket(key), -1, 0..=i64::MAX)
}

fn end(leased: &Leased<u32>, failed: bool, batch: Batch, state: &mut State) -> Batch {
    if !failed {
        state.jobs.remove(&leased.id).unwrap();
        return batch.complete(leased);
    }
    let job = state.jobs.get_mut(&leased.id).unwrap();
    job.1 += 1;
    job.2 = job.1 >= POLICY.attempts;
    batch.retry(leased, "it did not work", POLICY, 0)
}

/// Writes batches, alone or several at once, and notes each state before it can come about.
pub(crate) async fn run(store: &Store, shape: Shape, steps: usize, random: &mut StdRng, book: &mut Book) {
    let mut held = Vec::new();
    for _ in 0..steps {
        match random.random_range(0..10) {
            0 => acknowledge(store, random, book).await,
            1 | 2 => held.extend(store.queue(JOBS).lease(None, 4, 1_000_000, 0).await.unwrap()),
            _ => {
                let together = *[1, 1, 1, 2, 5].choose(random).unwrap();
                write(store, shape, together, random, &mut held, book).await;
            }
        }
    }
}

async fn write(
    store: &Store,
    shape: Shape,
    together: usize,
    random: &mut StdRng,
    held: &mut Vec<Leased<u32>>,
    book: &mut Book,
) {
    let answered = book.states.len() - 1;
    let mut batches = Vec::new();
    for _ in 0..together {
        let mut state = book.states.last().unwrap().clone();
        batches.push(batch(shape, random, held, &mut state));
        book.states.push(state);
    }
    calls::progress(answered, book.states.len() - 1);
    // In a runtime of one thread they are handed over in their order.
    let start = |batch| {
        let store = store.clone();
        tokio::spawn(async move { store.write(batch).await })
    };
    let tasks: Vec<_> = batches.into_iter().map(start).collect();
    for (index, task) in tasks.into_iter().enumerate() {
        task.await.unwrap().unwrap();
        calls::progress(answered + index + 1, book.states.len() - 1);
    }
}

async fn acknowledge(store: &Store, random: &mut StdRng, book: &mut Book) {
    let answered = book.states.len() - 1;
    let mut state = book.states[answered].clone();
    let count = random.random_range(0..=state.events.len());
    state.events.drain(..count);
    state.trimmed += count as u64;
    let up_to = state.trimmed;
    book.states.push(state);
    calls::progress(answered, answered + 1);
    store.log(EVENTS).acknowledge("one", up_to).await.unwrap();
    calls::progress(answered + 1, answered + 1);
}
