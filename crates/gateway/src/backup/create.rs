//! The steps of making a backup.

use std::sync::Arc;

use kit::backup::{Depth, FORMAT, Manifest, MediaSummary, StoreFile, Unfinished, check};
use kit::clock;
use proto::Timestamp;

use super::{Backups, Failed};

impl Backups {
    /// Makes a backup in `unfinished`, which becomes one only when it was verified. Dropped in the middle, it
    /// leaves nothing.
    pub(super) async fn create(self: &Arc<Self>, unfinished: Unfinished, now: Timestamp) -> Result<(), Failed> {
        let id = unfinished.id().to_owned();
        let (stores, media) = self.gather(&unfinished).await?;
        let manifest = Manifest {
            format: FORMAT,
            id: id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: now,
            verified_at: None,
            damage: None,
            stores,
            media,
            checksum: String::new(),
        };
        self.step("restores every store into a scratch folder and compares");
        let manifest = self.blocking(move |backups| backups.complete(unfinished, manifest)).await?;
        tracing::info!(
            id,
            entries = manifest.stores.iter().map(|store| store.entries).sum::<u64>(),
            media_files = manifest.media.files,
            copied_bytes = manifest.media.copied_bytes,
            took_ms = clock::now().since(now),
            "a backup was made and verified"
        );
        self.step("lets old backups go");
        self.after_another(now).await.map_err(Failed::from)
    }

    /// Every store as of one moment, and the media that go with it.
    async fn gather(self: &Arc<Self>, unfinished: &Unfinished) -> Result<(Vec<StoreFile>, MediaSummary), Failed> {
        let (id, folder) = (unfinished.id(), unfinished.path().to_owned());
        let entries = self.blocking(|backups| backups.folder.list()).await?;
        let earlier = entries.into_iter().find(|entry| entry.is_verified()).map(|entry| entry.path);
        self.step("scans the stores");
        self.parts.scan(id, folder.clone()).await?;
        self.step("holds the stores for a moment");
        self.parts.pause_removals(id).await?;
        let sequences = self.parts.cut(id).await?;
        self.step("finishes the stores and takes the media");
        let media = self.parts.take_media(id, folder, earlier);
        let (stores, media) = tokio::try_join!(self.parts.finish(id, &sequences), media)?;
        let stores: Option<Vec<StoreFile>> = stores.into_iter().map(|part| part.store).collect();
        let stores = stores.ok_or_else(|| Failed::Said("a service did not say what it wrote".to_owned()))?;
        Ok((stores, media))
    }

    fn complete(&self, unfinished: Unfinished, mut manifest: Manifest) -> Result<Manifest, kit::backup::Error> {
        let scratch = self.folder.scratch(manifest.created_at)?;
        // The media were read while they were taken.
        check(unfinished.path(), &manifest, scratch.path(), Depth::Sizes, &self.shutdown.token())?;
        drop(scratch);
        manifest.verified_at = Some(clock::now());
        unfinished.complete(&mut manifest)?;
        Ok(manifest)
    }
}
