#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::{Problem, codes};
use store::{Batch, Counter, Log, Options, Scan, Store, Table};
use tokio::time::timeout;

use super::*;

mod refill;
use crate::config::Config;
use crate::http::{ServeOptions, UnixSocket, serve_unix, service};
use crate::{Context, DataFolder, Peer, Shutdown};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Event {
    Added { number: u32 },
    Odd,
}

const EVENTS: Log<Event> = Log::new("events", &["reader"]);
const NUMBERS: Table<u32, u32> = Table::new("numbers");
const TOTAL: Counter<()> = Counter::new("total");

struct World {
    scratch: tempfile::TempDir,
    owner: Store,
    reader: Store,
    server: Option<(Shutdown, tokio::task::JoinHandle<()>)>,
}

impl World {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&scratch.path().join(name), Options::default()).unwrap();
        let (owner, reader) = (open("owner"), open("reader"));
        let mut world = Self { scratch, owner, reader, server: None };
        world.start();
        world
    }

    fn context(&self, shutdown: &Shutdown) -> Context {
        Context::new(Config::default(), DataFolder::open(self.scratch.path()).unwrap(), shutdown.clone())
    }

    fn start(&mut self) {
        let shutdown = Shutdown::new();
        let context = self.context(&shutdown);
        let routes = service(routes(&context, &self.owner, EVENTS));
        let socket = UnixSocket::bind(&context.data.socket("owner")).unwrap();
        let options = ServeOptions::service(&context.config);
        let own = shutdown.clone();
        let task = tokio::spawn(async move { serve_unix(socket, routes, options, &own).await });
        self.server = Some((shutdown, task));
    }

    async fn stop(&mut self) {
        let (shutdown, task) = self.server.take().unwrap();
        shutdown.request();
        timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    }

    fn consumer(&self) -> Consumer<Event> {
        let path: &Path = &self.scratch.path().join("run/owner.sock");
        Consumer::new("reader", Peer::at("owner", path), EVENTS.name())
    }

    async fn append(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let batch = Batch::new().append(EVENTS, &Event::Added { number });
            self.owner.write(batch).await.unwrap();
        }
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let seen = async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), seen).await.expect("it does not happen");
    }

    fn count(&self) -> usize {
        self.reader.scan_keys(NUMBERS, Scan::all()).count()
    }

    fn total(&self) -> i64 {
        self.reader.count(TOTAL, &()).unwrap()
    }
}

/// The effect that counts: wrong as soon as an event is applied twice.
fn effect(entry: &Entry<Event>) -> Batch {
    match entry.event {
        Event::Added { number } => Batch::new().put(NUMBERS, &number, &number).add(TOTAL, &(), i64::from(number) + 1),
        Event::Odd => Batch::new(),
    }
}

