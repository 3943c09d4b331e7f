//! The projections of a service, as the admin sees them: how far they are, what they could not deal with, and the
//! request to fill one anew.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::api::projection::{DeadLetter, Projection, ProjectionState};
use proto::{Problem, codes};
use store::{Batch, ReadError, Scan, Store};
use tokio::sync::Notify;

use super::cursor::{CURSORS, DEAD_EVENT_TEXTS, DEAD_EVENTS, DeadEvent, REFILLS, key};
use super::run::forgotten;
use crate::{clock, problem};

/// Dead events shown at once.
const DEAD_SHOWN_MAX: usize = 100;

/// What a request for a refill does.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send + 'a>>;

/// Something that follows a log and can be made anew.
pub trait Listed: Send + Sync {
    /// Whose log it follows.
    fn owner(&self) -> &str;

    /// How it is; `service` is filled in by the list.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn view(&self, store: &Store) -> Result<Projection, ReadError>;

    /// Makes it anew, soon.
    ///
    /// # Errors
    /// If it cannot, or the request cannot be written.
    fn rebuild<'a>(&'a self, store: &'a Store) -> Asked<'a>;

    /// What its events are known by among the dead ones; `None` when it sets none aside.
    fn dead_key(&self) -> Option<&String> {
        None
    }

    /// Looks again at what is asked for.
    fn wake(&self) {}
}

/// The projections of one service. Cheap to clone.
#[derive(Clone)]
pub struct Projections {
    service: &'static str,
    store: Store,
    all: Arc<Mutex<Vec<Arc<dyn Listed>>>>,
}

impl std::fmt::Debug for Projections {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Projections").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Projections {
    /// Those that `service` keeps in `store`.
    pub fn new(service: &'static str, store: &Store) -> Self {
        Self { service, store: store.clone(), all: Arc::default() }
    }

    /// One more.
    pub fn add(&self, listed: Arc<dyn Listed>) {
        lock(&self.all).push(listed);
    }

    fn of(&self, owner: Option<&str>) -> Vec<Arc<dyn Listed>> {
        let all = lock(&self.all);
        all.iter().filter(|one| owner.is_none_or(|owner| one.owner() == owner)).cloned().collect()
    }

    fn known(&self, owner: Option<&str>) -> Result<Vec<Arc<dyn Listed>>, Problem> {
        let found = self.of(owner);
        let nothing = || Problem::new(codes::NOT_FOUND, format!("{} has no such projection.", self.service));
        if found.is_empty() { Err(nothing()) } else { Ok(found) }
    }

    fn views(&self, listed: &[Arc<dyn Listed>]) -> Result<Vec<Projection>, Problem> {
        let view = |one: &Arc<dyn Listed>| {
            let view = one.view(&self.store).map_err(|error| problem::of_read(&error))?;
            Ok(Projection { service: self.service.to_owned(), ..view })
        };
        listed.iter().map(view).collect()
    }

    /// How all of them are.
    pub(super) fn list(&self) -> Result<Vec<Projection>, Problem> {
        self.views(&self.of(None))
    }

    /// Asks for one of them, or for all, to be made anew. Those that hold nothing are left alone unless they are named.
    pub(super) async fn rebuild(&self, owner: Option<&str>) -> Result<Vec<Projection>, Problem> {
        let named = owner.is_some();
        let mut asked = Vec::new();
        for one in self.known(owner)? {
            match one.rebuild(&self.store).await {
                Ok(()) => asked.push(one),
                Err(problem) if problem.is(codes::NOTHING_TO_REBUILD) && !named => {}
                Err(problem) => return Err(problem),
            }
        }
        self.views(&asked)
    }

    /// The events that were set aside, oldest first.
    pub(super) fn dead(&self) -> Result<Vec<DeadLetter>, Problem> {
        let mut letters = Vec::new();
        for one in self.of(None) {
            let Some(key) = one.dead_key() else { continue };
            for entry in self.store.scan(DEAD_EVENTS, Scan::prefix(key)).take(DEAD_SHOWN_MAX - letters.len()) {
                let (key, dead) = entry.map_err(|error| problem::of_read(&error))?;
                letters.push(self.letter(one.owner(), key, dead)?);
            }
        }
        Ok(letters)
    }

    fn letter(&self, owner: &str, key: (String, u64), dead: DeadEvent) -> Result<DeadLetter, Problem> {
        let text = self.store.text(DEAD_EVENT_TEXTS, &key).map_err(|error| problem::of_read(&error))?;
        Ok(DeadLetter {
            service: self.service.to_owned(),
            owner: owner.to_owned(),
            sequence: key.1,
            event: text.unwrap_or(dead.event),
            reason: dead.reason,
            time: dead.time,
        })
    }

    /// Tries a dead event again, soon.
    pub(super) async fn retry(&self, owner: &str, sequence: u64) -> Result<(), Problem> {
        let (one, key, dead) = self.find(owner, sequence)?;
        if self.store.text(DEAD_EVENT_TEXTS, &key).map_err(|error| problem::of_read(&error))?.is_none() {
            let detail = "Only the beginning of this event was kept. Rebuild the projection, and drop the event.";
            return Err(Problem::new(codes::CONFLICT, detail));
        }
        let asked = DeadEvent { retry: true, ..dead.clone() };
        self.write(Batch::new().assert_equal(DEAD_EVENTS, &key, &dead).put(DEAD_EVENTS, &key, &asked)).await?;
        one.wake();
        Ok(())
    }

