#![allow(clippy::unwrap_used)]

use serde::Serialize;

use super::record::{self, Spot};
use super::{Push, Queue, RetryPolicy};
use crate::batch::{Batch, Operation};
use crate::space::{self, Kind};
use crate::{JobState, Options, Store};

const JOBS: Queue<String> = Queue::new("jobs");

/// The records as they were written before jobs shared entries.
#[derive(Serialize)]
struct OldHead {
    last_id: u64,
    last_position: u64,
    queued: u64,
    blocked: u64,
    dead: u64,
}

#[derive(Serialize)]
enum OldPlace {
    Queued,
    Dead,
}

#[derive(Serialize)]
struct OldHeader {
    place: OldPlace,
    lane: u8,
    due_ms: i64,
    position: u64,
    failures: u32,
    order_key: Option<Vec<u8>>,
    reason: Option<String>,
}

fn put(batch: Batch, key: Vec<u8>, value: Vec<u8>) -> Batch {
    batch.with("old", Operation::Put { key, value })
}

fn old_job(batch: Batch, id: u64, place: OldPlace, text: &str) -> Batch {
    let key = |kind: u8| space::key(Kind::Queue, "jobs", &(kind, id));
    let batch = match place {
        OldPlace::Queued => {
            let pending = space::key(Kind::Queue, "jobs", &(b'p', 0_u8, 0_i64, id));
            put(batch, pending, id.to_be_bytes().to_vec())
        }
        OldPlace::Dead => put(batch, key(b'x'), Vec::new()),
    };
    let (lane, due_ms, position, failures, order_key, reason) = (0, 0, id, 0, None, None);
    let header = OldHeader { place, lane, due_ms, position, failures, order_key, reason };
    let header = rmp_serde::to_vec_named(&header).unwrap();
    let length = u16::try_from(header.len()).unwrap().to_be_bytes();
    let body = rmp_serde::to_vec_named(text).unwrap();
    put(batch, key(b'j'), [&length, header.as_slice(), &body].concat())
}

#[tokio::test]
async fn jobs_that_an_older_version_wrote_are_done_failed_and_revived() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let head = OldHead { last_id: 4, last_position: 4, queued: 3, blocked: 0, dead: 1 };
    let mut batch = put(Batch::new(), record::head_key("jobs"), rmp_serde::to_vec_named(&head).unwrap());
    for (id, text) in [(1, "one"), (2, "two"), (3, "three")] {
        batch = old_job(batch, id, OldPlace::Queued, text);
    }
    store.write(old_job(batch, 4, OldPlace::Dead, "four")).await.unwrap();
    let new = ["five".to_owned(), "six".to_owned()];
    let batch = new.iter().fold(Batch::new(), |batch, text| batch.push(JOBS, Push::new(text)));
    assert_eq!(store.write(batch).await.unwrap().jobs, [5, 6]);

    let queue = store.queue(JOBS);
    let states: Vec<_> = queue.list(9).unwrap().into_iter().map(|view| (view.id, view.state)).collect();
    let queued = |id| (id, JobState::Queued);
    assert_eq!(states, [queued(1), queued(2), queued(3), (4, JobState::Dead), queued(5), queued(6)]);
    let leased = queue.lease(None, 9, 1_000, 0).await.unwrap();
    assert_eq!(leased.iter().map(|job| job.job.as_str()).collect::<Vec<_>>(), ["one", "two", "three", "five", "six"]);
    let policy = RetryPolicy { attempts: 2, first_delay_ms: 0, max_delay_ms: 0 };
    let batch = Batch::new().complete(&leased[0]).retry(&leased[1], "no", policy, 0).bury(&leased[2], "never");
    store.write(batch.complete(&leased[3]).complete(&leased[4])).await.unwrap();
    queue.revive(4, 0).await.unwrap();
    let leased = queue.lease(None, 9, 1_000, 0).await.unwrap();
    let found: Vec<_> = leased.iter().map(|job| (job.job.as_str(), job.attempt)).collect();
    assert_eq!(found, [("two", 1), ("four", 0)]);
    store.write(leased.iter().fold(Batch::new(), Batch::complete)).await.unwrap();
    queue.drop_dead(3).await.unwrap();
    assert!(queue.list(9).unwrap().is_empty());
    let depth = queue.depth().unwrap();
    assert_eq!((depth.ready, depth.delayed, depth.leased, depth.dead), (0, 0, 0, 0));
}

#[tokio::test]
async fn whoever_leases_begins_behind_what_is_leased() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let queue = store.queue(JOBS);
    let text = "a job".to_owned();
    let batch = (0..1_000).fold(Batch::new(), |batch, _| batch.push(JOBS, Push::new(&text)));
    store.write(batch).await.unwrap();
    queue.lease(None, 999, 1_000, 0).await.unwrap();
    let spot = |position| Spot { lane: 0, due_ms: 0, position };
    let front = queue.shared.leases().front(0);
    assert!(front > spot(900), "{front:?}");
    let leased = queue.lease(None, 9, 1_000, 0).await.unwrap();
    assert_eq!(leased.len(), 1);
    let last = queue.shared.leases().front(0);
    assert!(last > front.max(spot(937)), "behind the last chunk, of at most 64 jobs: {last:?}");
}

#[tokio::test]
async fn many_jobs_take_few_entries_and_leave_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let queue = store.queue(JOBS);
    let text = "x".repeat(190);
    let entries = || {
        let prefix = space::prefix(Kind::Queue, "jobs");
        let end = space::after_prefix(&prefix).unwrap();
        store.engine().range(prefix..end, false).map(Result::unwrap).count()
    };
    let batch = (0..1_000).fold(Batch::new(), |batch, _| batch.push(JOBS, Push::new(&text)));
    store.write(batch).await.unwrap();
    assert!(entries() < 70, "{}", entries());
    let mut left = queue.lease(None, 1_000, 1_000, 0).await.unwrap();
    while !left.is_empty() {
        let some = left.split_off(left.len().saturating_sub(300));
        store.write(some.iter().fold(Batch::new(), Batch::complete)).await.unwrap();
    }
    assert_eq!(entries(), 1, "the head is left");
}
