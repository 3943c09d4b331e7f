//! Makes backups by themselves: every so often, and early when a journal has grown long.

use std::sync::Arc;
use std::time::Duration;

use kit::backup::{Entry, schedule};
use kit::{Shutdown, clock};

use super::Backups;

/// How often it is looked whether one is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Tidies up what a crash left, and makes backups, until shutdown.
pub(crate) async fn run(backups: Arc<Backups>, shutdown: Shutdown) {
    backups.begin().await;
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => backups.look().await,
            () = shutdown.requested() => return,
        }
    }
}

impl Backups {
    async fn begin(self: &Arc<Self>) {
        let found = self.blocking(|backups| {
            let removed = backups.folder.tidy()?;
            Ok((removed, backups.folder.list()?))
        });
        match found.await {
            Ok((removed, entries)) => {
                if removed > 0 {
                    tracing::warn!(removed, "what was left of unfinished backups was removed");
                }
                let newest = entries.iter().find(|entry| entry.is_verified()).and_then(Entry::created_at);
                self.state().known.newest_at = newest;
            }
            Err(error) => tracing::error!(%error, "the backups cannot be looked at"),
        }
    }

    async fn look(self: &Arc<Self>) {
        let states = self.parts.states().await;
        let longest = states.iter().map(|(_, part)| part.journal_bytes).max().unwrap_or(0);
        let (known, is_running) = {
            let state = self.state();
            (state.known, state.running.is_some())
        };
        let now = clock::now();
        if is_running || !schedule::is_due(&self.config.backup, known, longest, now) {
            return;
        }
        // Services that start, or start anew, are waited for. One that stays away is a reason to say so.
        let is_late = schedule::next(&self.config.backup, known)
            .is_some_and(|at| now.since(at) >= i64::try_from(schedule::AFTER_ATTEMPT.as_millis()).unwrap_or(i64::MAX));
        if !self.parts.are_all(&states) && !is_late {
            return;
        }
        match self.start(now).await {
            Ok(progress) => tracing::info!(id = progress.id, journal_bytes = longest, "a backup begins by itself"),
            Err(problem) => tracing::error!(%problem, "no backup could be begun"),
        }
    }
}
