//! Projections that are filled anew, whatever happens meanwhile.

mod admin;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context as Poller, Poll};

use proto::api::projection::{Projection as View, ProjectionState};

use super::super::registry::Projections;
use super::*;
use crate::limits::REFILL_REMOVALS_MAX;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Thing {
    Is { id: u32, value: u32 },
    Gone { id: u32 },
    Rang { id: u32 },
}

/// The owner's.
const STATE: Table<u32, u32> = Table::new("state");
const OLD_LOG: Log<Thing> = Log::new("things", &["reader"]);
const LOG: Log<Thing> = Log::new("things", &["reader", "newcomer"]);

/// The reader's: the things, an index of them, what it has made of its own about each, and what is never undone.
const THINGS: Table<u32, u32> = Table::new("things");
const BY_VALUE: Table<(u32, u32), ()> = Table::new("by-value");
const NOTES: Table<u32, ()> = Table::new("notes");
const RINGS: Counter<()> = Counter::new("rings");

/// What nobody can take.
const THIRTEEN: u32 = 13_000_000;

fn id_of(id: u32) -> [u8; 16] {
    u128::from(id).to_be_bytes()
}

fn subject(event: &Thing) -> Option<Subject> {
    match event {
        Thing::Is { id, .. } | Thing::Gone { id } => Some(Subject::new(0, &[id_of(*id)])),
        Thing::Rang { .. } => None,
    }
}

fn projection() -> Projection<Thing> {
    let kept = |id: u32| Some(Kept::of(Subject::new(0, &[id_of(id)]), &Thing::Gone { id }));
    let rows = Rows::new().keys(THINGS, move |_, id| Ok(kept(id))).keys(NOTES, move |_, id| Ok(kept(id))).keys(
        BY_VALUE,
        |store, (value, id)| {
            let stray = store.get(THINGS, &id)? != Some(value);
            Ok(stray.then(|| Kept::stray(move || Batch::new().delete(BY_VALUE, &(value, id)))))
        },
    );
    Projection::new(subject, rows)
}

/// Wrong when an event is told twice, and when the rows before are not known.
fn effect(store: &Store, entry: Entry<Thing>) -> Result<Batch, Problem> {
    let old = |id| store.get(THINGS, &id).map_err(|error| crate::problem::of_read(&error));
    let without =
        |id: u32, old: Option<u32>| old.map_or_else(Batch::new, |old| Batch::new().delete(BY_VALUE, &(old, id)));
    Ok(match entry.event {
        Thing::Is { value: THIRTEEN, .. } => return Err(Problem::new(codes::INTERNAL, "thirteen is too much")),
        Thing::Is { id, value } => {
            without(id, old(id)?).put(THINGS, &id, &value).put(BY_VALUE, &(value, id), &()).put(NOTES, &id, &())
        }
        Thing::Gone { id } => without(id, old(id)?).delete(THINGS, &id).delete(NOTES, &id),
        Thing::Rang { .. } if entry.snapshot => Batch::new(),
        Thing::Rang { .. } => Batch::new().add(RINGS, &(), 1),
    })
}

struct Stage {
    scratch: tempfile::TempDir,
    owner: Store,
    server: Option<(Shutdown, tokio::task::JoinHandle<()>)>,
    histories: u32,
}

