//! What a process with a store does for a backup: scan, hold, finish, when the gateway asks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::{Problem, codes};
use store::backup::Scanned;
use store::{Hold, Store};
use tokio::sync::watch;

use super::manifest::{StoreFile, store_path};
use super::protocol::{Phase, StoreAsk, StorePart};
use crate::limits::{BACKUP_PART_TTL, BACKUP_WAIT_MAX};
use crate::problem;

/// One store's part. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Part(Arc<Inner>);

struct Inner {
    service: String,
    store: Store,
    shown: watch::Sender<Shown>,
    hands: Mutex<Hands>,
}

/// What the gateway sees.
#[derive(Debug, Clone, Default)]
struct Shown {
    id: String,
    phase: Phase,
    error: Option<String>,
    held: bool,
    file: Option<StoreFile>,
}

/// What is kept between two calls.
#[derive(Default)]
struct Hands {
    folder: PathBuf,
    scanned: Option<Scanned>,
    hold: Option<Hold>,
}

impl Part {
    pub(crate) fn new(service: &str, store: Store) -> Self {
        let service = service.to_owned();
        Self(Arc::new(Inner { service, store, shown: watch::Sender::default(), hands: Mutex::default() }))
    }

    /// How far it is; waits while it works, but no longer than `wait`.
    pub(super) async fn state(&self, wait: Duration) -> StorePart {
        let mut shown = self.0.shown.subscribe();
        let settled = shown.wait_for(|shown| shown.phase != Phase::Working);
        let _ = tokio::time::timeout(wait.min(BACKUP_WAIT_MAX), settled).await;
        let shown = self.0.shown.borrow().clone();
        StorePart {
            id: shown.id,
            phase: shown.phase,
            error: shown.error,
            held_at: self.hands().hold.as_ref().map(|hold| hold.sequence),
            held: shown.held,
            store: shown.file,
            lineage: self.0.store.lineage(),
            journal_bytes: self.0.store.journal_bytes(),
        }
    }

    /// Does what the gateway asks, or begins to.
    pub(super) async fn ask(&self, ask: StoreAsk) -> Result<StorePart, Problem> {
        match ask {
            StoreAsk::Scan { id, folder } => self.scan(id, folder),
            StoreAsk::Hold { id, timeout_ms } => self.hold(&id, Duration::from_millis(timeout_ms)).await?,
            StoreAsk::Release { id } => self.release(&id).await?,
            StoreAsk::Finish { id, sequence } => self.finish(&id, sequence)?,
            StoreAsk::Drop { id } => self.forget(&id),
            StoreAsk::Covered { lineage, sequence } => {
                if lineage == self.0.store.lineage() {
                    self.0.store.covered(sequence);
                }
            }
        }
        Ok(self.state(Duration::ZERO).await)
    }

    fn scan(&self, id: String, folder: PathBuf) {
        *self.hands() = Hands { folder: folder.clone(), ..Hands::default() };
        self.0.shown.send_replace(Shown { id: id.clone(), phase: Phase::Working, ..Shown::default() });
        let (part, store) = (self.clone(), self.0.store.clone());
        let file = store_path(&folder, &self.0.service);
        tokio::task::spawn_blocking(move || {
            let scanned = store.backup_scan(&file).map_err(|error| error.to_string());
            part.settle(&id, |shown, hands| match scanned {
                Ok(scanned) => {
                    hands.scanned = Some(scanned);
                    shown.phase = Phase::Ready;
                }
                Err(error) => fail(shown, error),
            });
        });
        self.expire_later();
    }

    /// The gateway may be gone: what keeps the journal from being forgotten must not stay for ever.
    fn expire_later(&self) {
        let (weak, id) = (Arc::downgrade(&self.0), self.0.shown.borrow().id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(BACKUP_PART_TTL).await;
            if let Some(inner) = weak.upgrade() {
                Self(inner).forget(&id);
            }
        });
    }

    async fn hold(&self, id: &str, timeout: Duration) -> Result<(), Problem> {
        self.check(id)?;
        let hold = self.0.store.hold(timeout).await.map_err(|error| problem::of_write(&error))?;
        self.hands().hold = Some(hold);
        Ok(())
    }

    async fn release(&self, id: &str) -> Result<(), Problem> {
        self.check(id)?;
        let hold = self.hands().hold.take();
        let held = match hold {
            Some(hold) => hold.release().await,
            None => false,
        };
        self.0.shown.send_modify(|shown| shown.held = held);
        Ok(())
    }

    fn finish(&self, id: &str, sequence: u64) -> Result<(), Problem> {
        self.check(id)?;
        let (scanned, folder) = {
            let mut hands = self.hands();
            (hands.scanned.take(), hands.folder.clone())
        };
        let scanned = scanned.ok_or_else(|| Problem::new(codes::CONFLICT, "The store was not scanned."))?;
        self.0.shown.send_modify(|shown| shown.phase = Phase::Working);
        let (part, store, id) = (self.clone(), self.0.store.clone(), id.to_owned());
        let file = store_path(&folder, &self.0.service);
        tokio::task::spawn_blocking(move || {
            let finished = finished(&store, scanned, sequence, &part.0.service, &file);
            part.settle(&id, |shown, _| match finished {
                Ok(file) => {
                    shown.file = Some(file);
                    shown.phase = Phase::Done;
                }
                Err(error) => fail(shown, error),
            });
        });
        Ok(())
    }

    fn forget(&self, id: &str) {
        let mut hands = self.hands();
        if self.0.shown.borrow().id == id {
            *hands = Hands::default();
            self.0.shown.send_replace(Shown::default());
        }
    }

    fn check(&self, id: &str) -> Result<(), Problem> {
        if self.0.shown.borrow().id == id {
            return Ok(());
        }
        // This process was started anew, or another backup was begun.
        Err(Problem::new(codes::CONFLICT, format!("{} knows nothing of the backup {id} any more.", self.0.service)))
    }

    /// Writes down how work ended, unless another backup was begun meanwhile.
    fn settle(&self, id: &str, end: impl FnOnce(&mut Shown, &mut Hands)) {
        let mut hands = self.hands();
        if self.0.shown.borrow().id == id {
            self.0.shown.send_modify(|shown| end(shown, &mut hands));
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fail(shown: &mut Shown, error: String) {
    shown.phase = Phase::Failed;
    shown.error = Some(error);
}

fn finished(store: &Store, scanned: Scanned, sequence: u64, service: &str, file: &Path) -> Result<StoreFile, String> {
    let summary = store.backup_finish(scanned, sequence, file).map_err(|error| error.to_string())?;
    let bytes = std::fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    Ok(StoreFile::new(service, bytes, &summary))
}