#[tokio::test]
async fn events_count_exactly_once_over_restarts_of_both_sides() {
    let mut world = World::new();
    for merges in [false, true] {
        let done = u32::try_from(world.count()).unwrap();
        for round in 0..3 {
            let shutdown = Shutdown::new();
            let consumer = if merges { world.consumer().merging() } else { world.consumer() };
            let handle = async |entry: Entry<Event>| Ok::<_, Problem>(effect(&entry));
            let run = tokio::spawn(consumer.run(world.reader.clone(), shutdown.clone(), handle));
            let end = done + (round + 1) * 100;
            world.append(end - 100..end - 50).await;
            world.stop().await;
            world.append(end - 50..end).await;
            world.start();
            if round == 1 {
                // Ends in the middle of things; the next one goes on.
                shutdown.request();
            } else {
                world.until(|world| world.count() == end as usize).await;
                shutdown.request();
            }
            timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
        }
        let all = i64::from(done + 300);
        assert_eq!(world.total(), all * (all + 1) / 2);
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_known_to_the_owner() {
    let world = World::new();
    let shutdown = Shutdown::new();
    let context = world.context(&shutdown);
    world.append(0..300).await;
    let (store, consumer) = (world.reader.clone(), world.consumer().merging());
    let own = shutdown.clone();
    let handle = async |entry: Entry<Event>| Ok::<_, Problem>(effect(&entry));
    context.spawn("reader", async move { consumer.run(store, own, handle).await });
    world.until(|world| world.owner.log(EVENTS).cursors().unwrap() == [("reader".to_owned(), 300)]).await;
    assert_eq!(world.count(), 300);
    shutdown.request();
    assert!(shutdown.finish(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn poison_is_set_aside_and_the_others_go_on() {
    let world = World::new();
    world.append(0..3).await;
    world.owner.write(Batch::new().append(EVENTS, &Event::Odd)).await.unwrap();
    world.append(3..6).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let handle = move |entry: Entry<Event>| {
        let counted = counted.clone();
        async move {
            if entry.event == Event::Odd {
                counted.fetch_add(1, Ordering::SeqCst);
                return Err(Problem::new(codes::INTERNAL, "nobody expected that"));
            }
            Ok(effect(&entry))
        }
    };
    let shutdown = Shutdown::new();
    let run = tokio::spawn(world.consumer().merging().run(world.reader.clone(), shutdown.clone(), handle));
    world.until(|world| world.count() == 6).await;
    let dead: Vec<_> = world.reader.scan(DEAD_EVENTS, Scan::all()).map(Result::unwrap).collect();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].0, ("reader/owner/events".to_owned(), 4));
    assert!(dead[0].1.reason.contains("nobody expected that") && dead[0].1.event.contains("odd"));
    assert!(attempts.load(Ordering::SeqCst) >= crate::limits::EVENT_ATTEMPTS);
    assert_eq!(world.total(), 21);
    shutdown.request();
    run.await.unwrap();
}

#[tokio::test]
async fn somebody_who_is_down_is_waited_for_and_what_follows_is_called_once() {
    let world = World::new();
    world.append(0..5).await;
    let (up, followed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (is_up, followed_by) = (up.clone(), followed.clone());
    let handle = move |entry: Entry<Event>| {
        let (up, followed) = (is_up.load(Ordering::SeqCst), followed_by.clone());
        async move {
            if !up {
                return Err(Problem::new(codes::SERVICE_UNAVAILABLE, "down"));
            }
            let sequence = entry.sequence;
            Ok(Effect::then(effect(&entry), move || followed.lock().unwrap().push(sequence)))
        }
    };
    let shutdown = Shutdown::new();
    let run = tokio::spawn(world.consumer().run(world.reader.clone(), shutdown.clone(), handle));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.reader.scan(DEAD_EVENTS, Scan::all()).count(), 0);
    up.store(true, Ordering::SeqCst);
    world.until(|world| world.count() == 5).await;
    shutdown.request();
    run.await.unwrap();
    assert_eq!(*followed.lock().unwrap(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_handler_of_several_events_gets_them_together_and_one_by_one_when_that_fails() {
    let world = World::new();
    world.append(0..100).await;
    let largest = Arc::new(AtomicU32::new(0));
    let seen = largest.clone();
    let handle = move |entries: Vec<Entry<Event>>| {
        let (size, seen) = (u32::try_from(entries.len()).unwrap(), seen.clone());
        async move {
            let bad = |entry: &Entry<Event>| entry.event == Event::Added { number: 50 };
            if entries.iter().any(bad) && size > 1 {
                return Err(Problem::new(codes::INTERNAL, "not together"));
            }
            seen.fetch_max(size, Ordering::SeqCst);
            Ok(entries.iter().fold(Batch::new(), |batch, entry| batch.merge(effect(entry))))
        }
    };
    let shutdown = Shutdown::new();
    let run = tokio::spawn(world.consumer().run_together(world.reader.clone(), shutdown.clone(), handle));
    world.until(|world| world.count() == 100).await;
    assert_eq!((world.total(), largest.load(Ordering::SeqCst)), (5050, 32));
    assert_eq!(world.reader.scan(DEAD_EVENTS, Scan::all()).count(), 0);
    shutdown.request();
    run.await.unwrap();
}

#[tokio::test]
async fn who_is_not_named_as_a_consumer_gets_nothing() {
    let world = World::new();
    world.append(0..1).await;
    let peer = Peer::at("owner", &world.scratch.path().join("run/owner.sock"));
    let problem = peer.get::<LogPage<Event>>("/internal/logs/events?consumer=stranger&after=0").await.unwrap_err();
    assert!(problem.is(codes::INVALID_FIELD), "{problem}");
    let problem = peer.get::<LogPage<Event>>("/internal/logs/others?consumer=reader&after=0").await.unwrap_err();
    assert!(problem.is(codes::NOT_FOUND), "{problem}");
    let page: LogPage<Event> = peer.get("/internal/logs/events?consumer=reader&after=0").await.unwrap();
    assert_eq!((page.head, page.events.len()), (1, 1));
}
