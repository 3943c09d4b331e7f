//! What the store does, one promise a test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{
    Batch, Counter, Desc, JobState, Log, OpenError, Options, Push, Queue, RetryPolicy, Scan, Store, Table, WriteError,
    limits,
};
use tempfile::TempDir;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Video {
    title: String,
    views: u32,
}

const VIDEOS: Table<u64, Video> = Table::new("videos");
const BY_CHANNEL: Table<(String, Desc<i64>), u64> = Table::new("by-channel");
const LIKES: Counter<u64> = Counter::new("likes");
const EVENTS: Log<String> = Log::new("events", &["search", "inbox"]);
const FREE: Log<String> = Log::new("free", &[]);
const JOBS: Queue<String> = Queue::new("jobs");

fn open(folder: &TempDir) -> Store {
    Store::open(folder.path(), Options::default()).unwrap()
}

fn video(title: &str) -> Video {
    Video { title: title.to_owned(), views: 0 }
}

#[tokio::test]
async fn what_is_written_is_read_also_after_opening_again() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let batch = Batch::new().put(VIDEOS, &1, &video("one")).add(LIKES, &1, 2).put(VIDEOS, &2, &video("two"));
    assert_eq!(batch.len(), 3);
    assert_eq!(store.write(batch).await.unwrap().sequence, 1);
    store.write(Batch::new().delete(VIDEOS, &2).add(LIKES, &1, 1)).await.unwrap();
    let check = |store: &Store| {
        assert_eq!(store.get(VIDEOS, &1).unwrap(), Some(video("one")));
        assert_eq!(store.get(VIDEOS, &2).unwrap(), None);
        assert!(!store.contains(VIDEOS, &2).unwrap());
        assert_eq!(store.count(LIKES, &1).unwrap(), 3);
        assert_eq!(store.count(LIKES, &9).unwrap(), 0);
    };
    check(&store);
    drop(store);
    check(&open(&folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_was_refused_for_can_be_read_when_it_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for round in 0..200 {
        let claim = |title: &'static str| {
            let store = store.clone();
            tokio::spawn(async move {
                let claimed =
                    store.write(Batch::new().assert_absent(VIDEOS, &round).put(VIDEOS, &round, &video(title)));
                (claimed.await.is_ok(), store.get(VIDEOS, &round).unwrap())
            })
        };
        let (one, two) = tokio::join!(claim("one"), claim("two"));
        let ((first, seen), (second, also_seen)) = (one.unwrap(), two.unwrap());
        assert!(first != second, "one of them wins");
        assert!(seen.is_some() && seen == also_seen, "round {round}: {seen:?} {also_seen:?}");
    }
}

#[tokio::test]
async fn a_batch_that_fails_an_assertion_changes_nothing_and_names_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(Batch::new().put(VIDEOS, &1, &video("one"))).await.unwrap();
    let before = store.log(EVENTS).head();
    let failing = |last: Batch| {
        Batch::new()
            .put(VIDEOS, &2, &video("two"))
            .add(LIKES, &2, 1)
            .append(EVENTS, &"made".to_owned())
            .push(JOBS, Push::new(&"work".to_owned()))
            .merge(last)
    };
    for last in [
        Batch::new().assert_absent(VIDEOS, &1),
        Batch::new().assert_present(VIDEOS, &3),
        Batch::new().assert_equal(VIDEOS, &1, &video("other")),
        Batch::new().assert_absent(VIDEOS, &2),
    ] {
        let answer = store.write(failing(last)).await;
        assert_eq!(answer, Err(WriteError::Assertion { index: 4, table: "videos" }));
    }
    let answer = store.write(failing(Batch::new().add_bounded(LIKES, &2, -2, 0..=10))).await;
    assert_eq!(answer, Err(WriteError::Bounds { counter: "likes" }));
    assert_eq!(store.get(VIDEOS, &2).unwrap(), None);
    assert_eq!(store.count(LIKES, &2).unwrap(), 0);
    assert_eq!(store.log(EVENTS).head(), before);
    assert_eq!(store.queue(JOBS).depth().unwrap().ready, 0);
    let passing =
        Batch::new().assert_absent(VIDEOS, &2).assert_present(VIDEOS, &1).assert_equal(VIDEOS, &1, &video("one"));
    store.write(failing(Batch::new()).merge(Batch::new())).await.unwrap();
    assert_eq!(store.write(passing).await, Err(WriteError::Assertion { index: 0, table: "videos" }));
}

