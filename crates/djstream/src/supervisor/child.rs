//! One child process: started, watched, restarted, stopped.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use kit::DataFolder;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::STOP_DEADLINE;
use crate::role::Role;
use crate::{Options, child_arguments};

/// The first wait before a restart; doubled each time, up to the last. The very first is at once.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(10);

/// A child that ran this long was well: the next restart is at once again.
const WELL_AFTER: Duration = Duration::from_secs(20);

/// A child that never once ran well and ended this often with an error of its own cannot be started here.
const HOPELESS_AFTER: u32 = 8;

/// After a write or sync that failed nobody knows what is on the disk. One more start, after a while, tells whether that
/// has passed; a second failure within this time ends it, and the others go on.
const UNSAFE_PAUSE: Duration = Duration::from_secs(5);
const UNSAFE_AGAIN_WITHIN: Duration = Duration::from_secs(600);

/// How the watch over a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was asked to end, or is left alone because of its disk.
    Stopped,
    /// It cannot be started here; the log says why.
    Hopeless,
}

/// What all children are started with.
pub(super) struct Launcher {
    program: PathBuf,
    options: Options,
    data: DataFolder,
    /// Children inherit this end and see when the other one closes.
    pipe_for_children: OwnedFd,
    _pipe: OwnedFd,
}

impl Launcher {
    pub(super) fn new(options: &Options, data: &DataFolder) -> io::Result<Self> {
        let (for_children, own) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only the reading end outlives exec: the writing end must close with this process.
        rustix::io::fcntl_setfd(&for_children, rustix::io::FdFlags::empty())?;
        Ok(Self {
            program: std::env::current_exe()?,
            options: options.clone(),
            data: data.clone(),
            pipe_for_children: for_children,
            _pipe: own,
        })
    }

    fn launch(&self, role: Role) -> io::Result<Child> {
        Command::new(&self.program)
            .args(child_arguments(&role, &self.options, self.data.root()))
            .env(kit::SUPERVISOR_PIPE, self.pipe_for_children.as_raw_fd().to_string())
            // A group of its own: Ctrl-C reaches the supervisor only, which then stops them in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Keeps one child running until `stop`.
pub(super) async fn keep_running(launcher: std::sync::Arc<Launcher>, role: Role, stop: CancellationToken) -> Outcome {
    let name = role.name();
    let mut restarts = Restarts::default();
    let note = launcher.data.stopped_note(&name);
    // Of an earlier life, if there is one.
    let _ = std::fs::remove_file(&note);
    loop {
        let started = Instant::now();
        let ended = match launcher.launch(role) {
            Ok(mut child) => {
                tokio::select! {
                    status = child.wait() => status,
                    () = stop.cancelled() => {
                        end(&name, child).await;
                        return Outcome::Stopped;
                    }
                }
            }
            Err(error) => Err(error),
        };
        log_end(&name, &ended);
        if ended.as_ref().is_ok_and(|status| status.code() == Some(kit::storage::EXIT_CODE_BEYOND_REPAIR.into())) {
            // It has left a note. The others go on.
            stop.cancelled().await;
            return Outcome::Stopped;
        }
        if ended.as_ref().is_ok_and(|status| status.code() == Some(store::EXIT_CODE_UNSAFE)) {
            if restarts.is_unsafe_again(started.elapsed()) {
                leave_alone(&name, &note);
                stop.cancelled().await;
                return Outcome::Stopped;
            }
            tokio::select! {
                () = tokio::time::sleep(UNSAFE_PAUSE) => continue,
                () = stop.cancelled() => return Outcome::Stopped,
            }
        }
        let by_itself = !ended.as_ref().is_ok_and(|status| status.signal().is_some());
        match restarts.after(started.elapsed(), by_itself) {
            Some(wait) => tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return Outcome::Stopped,
            },
            None => {
                tracing::error!(service = name, "cannot be started; the lines above say why");
                return Outcome::Hopeless;
            }
        }
    }
}

/// Says in the log, and where the gateway looks, why a child is not started again.
fn leave_alone(name: &str, note: &Path) {
    let text = "It could not write to its disk, twice, and was stopped so that nothing is acknowledged that may be lost. \
                Look at the disk and the log, then start DjStream again.";
    tracing::error!(service = name, text);
    if let Err(error) = std::fs::write(note, text) {
        tracing::error!(%error, "the note for the admin cannot be written");
    }
}

fn log_end(name: &str, ended: &io::Result<ExitStatus>) {
    match ended {
        Ok(status) => tracing::warn!(service = name, %status, "ended unasked; starting it again"),
        Err(error) => tracing::error!(service = name, %error, "failed to start"),
    }
}

/// Asks a child to end, and kills it when it does not.
async fn end(name: &str, mut child: Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_DEADLINE, child.wait()).await.is_err() {
        tracing::warn!(service = name, "did not end in time and is killed");
        let _ = child.kill().await;
    }
}

/// When to start a child again.
#[derive(Debug, Default)]
struct Restarts {
    in_a_row: u32,
    own_failures: u32,
    was_well: bool,
    was_unsafe: bool,
}

impl Restarts {
    /// Whether a write had failed before, not long ago.
    fn is_unsafe_again(&mut self, ran: Duration) -> bool {
        std::mem::replace(&mut self.was_unsafe, true) && ran < UNSAFE_AGAIN_WITHIN
    }

    /// The wait before the next start after a child that ran for `ran`; nothing when it is of no use.
    /// One that was killed (not `by_itself`) is always worth a restart.
    fn after(&mut self, ran: Duration, by_itself: bool) -> Option<Duration> {
        if ran >= WELL_AFTER {
            *self = Self { was_well: true, was_unsafe: self.was_unsafe, ..Self::default() };
        }
        let wait = match self.in_a_row {
            0 => Duration::ZERO,
            n => (BACKOFF_FIRST * 2_u32.saturating_pow(n - 1)).min(BACKOFF_LAST),
        };
        self.in_a_row += 1;
        self.own_failures += u32::from(by_itself);
        (self.was_well || self.own_failures < HOPELESS_AFTER).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_longer() {
        let mut restarts = Restarts { was_well: true, ..Restarts::default() };
        let waits: Vec<_> = (0..12).filter_map(|_| restarts.after(Duration::from_millis(5), true)).collect();
        assert_eq!(waits.len(), 12);
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits.is_sorted());
        assert_eq!(waits[11], BACKOFF_LAST);
        assert_eq!(restarts.after(WELL_AFTER, true), Some(Duration::ZERO), "it was well in between");
    }

    #[test]
    fn one_that_never_ran_well_is_given_up() {
        let mut restarts = Restarts::default();
        let tries = std::iter::from_fn(|| restarts.after(Duration::ZERO, true)).count();
        assert_eq!(tries, HOPELESS_AFTER as usize - 1);
    }

    #[test]
    fn a_failed_write_allows_one_more_start_in_a_while() {
        let mut restarts = Restarts::default();
        assert!(!restarts.is_unsafe_again(Duration::from_secs(3)));
        assert!(restarts.is_unsafe_again(Duration::from_secs(30)));
        assert!(!restarts.is_unsafe_again(UNSAFE_AGAIN_WITHIN), "it went well for long");
    }

    #[test]
    fn one_that_is_killed_is_started_again_for_ever() {
        let mut restarts = Restarts::default();
        assert!((0..100).all(|_| restarts.after(Duration::ZERO, false).is_some()));
    }
}