impl Stage {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let owner = Store::open(&scratch.path().join("owner"), Options::default()).unwrap();
        let mut stage = Self { scratch, owner, server: None, histories: 0 };
        stage.serve(OLD_LOG).await;
        stage
    }

    fn reader(&self, name: &str) -> Store {
        Store::open(&self.scratch.path().join(name), Options::default()).unwrap()
    }

    async fn serve(&mut self, log: Log<Thing>) {
        self.end().await;
        let shutdown = Shutdown::new();
        let context = Context::new(Config::default(), DataFolder::open(self.scratch.path()).unwrap(), shutdown.clone());
        let rows = Rows::new().table(STATE, |_, id, value| Ok(Some(Thing::Is { id, value })));
        let routes = service(routes_with_snapshot(&context, &self.owner, log, rows));
        let socket = UnixSocket::bind(&context.data.socket("owner")).unwrap();
        let options = ServeOptions::service(&context.config);
        let own = shutdown.clone();
        let task = tokio::spawn(async move { serve_unix(socket, routes, options, &own).await });
        self.server = Some((shutdown, task));
    }

    async fn end(&mut self) {
        if let Some((shutdown, task)) = self.server.take() {
            shutdown.request();
            timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
        }
    }

    /// The owner comes back without anything that it had.
    async fn lose_everything(&mut self) {
        self.histories += 1;
        let folder = self.scratch.path().join(format!("owner-{}", self.histories));
        self.end().await;
        self.owner = Store::open(&folder, Options::default()).unwrap();
        self.serve(OLD_LOG).await;
    }

    async fn is(&self, id: u32, value: u32) {
        let batch = Batch::new().put(STATE, &id, &value).append(LOG, &Thing::Is { id, value });
        self.owner.write(batch).await.unwrap();
    }

    async fn gone(&self, id: u32) {
        self.owner.write(Batch::new().delete(STATE, &id).append(LOG, &Thing::Gone { id })).await.unwrap();
    }

    async fn ring(&self) {
        self.owner.write(Batch::new().append(LOG, &Thing::Rang { id: 1 })).await.unwrap();
    }

    fn consumer(&self, name: &'static str) -> Consumer<Thing> {
        Consumer::new(name, Peer::at("owner", &self.scratch.path().join("run/owner.sock")), LOG.name())
            .projecting(projection())
    }

    fn state(&self) -> BTreeMap<u32, u32> {
        self.owner.scan(STATE, Scan::all()).map(Result::unwrap).collect()
    }

    fn follow(&self, store: &Store, consumer: Consumer<Thing>) -> Following {
        let (shutdown, own) = (Shutdown::new(), store.clone());
        let handle = move |entry| std::future::ready(effect(&own, entry));
        let task = tokio::spawn(consumer.run(store.clone(), shutdown.clone(), handle));
        Following { shutdown, task }
    }

    /// So many things are, and the reader has read of them.
    async fn read_things(&self, reader: &Store, things: u32) {
        for id in 0..things {
            self.is(id, id).await;
        }
        let following = self.follow(reader, self.consumer("reader"));
        self.same(reader, "reader").await;
        following.end().await;
    }

    /// Until the reader has what the owner has, in all its tables, and is at the end of the log.
    async fn same(&self, store: &Store, name: &str) {
        let is_same = || async {
            let (state, head) = (self.state(), self.owner.log(LOG).head());
            position(store, name, "owner", "things") == Some(head) && projected(store) == state && fits(store, &state)
        };
        let all = async {
            while !is_same().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(Duration::from_secs(10), all).await.is_err() {
            let (has, wants) = (projected(store), self.state());
            let at = position(store, name, "owner", "things");
            panic!("at {at:?} of {}: has {has:?}, not {wants:?}", self.owner.log(LOG).head());
        }
    }
}

fn projected(store: &Store) -> BTreeMap<u32, u32> {
    store.scan(THINGS, Scan::all()).map(Result::unwrap).collect()
}

fn fits(store: &Store, state: &BTreeMap<u32, u32>) -> bool {
    let index: Vec<_> = store.scan_keys(BY_VALUE, Scan::all()).map(Result::unwrap).collect();
    let notes: Vec<_> = store.scan_keys(NOTES, Scan::all()).map(Result::unwrap).collect();
    index.len() == state.len()
        && index.iter().all(|(value, id)| state.get(id) == Some(value))
        && notes.iter().eq(state.keys())
}