#[tokio::test]
async fn of_many_who_claim_the_same_key_one_wins() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let claims = (0..50).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let batch = Batch::new().assert_absent(VIDEOS, &1).put(VIDEOS, &1, &video(&number.to_string()));
            store.write(batch.add_bounded(LIKES, &1, 1, 0..=1)).await.is_ok()
        })
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        won += u32::from(claim.await.unwrap());
    }
    assert_eq!(won, 1);
    assert_eq!(store.count(LIKES, &1).unwrap(), 1);
}

#[tokio::test]
async fn compare_and_set_reads_what_an_older_version_wrote() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newer {
        title: String,
        views: u32,
        #[serde(default)]
        tags: Vec<String>,
    }
    const NEWER: Table<u64, Newer> = Table::new("videos");
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(Batch::new().put(VIDEOS, &1, &video("one"))).await.unwrap();
    let seen = store.get(NEWER, &1).unwrap().unwrap();
    assert!(seen.tags.is_empty());
    let changed = Newer { title: "new".to_owned(), views: 0, tags: vec!["x".to_owned()] };
    let batch = Batch::new().assert_equal(NEWER, &1, &seen).put(NEWER, &1, &changed);
    store.write(batch).await.unwrap();
    // And the older version reads what the newer one wrote.
    assert_eq!(store.get(VIDEOS, &1).unwrap(), Some(video("new")));
}

#[tokio::test]
async fn scans_have_bounds_and_directions() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let mut batch = Batch::new();
    for (channel, time) in [("a", 1), ("a", 2), ("a", 3), ("a\0", 9), ("b", 5)] {
        batch = batch.put(BY_CHANNEL, &(channel.to_owned(), Desc(time)), &(time as u64));
    }
    store.write(batch.put(VIDEOS, &1, &video("other table"))).await.unwrap();
    let values = |scan: Scan| -> Vec<u64> { store.scan(BY_CHANNEL, scan).map(|entry| entry.unwrap().1).collect() };
    let key = |channel: &str, time| (channel.to_owned(), Desc(time));
    let of_a = || Scan::prefix(&("a".to_owned(),));
    assert_eq!(values(Scan::all()), [3, 2, 1, 9, 5]);
    assert_eq!(values(Scan::all().reverse()), [5, 9, 1, 2, 3]);
    assert_eq!(values(of_a()), [3, 2, 1]);
    assert_eq!(values(of_a().after(&key("a", 3))), [2, 1]);
    assert_eq!(values(of_a().after(&key("a", 2)).reverse()), [3]);
    assert_eq!(values(of_a().from(&key("a", 2))), [2, 1]);
    assert_eq!(values(of_a().from(&key("a", 2)).until(&key("a", 1)).reverse()), [2]);
    assert_eq!(values(of_a().after(&key("b", 0))), [0_u64; 0]);
    assert_eq!(values(of_a().until(&key("a", 9))), [0_u64; 0]);
    assert_eq!(values(Scan::starts_with("a")), [3, 2, 1, 9]);
    assert_eq!(values(Scan::starts_with("c")), [0_u64; 0]);
    let keys: Vec<_> = store.scan_keys(BY_CHANNEL, of_a()).map(Result::unwrap).collect();
    assert_eq!(keys, [key("a", 3), key("a", 2), key("a", 1)]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let long = video(&"x".repeat(limits::VALUE_BYTES_MAX));
    let answer = store.write(Batch::new().put(VIDEOS, &1, &long)).await;
    assert!(matches!(answer, Err(WriteError::TooLarge { what: "videos", .. })), "{answer:?}");
    let mut batch = Batch::new();
    for number in 0..=limits::BATCH_OPERATIONS_MAX as u64 {
        batch = batch.delete(VIDEOS, &number);
    }
    let answer = store.write(batch).await;
    assert!(matches!(answer, Err(WriteError::TooLarge { what: "batch", .. })), "{answer:?}");
    let mut batch = Batch::new();
    for number in 0..limits::BATCH_OPERATIONS_MAX as u64 {
        batch = batch.put(VIDEOS, &number, &video("small"));
    }
    store.write(batch).await.unwrap();
    assert_eq!(store.scan_keys(VIDEOS, Scan::all()).count(), limits::BATCH_OPERATIONS_MAX);
}

