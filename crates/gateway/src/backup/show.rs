//! The list of backups for admins.

use std::sync::Arc;

use kit::backup::{Entry, schedule};
use proto::Problem;
use proto::api::backup::Backups as Shown;
use proto::codes;

use super::Backups;

impl Backups {
    /// All backups, what is going on, and when the next one is due.
    pub(crate) async fn show(self: &Arc<Self>) -> Result<Shown, Problem> {
        let entries = self.blocking(|backups| backups.folder.list()).await;
        let entries = entries.map_err(|error| Problem::new(codes::INTERNAL, error.to_string()))?;
        let state = self.state();
        Ok(Shown {
            items: entries.iter().map(Entry::shown).collect(),
            folder: self.folder.path().display().to_string(),
            running: state.running.clone(),
            last_failure: state.last_failure.clone(),
            next_at: schedule::next(&self.config.backup, state.known),
            interval_hours: self.config.backup.interval_hours,
            keep: self.config.backup.keep as u64,
        })
    }
}