    /// Forgets a dead event.
    pub(super) async fn forget(&self, owner: &str, sequence: u64) -> Result<(), Problem> {
        let (_, key, dead) = self.find(owner, sequence)?;
        self.write(forgotten(Batch::new().assert_equal(DEAD_EVENTS, &key, &dead), &key)).await
    }

    #[allow(clippy::type_complexity)]
    fn find(&self, owner: &str, sequence: u64) -> Result<(Arc<dyn Listed>, (String, u64), DeadEvent), Problem> {
        for one in self.known(Some(owner))? {
            let Some(key) = one.dead_key().map(|key| (key.clone(), sequence)) else { continue };
            if let Some(dead) = self.store.get(DEAD_EVENTS, &key).map_err(|error| problem::of_read(&error))? {
                return Ok((one, key, dead));
            }
        }
        Err(Problem::new(codes::NOT_FOUND, "There is no such dead event."))
    }

    async fn write(&self, batch: Batch) -> Result<(), Problem> {
        self.store.write(batch).await.map(|_| ()).map_err(|error| problem::of_write(&error))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a consumer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Following,
    /// So many events of the snapshot were applied.
    Refilling(usize),
    Waiting(String),
}

/// A consumer in the list.
#[derive(Debug)]
pub(super) struct Line {
    consumer: &'static str,
    owner: String,
    log: &'static str,
    projects: bool,
    /// By which it is known in the store.
    pub(super) key: String,
    wake: Notify,
    state: Mutex<State>,
    /// Goes on with this after a pause.
    refilling: Mutex<Option<usize>>,
    head: AtomicU64,
    sequence: AtomicU64,
}

impl Line {
    pub(super) fn new(consumer: &'static str, owner: &str, log: &'static str, projects: bool) -> Self {
        Self {
            consumer,
            owner: owner.to_owned(),
            log,
            projects,
            key: key(consumer, owner, log),
            wake: Notify::new(),
            state: Mutex::new(State::Following),
            refilling: Mutex::default(),
            head: AtomicU64::default(),
            sequence: AtomicU64::default(),
        }
    }

    /// Returns when somebody has asked for something.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The log's end was seen here.
    pub(super) fn saw(&self, head: u64) {
        self.head.store(head, Ordering::Relaxed);
    }

    pub(super) fn applied(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }

    pub(super) fn is(&self, state: State) {
        if let State::Refilling(read) = state {
            *lock(&self.refilling) = Some(read);
        }
        *lock(&self.state) = state;
    }

    /// Nothing is in the way any more.
    pub(super) fn goes_on(&self) {
        let state = lock(&self.refilling).map_or(State::Following, State::Refilling);
        *lock(&self.state) = state;
    }

    /// The refill is done.
    pub(super) fn filled(&self, sequence: u64) {
        *lock(&self.refilling) = None;
        self.applied(sequence);
    }

    fn state(&self, held: u64) -> (ProjectionState, Option<String>) {
        match &*lock(&self.state) {
            State::Waiting(reason) => (ProjectionState::Waiting, Some(reason.clone())),
            State::Refilling(read) => (ProjectionState::Refilling, Some(format!("{read} events of the snapshot"))),
            State::Following if held > 0 => {
                let note = format!("{held} things are gone at the owner and still here; a rebuild removes them");
                (ProjectionState::Held, Some(note))
            }
            State::Following => (ProjectionState::Following, None),
        }
    }
}

impl Listed for Line {
    fn owner(&self) -> &str {
        &self.owner
    }

    fn view(&self, store: &Store) -> Result<Projection, ReadError> {
        let cursor = store.get(CURSORS, &self.key)?.unwrap_or_default();
        let dead = store.scan_keys(DEAD_EVENTS, Scan::prefix(&self.key)).count() as u64;
        let asked = store.contains(REFILLS, &self.key)?;
        let (state, note) = match self.state(cursor.held) {
            (ProjectionState::Following, None) if asked => (ProjectionState::Refilling, None),
            other => other,
        };
        let head = self.head.load(Ordering::Relaxed);
        Ok(Projection {
            service: String::new(),
            owner: self.owner.clone(),
            log: self.log.to_owned(),
            consumer: self.consumer.to_owned(),
            cursor: cursor.sequence,
            behind: head.saturating_sub(cursor.sequence),
            dead,
            state,
            note,
        })
    }

    fn rebuild<'a>(&'a self, store: &'a Store) -> Asked<'a> {
        Box::pin(async move {
            if !self.projects {
                let detail = format!("Nothing is kept of {}/{}: there is nothing to rebuild.", self.owner, self.log);
                return Err(Problem::new(codes::NOTHING_TO_REBUILD, detail));
            }
            let batch = Batch::new().put(REFILLS, &self.key, &clock::now());
            store.write(batch).await.map_err(|error| problem::of_write(&error))?;
            self.wake.notify_one();
            Ok(())
        })
    }

    fn dead_key(&self) -> Option<&String> {
        Some(&self.key)
    }

    fn wake(&self) {
        self.wake.notify_one();
    }
}