#[tokio::test]
async fn a_second_opening_is_refused_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(Batch::new().put(VIDEOS, &1, &video("one"))).await.unwrap();
    let second = Store::open(folder.path(), Options::default());
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
    store.write(Batch::new().put(VIDEOS, &2, &video("two"))).await.unwrap();
    drop(store);
    assert_eq!(open(&folder).scan_keys(VIDEOS, Scan::all()).count(), 2);
}

#[tokio::test]
async fn a_closed_store_refuses_writes_and_keeps_what_it_accepted() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let accepted: Vec<_> = (0..100_u64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.write(Batch::new().put(VIDEOS, &number, &video("x"))).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    assert_eq!(store.write(Batch::new().delete(VIDEOS, &1)).await, Err(WriteError::Closed));
    store.close().await;
    let mut acknowledged = 0;
    for write in accepted {
        acknowledged += usize::from(write.await.unwrap().is_ok());
    }
    drop(store);
    assert_eq!(open(&folder).scan_keys(VIDEOS, Scan::all()).count(), acknowledged);
}

#[tokio::test]
async fn events_are_numbered_read_and_waited_for() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let log = store.log(EVENTS);
    assert_eq!((log.head(), log.read(0, 10).unwrap().len()), (0, 0));
    assert!(!log.wait(0, Duration::from_millis(20)).await);
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.wait(0, Duration::from_secs(20)).await }
    });
    let batch = Batch::new().at(77).append(EVENTS, &"a".to_owned()).append(EVENTS, &"b".to_owned());
    assert_eq!(store.write(batch).await.unwrap().events, [1, 2]);
    assert!(waiting.await.unwrap());
    assert_eq!(log.read(0, 10).unwrap(), [(1, 77, "a".to_owned()), (2, 77, "b".to_owned())]);
    assert_eq!(log.read(1, 10).unwrap(), [(2, 77, "b".to_owned())]);
    assert_eq!(log.read(0, 1).unwrap().len(), 1);
    let epoch = log.epoch();
    drop((log, store));
    let store = open(&folder);
    assert_eq!(store.log(EVENTS).epoch(), epoch);
    assert_eq!(store.write(Batch::new().append(EVENTS, &"c".to_owned())).await.unwrap().events, [3]);
    assert_eq!(store.log(EVENTS).head(), 3);
    assert_ne!(open(&TempDir::new().unwrap()).log(EVENTS).epoch(), epoch);
}

#[tokio::test]
async fn a_log_is_trimmed_to_its_slowest_consumer() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let log = store.log(EVENTS);
    for _ in 0..3 {
        let mut batch = Batch::new();
        for number in 0..1000 {
            batch = batch.append(EVENTS, &number.to_string());
        }
        store.write(batch).await.unwrap();
    }
    log.acknowledge("search", 3000).await.unwrap();
    assert_eq!(log.trimmed().unwrap(), 0);
    log.acknowledge("inbox", 2500).await.unwrap();
    assert_eq!(log.trimmed().unwrap(), 2000);
    log.acknowledge("inbox", 2400).await.unwrap();
    log.acknowledge("inbox", 9_999_999).await.unwrap();
    assert_eq!(log.trimmed().unwrap(), 3000);
    assert_eq!(log.read(0, 10).unwrap(), []);
    assert_eq!(log.head(), 3000);
    let cursors = log.cursors().unwrap();
    assert_eq!(cursors, [("search".to_owned(), 3000), ("inbox".to_owned(), 3000)]);
    let unknown = log.acknowledge("nobody", 1).await;
    assert_eq!(unknown, Err(WriteError::UnknownConsumer { log: "events" }));
    store.write(Batch::new().append(FREE, &"kept".to_owned())).await.unwrap();
    assert_eq!(store.log(FREE).read(0, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_is_done_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    let written = store.write(Batch::new().push(JOBS, Push::new(&"work".to_owned()))).await.unwrap();
    assert_eq!(written.jobs, [1]);
    let first = queue.lease(None, 10, 1000, 0).await.unwrap().remove(0);
    assert_eq!((first.id, first.job.as_str(), first.attempt), (1, "work", 0));
    assert!(queue.lease(None, 10, 1000, 999).await.unwrap().is_empty(), "it is leased");
    queue.heartbeat(&first, 999).await.unwrap();
    assert!(queue.lease(None, 10, 1000, 1500).await.unwrap().is_empty(), "it is kept");
    let second = queue.lease(None, 10, 1000, 2000).await.unwrap().remove(0);
    assert_eq!(second.attempt, 0, "a worker that vanished is no failure of the work");
    let lost = Err(WriteError::LeaseLost { queue: "jobs", id: 1 });
    assert_eq!(queue.heartbeat(&first, 2000).await, Err(WriteError::LeaseLost { queue: "jobs", id: 1 }));
    assert_eq!(store.write(Batch::new().add(LIKES, &1, 1).complete(&first)).await, lost);
    store.write(Batch::new().add(LIKES, &1, 1).complete(&second)).await.unwrap();
    assert_eq!(store.write(Batch::new().add(LIKES, &1, 1).complete(&second)).await, lost);
    assert_eq!(store.count(LIKES, &1).unwrap(), 1);
    assert_eq!(queue.depth().unwrap(), store::QueueDepth::default());
    assert!(queue.list(10).unwrap().is_empty());
}

#[tokio::test]
async fn completing_twice_in_one_group_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    store.write(Batch::new().push(JOBS, Push::new(&"work".to_owned()))).await.unwrap();
    let leased = queue.lease(None, 1, 1000, 0).await.unwrap().remove(0);
    let policy = RetryPolicy { attempts: 9, first_delay_ms: 1, max_delay_ms: 1 };
    let twice = Batch::new().retry(&leased, "no", policy, 0).complete(&leased);
    assert_eq!(store.write(twice).await, Err(WriteError::LeaseLost { queue: "jobs", id: 1 }));
    let writes: Vec<_> = (0..20)
        .map(|number| {
            let (store, leased) = (store.clone(), leased.clone());
            tokio::spawn(async move {
                let batch = match number % 2 {
                    0 => Batch::new().complete(&leased),
                    _ => Batch::new().retry(&leased, "no", policy, 0),
                };
                store.write(batch).await.is_ok()
            })
        })
        .collect();
    let mut done = 0;
    for write in writes {
        done += u32::from(write.await.unwrap());
    }
    assert_eq!(done, 1);
}

