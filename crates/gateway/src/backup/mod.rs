//! Backups: made by asking every service for its part, one at a time, by hand or by the timer.
//!
//! | file | does |
//! |---|---|
//! | `mod` | one thing at a time, and what is known of it |
//! | `create` | the steps of making one |
//! | `parts` | the calls to the services |
//! | `keep` | which ones stay, what journals may forget |
//! | `show` | the list for admins |
//! | `timer` | makes them by themselves |

mod create;
mod keep;
mod parts;
mod show;
pub(crate) mod timer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kit::backup::{Depth, Error, Folder, Manifest, check, schedule};
use kit::config::Config;
use kit::{Context, Shutdown, clock};
use proto::api::backup::{BackupFailure, BackupProgress};
use proto::{Problem, Timestamp, codes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use parts::Parts;

/// Everything about backups. One for the process.
pub(crate) struct Backups {
    config: Arc<Config>,
    folder: Folder,
    parts: Parts,
    shutdown: Shutdown,
    state: Mutex<State>,
    turn: Arc<Semaphore>,
}

impl std::fmt::Debug for Backups {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Backups").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// What is going on, and what was.
#[derive(Debug, Default)]
struct State {
    running: Option<BackupProgress>,
    last_failure: Option<BackupFailure>,
    known: schedule::Known,
}

/// Why a backup did not come to be, in words.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Said(String),
    #[error("{service}: {problem}")]
    Service { service: String, problem: Problem },
    #[error(transparent)]
    Backup(#[from] Error),
}

impl Backups {
    pub(crate) fn new(context: &Context, now: Timestamp) -> Arc<Self> {
        let known = schedule::Known { started_at: now, ..Default::default() };
        Arc::new(Self {
            config: Arc::clone(&context.config),
            folder: Folder::of(&context.config, context.data.root()),
            parts: Parts::new(context),
            shutdown: context.shutdown.clone(),
            state: Mutex::new(State { known, ..State::default() }),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a backup; it goes on by itself.
    pub(crate) async fn start(self: &Arc<Self>, now: Timestamp) -> Result<BackupProgress, Problem> {
        let turn = self.turn()?;
        self.state().known.attempt_at = Some(now);
        let begun = self.blocking(move |backups| {
            backups.make_room()?;
            backups.folder.begin(now)
        });
        let unfinished = begun.await.map_err(|error| self.refused(now, &error.into()))?;
        let progress = self.announce(unfinished.id(), now, "begins");
        let (backups, id) = (Arc::clone(self), unfinished.id().to_owned());
        self.go_on(turn, id.clone(), async move {
            let made = backups.create(unfinished, now).await;
            backups.parts.forget(&id).await;
            made
        });
        Ok(progress)
    }

    /// Begins to verify a backup anew, down to the last byte; it goes on by itself.
    pub(crate) async fn verify(self: &Arc<Self>, id: &str, now: Timestamp) -> Result<BackupProgress, Problem> {
        let turn = self.turn()?;
        let none = || Problem::new(codes::NOT_FOUND, "There is no such backup.");
        let own = id.to_owned();
        let entries = self.blocking(|backups| backups.folder.list()).await;
        let entries = entries.map_err(|error| self.refused(now, &error.into()))?;
        let entry = entries.into_iter().find(|entry| entry.id == own).ok_or_else(none)?;
        let progress = self.announce(id, now, "verifies");
        let backups = Arc::clone(self);
        self.go_on(turn, id.to_owned(), async move {
            let checked = backups.blocking(move |backups| backups.check_anew(&entry.path, entry.manifest?, now));
            checked.await.map_err(Failed::from)
        });
        Ok(progress)
    }

    fn check_anew(&self, path: &std::path::Path, mut manifest: Manifest, now: Timestamp) -> Result<(), Error> {
        let scratch = self.folder.scratch(now)?;
        let checked = check(path, &manifest, scratch.path(), Depth::Bytes, &self.shutdown.token());
        match &checked {
            Ok(()) => (manifest.verified_at, manifest.damage) = (Some(clock::now()), None),
            Err(error) if error.is_damage() => manifest.damage = Some(error.to_string()),
            Err(_) => return checked,
        }
        manifest.write(path)?;
        checked
    }

    /// What an admin should know without asking for the list.
    pub(crate) fn note(&self) -> Option<String> {
        let state = self.state();
        state.last_failure.as_ref().map(|failure| format!("The last backup failed: {}", failure.reason))
    }

    /// The right to make or verify one; there is one at a time.
    fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.turn).try_acquire_owned().map_err(|_| {
            let running = self.state().running.clone();
            let what = running.map_or_else(String::new, |running| format!(" {} {}.", running.id, running.step));
            Problem::new(codes::BACKUP_RUNNING, format!("There is one backup at a time:{what}"))
        })
    }

    fn announce(&self, id: &str, now: Timestamp, step: &str) -> BackupProgress {
        let progress = BackupProgress { id: id.to_owned(), step: step.to_owned(), started_at: now };
        self.state().running = Some(progress.clone());
        progress
    }

    /// Says what is being done now.
    fn step(&self, step: &str) {
        if let Some(running) = &mut self.state().running {
            tracing::debug!(id = running.id, step, "backup");
            step.clone_into(&mut running.step);
        }
    }

    /// Lets `work` go on beside the requests until it ends or the process does.
    fn go_on(
        self: &Arc<Self>,
        turn: OwnedSemaphorePermit,
        id: String,
        work: impl Future<Output = Result<(), Failed>> + Send + 'static,
    ) {
        let backups = Arc::clone(self);
        self.shutdown.tracker().spawn(async move {
            let done = tokio::select! {
                done = work => done,
                () = backups.shutdown.requested() => Err(Failed::Said("the server was told to end".to_owned())),
            };
            let mut state = backups.state();
            state.running = None;
            state.last_failure = match done {
                Ok(()) => None,
                Err(error) => Some(failure(id, &error, clock::now())),
            };
            drop(state);
            drop(turn);
        });
    }

    /// What could not even be begun.
    fn refused(&self, now: Timestamp, error: &Failed) -> Problem {
        self.state().last_failure = Some(failure(String::new(), error, now));
        match error {
            Failed::Backup(Error::NoRoom { .. }) => Problem::new(codes::DISK_FULL, error.to_string()),
            _ => Problem::new(codes::INTERNAL, error.to_string()),
        }
    }

    /// File work, away from the threads that answer.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let backups = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&backups)).await.unwrap_or(Err(Error::Stopped))
    }
}

fn failure(id: String, error: &Failed, at: Timestamp) -> BackupFailure {
    let reason = error.to_string();
    tracing::error!(id, reason, "a backup is not good");
    BackupFailure { id, reason, at }
}
