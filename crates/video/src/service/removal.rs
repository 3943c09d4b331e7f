//! Videos that go: first the records, all at once, then the files.

use kit::Caller;
use proto::events::VideoEvent;
use proto::{ChannelId, Timestamp, UserId, VideoId};
use store::{Batch, Desc, Push, Scan, WriteError};

use super::Service;
use super::change::{listed, listed_key, signed};
use super::known;
use crate::data::{
    ABOUTS, BYTES_USED, CHANNELS, CHANNELS_OF, CHAPTERS, COUNTS, HANDLES, JOBS, Job, LISTED, LOG, OF_CHANNEL, OWNED,
    PROBES, STEPS, UPLOAD_OF, UPLOADS, UPLOADS_OPEN, VIDEOS, VideoRecord, to_forget,
};
use crate::error::{Error, Result};

/// How often a removal is tried again when somebody changed the video meanwhile.
const ATTEMPTS: usize = 16;
/// Jobs looked through at the start.
const UNFINISHED_MAX: usize = 100_000;
/// Videos of a deleted channel that one piece of work removes.
const REMOVED_AT_ONCE: usize = 100;

impl Service {
    /// Deletes a video of the caller's.
    pub(crate) async fn delete_video(&self, caller: &Caller, id: VideoId) -> Result<()> {
        self.own(id, caller)?;
        self.remove(id).await
    }

    /// Removes a video, its upload and everything that hangs on it. Its files follow; its id never returns.
    pub(super) async fn remove(&self, id: VideoId) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let guard = self.lock(id).await;
            let old = known::load(&self.store, id)?.ok_or(Error::NotFound("video"))?;
            let batch = self.removal(id, &old)?;
            match self.store.write(batch).await {
                Ok(_) => {
                    self.forget(id);
                    self.running.cancel(id);
                    return Ok(());
                }
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            drop(guard);
        }
        Err(Error::Conflict)
    }

    fn removal(&self, id: VideoId, old: &known::Known) -> Result<Batch> {
        let key = id.bytes();
        let record = &old.record;
        let owner = record.owner.bytes();
        let mut batch = Batch::new()
            .essential()
            .assert_equal(VIDEOS, &key, record)
            .delete(VIDEOS, &key)
            .delete_text(ABOUTS, &key)
            .delete_text(CHAPTERS, &key)
            .delete(COUNTS, &key)
            .delete(PROBES, &key)
            .delete(OWNED, &(owner, Desc(key)))
            .delete(OF_CHANNEL, &(record.channel.bytes(), Desc(key)))
            .add(BYTES_USED, &owner, -signed(record.bytes()))
            .push(JOBS, Push::new(&Job::RemoveFiles(id)))
            .append(LOG, &VideoEvent::VideoDeleted { id, owner: record.owner, channel: record.channel });
        batch = to_forget(batch, key);
        if let Some((at, _)) = listed(record, &old.about) {
            batch = batch.delete(LISTED, &listed_key(id, at));
        }
        for step in self.store.scan_keys(STEPS, Scan::prefix(&key)) {
            batch = batch.delete(STEPS, &step?);
        }
        if let Some(upload) = self.store.get(UPLOAD_OF, &key)? {
            if let Some(open) = self.store.get(UPLOADS, &upload.bytes())?.filter(|open| !open.finished) {
                // Whoever writes to it must not count anything any more.
                self.writers.cancel(upload);
                batch = batch.assert_equal(UPLOADS, &upload.bytes(), &open).add(UPLOADS_OPEN, &owner, -1);
            }
            batch = Self::forget_upload(batch, upload, id);
        }
        Ok(batch)
    }

    /// Removes what a crash in the middle of a step left in the folders of videos that are being processed: whatever
    /// their records do not name. Blocking; before anything runs.
    pub(crate) fn tidy_unfinished(&self) -> Result<()> {
        for job in self.store.queue(JOBS).list(UNFINISHED_MAX)? {
            let Some(Job::Step { video, .. }) = job.job else { continue };
            if let Some(known) = self.known(video)? {
                self.tidy(video, &known.record);
            }
        }
        Ok(())
    }

    fn tidy(&self, id: VideoId, record: &VideoRecord) {
        let named = record.files();
        let Ok(entries) = std::fs::read_dir(self.folder(id)) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| named.contains(&name)) {
                continue;
            }
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed =
                if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
            if let Err(error) = removed {
                tracing::warn!(path = %entry.path().display(), %error, "litter could not be removed");
            }
        }
    }

    /// Removes some of what an account had that is gone; says whether all is gone now.
    pub(crate) async fn remove_of_user(&self, user: UserId) -> Result<bool> {
        let keys = self.store.scan_keys(OWNED, Scan::prefix(&user.bytes())).take(REMOVED_AT_ONCE);
        let ids: Vec<VideoId> =
            keys.map(|key| key.map(|(_, id)| VideoId::from_bytes(id.0))).collect::<Result<_, _>>()?;
        self.remove_all(&ids).await?;
        if ids.len() == REMOVED_AT_ONCE {
            return Ok(false);
        }
        // The projection of a channel whose own end was told, or will be.
        for key in self.store.scan_keys(CHANNELS_OF, Scan::prefix(&user.bytes())) {
            let key = key?;
            let handle = self.store.get(CHANNELS, &key.1)?.map(|channel| channel.handle);
            let batch = handle.iter().fold(Batch::new(), |batch, handle| batch.delete(HANDLES, handle));
            let batch = self.forget_channel(ChannelId::from_bytes(key.1), batch.delete(CHANNELS_OF, &key));
            self.store.write(batch).await?;
        }
        Ok(true)
    }

    async fn remove_all(&self, ids: &[VideoId]) -> Result<()> {
        for id in ids {
            match self.remove(*id).await {
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Steps of a video that is gone which were given up: they are looked at once more, and end.
    pub(crate) async fn end_dead_steps(&self, id: VideoId, now: Timestamp) -> Result<()> {
        let queue = self.store.queue(JOBS);
        for letter in queue.dead(UNFINISHED_MAX)? {
            if matches!(letter.job, Some(Job::Step { video, .. }) if video == id) {
                queue.revive(letter.id, now.ms()).await?;
            }
        }
        Ok(())
    }

    /// Removes some videos of a channel that is gone; says whether all are gone now.
    pub(crate) async fn remove_of_channel(&self, channel: ChannelId) -> Result<bool> {
        let keys = self.store.scan_keys(OF_CHANNEL, Scan::prefix(&channel.bytes())).take(REMOVED_AT_ONCE);
        let ids: Vec<VideoId> =
            keys.map(|key| key.map(|(_, id)| VideoId::from_bytes(id.0))).collect::<Result<_, _>>()?;
        self.remove_all(&ids).await?;
        if ids.len() < REMOVED_AT_ONCE {
            self.store.write(self.forget_channel(channel, Batch::new())).await?;
            return Ok(true);
        }
        Ok(false)
    }
}