#[tokio::test]
async fn failures_are_repeated_later_and_end_as_dead_letters() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    store.write(Batch::new().push(JOBS, Push::new(&"bad".to_owned()))).await.unwrap();
    let policy = RetryPolicy { attempts: 3, first_delay_ms: 1000, max_delay_ms: 1500 };
    let mut now_ms = 10_000;
    for failures in 0..3 {
        let leased = queue.lease(None, 1, 1000, now_ms).await.unwrap().remove(0);
        assert_eq!(leased.attempt, failures);
        store.write(Batch::new().retry(&leased, "no such codec", policy, now_ms)).await.unwrap();
        let due_ms = queue.list(1).unwrap()[0].due_ms;
        if failures < 2 {
            let longest = if failures == 0 { 1000 } else { 1500 };
            assert!((longest / 2..=longest).contains(&(due_ms - now_ms)), "{due_ms} {now_ms}");
            assert!(queue.lease(None, 1, 1000, due_ms - 1).await.unwrap().is_empty());
        }
        now_ms = due_ms;
    }
    assert!(queue.lease(None, 1, 1000, i64::MAX).await.unwrap().is_empty());
    let dead = queue.dead(10).unwrap().remove(0);
    assert_eq!((dead.state, dead.attempt, dead.reason.as_deref()), (JobState::Dead, 3, Some("no such codec")));
    assert_eq!(queue.depth().unwrap().dead, 1);
    queue.revive(dead.id, now_ms).await.unwrap();
    assert_eq!(queue.revive(dead.id, now_ms).await, Err(WriteError::NoSuchJob { queue: "jobs", id: 1 }));
    let again = queue.lease(None, 1, 1000, now_ms).await.unwrap().remove(0);
    assert_eq!((again.id, again.attempt), (dead.id, 0));
    assert_eq!(queue.depth().unwrap(), store::QueueDepth { leased: 1, ..Default::default() });
}

