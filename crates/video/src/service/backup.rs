//! The media folder's part of a backup: removals wait, files are held and taken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use kit::backup::media::Plan;
use kit::backup::protocol::{MediaAsk, MediaPart, Phase};
use kit::backup::{self, MediaSummary};
use proto::{Problem, codes};
use store::Scan;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};
use tokio_util::sync::CancellationToken;

use super::Service;
use crate::data::UPLOADS;
use crate::error::Result;
use crate::media::output;

/// How long one call may wait for a step.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What has to be asked before a file of a video is removed, and what takes the files meanwhile.
#[derive(Default)]
pub(crate) struct Backup {
    gate: Arc<RwLock<()>>,
    paused: Mutex<Option<Pause>>,
    shown: watch::Sender<MediaPart>,
}

/// Removals wait.
struct Pause {
    id: String,
    growing: BTreeSet<String>,
    since: SystemTime,
    guard: OwnedRwLockWriteGuard<()>,
}

impl Backup {
    /// The right to remove files, until it is dropped; nothing while a backup takes them.
    pub(crate) fn may_remove(&self) -> Option<OwnedRwLockReadGuard<()>> {
        Arc::clone(&self.gate).try_read_owned().ok()
    }

    /// The right to remove files, as soon as there is one.
    pub(super) fn soon(&self) -> impl Future<Output = OwnedRwLockReadGuard<()>> + Send + 'static {
        Arc::clone(&self.gate).read_owned()
    }

    fn paused(&self) -> MutexGuard<'_, Option<Pause>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is; waits while it works, but no longer than `wait`.
    pub(crate) async fn state(&self, wait: Duration) -> MediaPart {
        let mut shown = self.shown.subscribe();
        let settled = shown.wait_for(|part| part.phase != Phase::Working);
        let _ = tokio::time::timeout(wait.min(WAIT_MAX), settled).await;
        self.shown.borrow().clone()
    }

    fn show(&self, id: &str, phase: Phase, error: Option<String>, media: Option<MediaSummary>) {
        self.shown.send_replace(MediaPart { id: id.to_owned(), phase, error, media });
    }

    fn is(&self, id: &str) -> bool {
        self.shown.borrow().id == id
    }

    /// Writes down how work ended, unless another backup was begun meanwhile.
    fn settle(&self, id: &str, done: Result<MediaSummary, backup::Error>) {
        if self.is(id) {
            match done {
                Ok(media) => self.show(id, Phase::Done, None, Some(media)),
                Err(error) => self.show(id, Phase::Failed, Some(error.to_string()), None),
            }
        }
    }
}

impl Service {
    /// Does what the gateway asks, or begins to. `stop` ends what takes long.
    pub(crate) async fn ask_backup(
        self: &Arc<Self>,
        ask: MediaAsk,
        now: SystemTime,
        stop: CancellationToken,
    ) -> Result<MediaPart, Problem> {
        match ask {
            MediaAsk::Pause { id, timeout_ms } => self.pause(id, Duration::from_millis(timeout_ms), now).await?,
            MediaAsk::Take { id, folder, earlier } => self.take(&id, folder, earlier, stop)?,
            MediaAsk::Drop { id } => {
                self.backup.paused().take_if(|pause| pause.id == id);
                if self.backup.is(&id) {
                    self.backup.shown.send_replace(MediaPart::default());
                }
            }
        }
        Ok(self.backup.state(Duration::ZERO).await)
    }

    async fn pause(self: &Arc<Self>, id: String, timeout: Duration, now: SystemTime) -> Result<(), Problem> {
        // What an earlier one left.
        drop(self.backup.paused().take());
        let waiting = tokio::time::timeout(timeout, Arc::clone(&self.backup.gate).write_owned());
        let guard =
            waiting.await.map_err(|_| Problem::new(codes::CONFLICT, "Files are being removed for too long."))?;
        let growing = self.blocking(Self::growing).await.map_err(Problem::from)?;
        self.backup.show(&id, Phase::Ready, None, None);
        *self.backup.paused() = Some(Pause { id: id.clone(), growing, since: now, guard });
        let own = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            // Nothing stays stuck because the gateway is gone.
            own.backup.paused().take_if(|pause| pause.id == id);
        });
        Ok(())
    }

    /// The files that uploads go on with.
    fn growing(&self) -> Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        for entry in self.store.scan(UPLOADS, Scan::all()) {
            let (_, upload) = entry?;
            if !upload.finished {
                files.insert(format!("{}/{}", upload.video, upload.file));
            }
        }
        Ok(files)
    }

    fn take(
        self: &Arc<Self>,
        id: &str,
        backup: std::path::PathBuf,
        earlier: Option<std::path::PathBuf>,
        stop: CancellationToken,
    ) -> Result<(), Problem> {
        let pause = self.backup.paused().take_if(|pause| pause.id == id);
        let gone = || Problem::new(codes::CONFLICT, "Files may have been removed meanwhile: the pause was over.");
        let Pause { id, growing, since, guard } = pause.ok_or_else(gone)?;
        self.backup.show(&id, Phase::Working, None, None);
        let media = self.media.clone();
        let plan = Plan { media, backup, earlier, growing, since, is_work: output::is_work_folder };
        let own = Arc::clone(self);
        tokio::task::spawn_blocking(move || own.backup.settle(&id, take_now(plan, guard, &stop)));
        Ok(())
    }
}

/// Holds every file, lets removals go on as soon as nothing can get lost by it, and takes the files. Blocking.
fn take_now(
    plan: Plan,
    guard: OwnedRwLockWriteGuard<()>,
    stop: &CancellationToken,
) -> Result<MediaSummary, backup::Error> {
    let held = plan.hold()?;
    let guard = (!held.is_whole()).then_some(guard);
    let taken = held.settle(stop);
    drop(guard);
    taken
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn removals_wait_while_files_are_held_and_no_longer() {
        let backup = Backup::default();
        let removing = backup.may_remove().unwrap();
        assert!(Arc::clone(&backup.gate).try_write_owned().is_err(), "a removal is finished first");
        drop(removing);
        let guard = Arc::clone(&backup.gate).write_owned().await;
        assert!(backup.may_remove().is_none());
        let soon = tokio::spawn(backup.soon());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!soon.is_finished());
        drop(guard);
        drop(soon.await.unwrap());
        assert!(backup.may_remove().is_some());
    }
}
