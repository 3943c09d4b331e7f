//! Which backups stay, and what the stores' journals may forget.

use std::sync::Arc;

use kit::backup::{Error, schedule};
use proto::Timestamp;

use super::Backups;

impl Backups {
    /// Refuses a backup for which there is no room, after old ones were let go for it.
    pub(super) fn make_room(&self) -> Result<(), Error> {
        self.let_go_for_room()?;
        let (free_bytes, needed_bytes) = (self.folder.free_bytes(), self.config.storage.reserve_bytes);
        if free_bytes < needed_bytes {
            return Err(Error::NoRoom { path: self.folder.path().to_owned(), needed_bytes, free_bytes });
        }
        Ok(())
    }

    /// Fewer are kept while the disk is short of room, but never less than the newest.
    fn let_go_for_room(&self) -> Result<(), Error> {
        while self.folder.free_bytes() < self.config.storage.reserve_bytes {
            let entries = self.folder.list()?;
            let gone = schedule::superfluous(&entries, self.config.backup.keep, true);
            let Some(oldest) = gone.first() else { return Ok(()) };
            tracing::warn!(id = oldest.id, "a backup goes: there is less room than [storage] reserve_bytes");
            self.folder.remove(&oldest.id)?;
        }
        Ok(())
    }

    fn let_go(&self) -> Result<(), Error> {
        let entries = self.folder.list()?;
        for entry in schedule::superfluous(&entries, self.config.backup.keep, false) {
            tracing::info!(id = entry.id, "a backup goes: [backup] keep newer ones are good");
            self.folder.remove(&entry.id)?;
        }
        self.let_go_for_room()
    }

    /// One more backup is there.
    pub(super) async fn after_another(self: &Arc<Self>, made_at: Timestamp) -> Result<(), Error> {
        self.state().known.newest_at = Some(made_at);
        let entries = self.blocking(|backups| backups.folder.list()).await?;
        for (service, part) in self.parts.states().await {
            if let Some(sequence) = schedule::covered(&entries, service.name(), part.lineage) {
                self.parts.covered(service, part.lineage, sequence).await;
            }
        }
        self.blocking(|backups| backups.let_go()).await
    }
}