#[tokio::test]
async fn order_is_kept_per_key_and_lanes_are_apart() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    let push = |name: &str, key: Option<&str>, lane, due_ms| {
        let order_key = key.map(|key| key.as_bytes().to_vec());
        Batch::new().push(JOBS, Push { job: &name.to_owned(), order_key, due_ms, lane })
    };
    let batch = push("a1", Some("a"), 1, 0)
        .merge(push("a2", Some("a"), 1, 0))
        .merge(push("b1", Some("b"), 1, 0))
        .merge(push("later", None, 1, 50))
        .merge(push("slow", None, 7, 0));
    store.write(batch.merge(push("a3", Some("a"), 1, 0))).await.unwrap();
    let names =
        |jobs: &[store::Leased<String>]| -> Vec<String> { jobs.iter().map(|leased| leased.job.clone()).collect() };
    let first = queue.lease(Some(1), 10, 1000, 10).await.unwrap();
    assert_eq!(names(&first), ["a1", "b1"], "one at a time per key");
    assert_eq!(names(&queue.lease(None, 10, 1000, 10).await.unwrap()), ["slow"]);
    let policy = RetryPolicy { attempts: 2, first_delay_ms: 100, max_delay_ms: 100 };
    store.write(Batch::new().retry(&first[0], "x", policy, 10)).await.unwrap();
    assert_eq!(names(&queue.lease(Some(1), 10, 1000, 49).await.unwrap()), [""; 0], "a2 waits for a1");
    let next = queue.lease(Some(1), 10, 1000, 110).await.unwrap();
    assert_eq!(names(&next), ["later", "a1"]);
    store.write(Batch::new().retry(&next[1], "x", policy, 110)).await.unwrap();
    let next = queue.lease(Some(1), 10, 1000, 111).await.unwrap();
    assert_eq!(names(&next), ["a2"], "a dead letter blocks nothing");
    store.write(Batch::new().complete(&next[0]).merge(push("a4", Some("a"), 1, 0))).await.unwrap();
    let last = queue.lease(Some(1), 10, 1000, 112).await.unwrap();
    assert_eq!(names(&last), ["a3"]);
    store.write(Batch::new().complete(&last[0])).await.unwrap();
    assert_eq!(names(&queue.lease(Some(1), 10, 1000, 112).await.unwrap()), ["a4"]);
}

#[tokio::test]
async fn leases_end_with_the_process_without_counting_as_failures() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(Batch::new().push(JOBS, Push::new(&"work".to_owned()))).await.unwrap();
    let leased = store.queue(JOBS).lease(None, 1, 1_000_000, 0).await.unwrap();
    assert_eq!(leased.len(), 1);
    store.queue(JOBS).release_all_leases().await;
    assert_eq!(store.queue(JOBS).lease(None, 1, 1_000_000, 0).await.unwrap().len(), 1);
    drop(store);
    let store = open(&folder);
    let again = store.queue(JOBS).lease(None, 1, 1_000_000, 0).await.unwrap().remove(0);
    assert_eq!(again.attempt, 0);
    store.queue(JOBS).release(&again).await;
    assert_eq!(store.queue(JOBS).lease(None, 1, 1_000_000, 0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn waiting_for_jobs_misses_none() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let queue = store.queue(JOBS);
    let long = Duration::from_secs(20);
    assert!(queue.lease(None, 1, 1000, 0).await.unwrap().is_empty());
    assert!(!queue.wait(Duration::from_millis(20)).await);
    store.write(Batch::new().push(JOBS, Push::new(&"work".to_owned()))).await.unwrap();
    assert!(queue.wait(long).await, "pushed between lease and wait");
    let leased = queue.lease(None, 1, 1000, 0).await.unwrap().remove(0);
    let waiting = tokio::spawn({
        let queue = store.queue(JOBS);
        async move {
            queue.lease(None, 1, 1000, 0).await.unwrap();
            queue.wait(long).await
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let policy = RetryPolicy { attempts: 9, first_delay_ms: 60, max_delay_ms: 60 };
    store.write(Batch::new().retry(&leased, "x", policy, 0)).await.unwrap();
    assert!(waiting.await.unwrap());
    assert!(queue.lease(None, 1, 1000, 0).await.unwrap().is_empty());
    let start = std::time::Instant::now();
    assert!(queue.wait(long).await, "it became due");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_job_that_cannot_be_read_becomes_a_dead_letter() {
    const NUMBERS: Queue<u32> = Queue::new("jobs");
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let batch = Batch::new().push(JOBS, Push::new(&"no number".to_owned())).push(NUMBERS, Push::new(&7));
    store.write(batch).await.unwrap();
    let leased = store.queue(NUMBERS).lease(None, 10, 1000, 0).await.unwrap();
    assert_eq!(leased.iter().map(|leased| leased.job).collect::<Vec<_>>(), [7]);
    let dead = store.queue(NUMBERS).dead(10).unwrap().remove(0);
    assert_eq!((dead.id, dead.job), (1, None));
    assert!(dead.reason.unwrap().contains("cannot be decoded"));
}
