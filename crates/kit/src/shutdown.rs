//! How a process is told to end, and how it waits for what still runs.
//!
//! Three things end a process: SIGTERM, SIGINT, and the end of a pipe inherited from the supervisor
//! (`DJSTREAM_SUPERVISOR_PIPE` holds the descriptor). The pipe ends whenever the supervisor does, however it
//! dies; `PR_SET_PDEATHSIG` would follow the thread that forked instead.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// The variable with the descriptor of the supervisor's pipe.
pub const SUPERVISOR_PIPE: &str = "DJSTREAM_SUPERVISOR_PIPE";

/// One process's wish to end, and the tasks that have to end with it. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Shutdown {
    /// One that only [`Shutdown::request`] ends.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM, SIGINT and the end of the supervisor's pipe end too. Call it inside the runtime.
    ///
    /// # Errors
    /// If a signal handler cannot be installed or the inherited descriptor is not a pipe.
    pub fn listen() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut pipe = supervisor_pipe()?;
        let own = shutdown.clone();
        tokio::spawn(async move {
            let reason = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = end_of(&mut pipe) => "the supervisor ended",
                () = own.token.cancelled() => return,
            };
            tracing::info!(reason, "shutting down");
            own.request();
        });
        Ok(shutdown)
    }

    /// Asks the process to end; the first call counts.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether the process was asked to end.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the process is asked to end.
    pub fn requested(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// The token that is cancelled when the process is asked to end.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Tasks spawned on this tracker are waited for at the end. They watch [`Shutdown::token`] themselves.
    pub fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }

    /// Waits until all tracked tasks have ended, or `deadline` has passed. Says whether all ended.
    pub async fn finish(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

/// The supervisor's pipe, if there is a supervisor.
fn supervisor_pipe() -> io::Result<Option<pipe::Receiver>> {
    let Some(text) = std::env::var_os(SUPERVISOR_PIPE) else { return Ok(None) };
    let number: Option<RawFd> = text.to_str().and_then(|text| text.parse().ok()).filter(|fd| *fd > 2);
    let Some(number) = number else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{SUPERVISOR_PIPE} is not a descriptor")));
    };
    // SAFETY: the supervisor opened this descriptor for this process and named it; nothing else here uses it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    pipe::Receiver::from_owned_fd(descriptor).map(Some)
}

/// Waits for the end of the pipe; for ever if there is none.
async fn end_of(pipe: &mut Option<pipe::Receiver>) {
    let Some(pipe) = pipe else { return std::future::pending().await };
    let mut ignored = [0_u8; 64];
    while pipe.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_end_of_the_pipe_is_noticed() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let waiting = tokio::spawn(async move { end_of(&mut Some(receiver)).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        drop(sender);
        tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn tracked_tasks_are_waited_for_until_the_deadline() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.tracker().spawn(async move { token.cancelled().await });
        assert!(!shutdown.finish(Duration::from_millis(20)).await);
        shutdown.request();
        assert!(shutdown.finish(Duration::from_secs(5)).await);
    }
}