struct Following {
    shutdown: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    async fn end(self) {
        self.shutdown.request();
        timeout(Duration::from_secs(5), self.task).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_another_epoch_all_is_as_at_the_owner_and_nobody_is_told_again() {
    let mut stage = Stage::new().await;
    let reader = stage.reader("reader");
    for id in 0..20 {
        stage.is(id, id).await;
        stage.ring().await;
    }
    let following = stage.follow(&reader, stage.consumer("reader"));
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 20);
    stage.lose_everything().await;
    // Less than before, in both ways: fewer events, fewer things.
    for id in 15..25 {
        stage.is(id, id + 100).await;
        stage.ring().await;
    }
    stage.same(&reader, "reader").await;
    let rings = reader.count(RINGS, &()).unwrap();
    assert!((20..30).contains(&rings), "{rings}: what rang before the snapshot rang again");
    stage.is(30, 1).await;
    stage.ring().await;
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), rings + 1);
    following.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_without_state_goes_on_at_the_end_of_the_log() {
    let mut stage = Stage::new().await;
    let reader = stage.reader("reader");
    stage.ring().await;
    let bare = |stage: &Stage| Consumer { projection: None, ..stage.consumer("reader") };
    let following = stage.follow(&reader, bare(&stage));
    stage.same(&reader, "reader").await;
    following.end().await;
    stage.lose_everything().await;
    for _ in 0..5 {
        stage.ring().await;
    }
    let following = stage.follow(&reader, bare(&stage));
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 1);
    stage.ring().await;
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 2);
    following.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_a_later_version_adds_fills_itself() {
    let mut stage = Stage::new().await;
    for id in 0..300 {
        stage.is(id % 250, id).await;
    }
    stage.gone(7).await;
    let head = stage.owner.log(OLD_LOG).head();
    stage.owner.log(OLD_LOG).acknowledge("reader", head).await.unwrap();
    assert_eq!(stage.owner.log(OLD_LOG).trimmed().unwrap(), head);
    stage.serve(LOG).await;
    stage.ring().await;
    let newcomer = stage.reader("newcomer");
    let following = stage.follow(&newcomer, stage.consumer("newcomer"));
    stage.same(&newcomer, "newcomer").await;
    // From now on the log waits for it.
    stage.is(1, 1_000).await;
    stage.same(&newcomer, "newcomer").await;
    following.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_filled_and_what_is_still_in_the_log_is_told() {
    let mut stage = Stage::new().await;
    stage.serve(LOG).await;
    let reader = stage.reader("reader");
    stage.read_things(&reader, 10).await;
    // Others have said in the reader's name that it knows more than it does: its store lost something.
    stage.gone(3).await;
    stage.is(4, 40).await;
    let log = stage.owner.log(LOG);
    for consumer in ["reader", "newcomer"] {
        log.acknowledge(consumer, 12).await.unwrap();
    }
    assert_eq!(log.trimmed().unwrap(), 12);
    stage.ring().await;
    let following = stage.follow(&reader, stage.consumer("reader"));
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 1);
    following.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_vanished_goes_with_all_that_hangs_on_it_and_new_things_stay() {
    let stage = Stage::new().await;
    let reader = stage.reader("reader");
    stage.read_things(&reader, 10).await;
    // Rows that no event will ever name: of a thing that is gone, and of an index that was not kept.
    let litter = Batch::new()
        .put(NOTES, &77, &())
        .put(THINGS, &78, &5)
        .put(BY_VALUE, &(5, 78), &())
        .put(BY_VALUE, &(9, 1), &())
        .delete(BY_VALUE, &(2, 2))
        .put(THINGS, &3, &33);
    reader.write(litter).await.unwrap();
    let projections = Projections::new("reader", &reader);
    let following = stage.follow(&reader, stage.consumer("reader").listed(&projections));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!fits(&reader, &stage.state()));
    let asked = projections.rebuild(Some("owner")).await.unwrap();
    assert_eq!((asked[0].service.as_str(), asked[0].consumer.as_str()), ("reader", "reader"));
    stage.same(&reader, "reader").await;
    assert!(projections.rebuild(Some("nobody")).await.unwrap_err().is(codes::NOT_FOUND));
    following.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_skips_nothing_that_was_not_seen_yet() {
    let stage = Stage::new().await;
    let reader = stage.reader("reader");
    stage.read_things(&reader, 5).await;
    stage.ring().await;
    stage.is(1, 7).await;
    let projections = Projections::new("reader", &reader);
    // Asked for before the consumer has seen what rang.
    projections.add(Arc::new(super::super::registry::Line::new("reader", "owner", "things", true)));
    projections.rebuild(None).await.unwrap();
    let following = stage.follow(&reader, stage.consumer("reader"));
    stage.same(&reader, "reader").await;
    assert_eq!(reader.count(RINGS, &()).unwrap(), 1);
    following.end().await;
}

/// A future that is dropped after it was polled so often.
struct Cut<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future<Output = ()>> Future for Cut<F> {
    /// Whether it was cut off.
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<bool> {
        if self.polls == 0 {
            return Poll::Ready(true);
        }
        self.polls -= 1;
        match self.inner.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending if self.polls == 0 => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_starts_again_and_doubles_nothing() {
    let mut stage = Stage::new().await;
    let reader = stage.reader("reader");
    for id in 0..40 {
        stage.is(id, id).await;
        stage.ring().await;
    }
    let following = stage.follow(&reader, stage.consumer("reader"));
    stage.same(&reader, "reader").await;
    following.end().await;
    let mut in_the_middle = 0;
    for steps in (1..60).step_by(2) {
        stage.lose_everything().await;
        for id in 20 + steps..50 + steps {
            stage.is(id, id + steps).await;
        }
        for _ in 0..3 {
            stage.ring().await;
        }
        let rings = reader.count(RINGS, &()).unwrap();
        let own = reader.clone();
        let handle = move |entry| std::future::ready(effect(&own, entry));
        let run = Box::pin(stage.consumer("reader").run(reader.clone(), Shutdown::new(), handle));
        let cut = Cut { inner: run, polls: steps as usize };
        // A consumer that waits for events is polled no more: that is a crash as well.
        let _ = timeout(Duration::from_millis(100), pin!(cut)).await;
        let has = projected(&reader);
        in_the_middle += usize::from(has.contains_key(&(20 + steps)) && has != stage.state());
        let following = stage.follow(&reader, stage.consumer("reader"));
        stage.same(&reader, "reader").await;
        assert_eq!(reader.count(RINGS, &()).unwrap(), rings, "after {steps} steps");
        following.end().await;
    }
    assert!(in_the_middle > 3, "only {in_the_middle} were cut while they were filled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nearly_everything_is_gone_nothing_is_removed_until_it_is_asked_for() {
    let mut stage = Stage::new().await;
    let reader = stage.reader("reader");
    let many = u32::try_from(REFILL_REMOVALS_MAX).unwrap() + 10;
    for id in 0..many {
        stage.is(id, id).await;
    }
    let projections = Projections::new("reader", &reader);
    let following = stage.follow(&reader, stage.consumer("reader").listed(&projections));
    stage.same(&reader, "reader").await;
    stage.lose_everything().await;
    stage.is(1_000, 1).await;
    let in_state = async |state: ProjectionState| -> View {
        let waiting = async {
            loop {
                let view = projections.list().unwrap().remove(0);
                if view.state == state {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), waiting).await.unwrap()
    };
    let held = in_state(ProjectionState::Held).await;
    assert!(held.note.unwrap().starts_with(&many.to_string()));
    assert_eq!(projected(&reader).len(), many as usize + 1);
    projections.rebuild(None).await.unwrap();
    stage.same(&reader, "reader").await;
    assert_eq!(in_state(ProjectionState::Following).await.note, None);
    following.end().await;
}
