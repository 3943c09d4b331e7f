//! Resumable uploads (tus 1.0.0): an offset never exceeds durable bytes, and the last byte makes a video
//! out of them in one batch.

mod append;
mod metadata;
mod writers;

use std::fs::File;
use std::sync::Arc;

use kit::Caller;
use proto::api::video::{CommentPolicy, VideoState};
use proto::{Timestamp, UploadId, VideoId};
use store::{Batch, Scan, WriteError};

use super::Service;
use super::change::signed;
use crate::data::{
    About, BYTES_USED, Original, UPLOAD_METADATA, UPLOAD_OF, UPLOADS, UPLOADS_OPEN, UploadRecord, VideoRecord,
    while_there,
};
use crate::error::{Error, Result, UploadError};
use crate::media::{MediaError, output};

pub(crate) use append::Appending;
use metadata::Metadata;
pub(super) use writers::Writers;

/// How long a finished upload still answers, in milliseconds: for clients that missed the last answer.
const FINISHED_KEPT_MS: i64 = 24 * 3_600_000;

/// `POST /api/uploads`
#[derive(Debug, Clone)]
pub(crate) struct NewUpload {
    /// `Upload-Length`; absent when it is deferred.
    pub length: Option<u64>,
    /// `Upload-Metadata`, empty without one.
    pub metadata: String,
}

/// Where an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadPosition {
    pub id: UploadId,
    pub video: VideoId,
    /// Bytes that are durable.
    pub offset: u64,
    /// Absent while it is deferred.
    pub length: Option<u64>,
    /// When it is removed unless it goes on; absent once it is complete.
    pub expires_at: Option<Timestamp>,
}

impl Service {
    fn position(&self, id: UploadId, record: &UploadRecord) -> UploadPosition {
        UploadPosition {
            id,
            video: record.video,
            offset: record.offset,
            length: record.length,
            expires_at: (!record.finished).then(|| record.touched_at.plus_ms(self.limits.upload_expires_ms)),
        }
    }

    /// Opens an upload, and the video that it will become.
    pub(crate) async fn create_upload(
        self: &Arc<Self>,
        caller: &Caller,
        new: NewUpload,
        now: Timestamp,
    ) -> Result<UploadPosition> {
        let owner = caller.signed_in()?;
        let metadata = Metadata::read(&new.metadata)?;
        self.check_length(new.length.unwrap_or(0))?;
        self.check_queue()?;
        let channel = self.channel_for(caller, metadata.channel.as_deref()).await?;
        let (id, video) = (UploadId::generate(), VideoId::generate());
        let file = output::random_name();
        let name = file.clone();
        self.blocking(move |service| service.make_file(video, &name)).await?;
        let upload = UploadRecord {
            owner,
            video,
            length: new.length,
            offset: 0,
            sha256_state: append::fresh_state(),
            sha256_expected: metadata.sha256,
            file: file.clone(),
            touched_at: now,
            finished: false,
        };
        let record = VideoRecord {
            owner,
            channel: channel.id,
            title: metadata.title,
            privacy: metadata.privacy,
            state: VideoState::Uploading,
            failure: None,
            comment_policy: CommentPolicy::default(),
            duration: 0.0,
            created_at: now,
            published_at: None,
            announced: false,
            category: String::new(),
            language: String::new(),
            license: String::new(),
            sensitive: false,
            download: false,
            original: Original { file, bytes: new.length.unwrap_or(0), name: metadata.file_name, sha256: None },
            poster: None,
            renditions: Vec::new(),
            master: None,
            captions: Vec::new(),
            version: 1,
        };
        let about = About { description: metadata.description, tags: metadata.tags };
        let batch = Self::create(video, &record, &about, self.reserve(owner.bytes(), record.original.bytes))
            .put(UPLOADS, &id.bytes(), &upload)
            .put_text(UPLOAD_METADATA, &id.bytes(), &new.metadata)
            .put(UPLOAD_OF, &video.bytes(), &id);
        let batch = while_there(self.remember_channel(&channel, batch)?, owner).at(now.ms());
        if let Err(error) = self.store.write(batch).await {
            let _ = self.blocking(move |service| Ok(std::fs::remove_dir_all(service.folder(video)).is_ok())).await;
            return Err(self.refused(error));
        }
        let position = self.position(id, &upload);
        if upload.length == Some(0) {
            return self.finish_upload(id, upload, now).await;
        }
        Ok(position)
    }

    /// The folder and the empty file, durable before anything names them.
    fn make_file(&self, video: VideoId, file: &str) -> Result<()> {
        let folder = self.folder(video);
        std::fs::create_dir_all(&folder).map_err(MediaError::file("make", &folder))?;
        let path = folder.join(file);
        File::create_new(&path).and_then(|file| file.sync_all()).map_err(MediaError::file("make", &path))?;
        output::sync_folder(&folder)?;
        output::sync_folder(&self.media)?;
        Ok(())
    }

    fn check_length(&self, length: u64) -> Result<(), UploadError> {
        if length > self.limits.upload_bytes_max {
            return Err(UploadError::TooLarge(self.limits.upload_bytes_max));
        }
        let free =
            rustix::fs::statvfs(&self.media).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free < length.saturating_add(self.limits.disk_reserve_bytes) {
            return Err(UploadError::DiskFull);
        }
        Ok(())
    }

    fn reserve(&self, owner: [u8; 16], bytes: u64) -> Batch {
        let quota = signed(self.limits.quota_bytes);
        Batch::new().add_bounded(UPLOADS_OPEN, &owner, 1, 0..=i64::from(self.limits.uploads_open)).add_bounded(
            BYTES_USED,
            &owner,
            signed(bytes),
            0..=quota,
        )
    }

    fn refused(&self, error: WriteError) -> Error {
        match error {
            WriteError::Bounds { counter, .. } if counter == UPLOADS_OPEN.name() => {
                UploadError::TooMany(self.limits.uploads_open).into()
            }
            WriteError::Bounds { counter, .. } if counter == BYTES_USED.name() => {
                UploadError::Quota(self.limits.quota_bytes).into()
            }
            error => error.into(),
        }
    }

    /// The caller's upload.
    fn upload(&self, caller: &Caller, id: UploadId) -> Result<UploadRecord> {
        let owner = caller.signed_in()?;
        self.store.get(UPLOADS, &id.bytes())?.filter(|upload| upload.owner == owner).ok_or(Error::NotFound("upload"))
    }

    /// Where the upload is, and its `Upload-Metadata`. Whoever writes to it is told to stop first, so that what
    /// is said stays true.
    pub(crate) async fn upload_position(&self, caller: &Caller, id: UploadId) -> Result<(UploadPosition, String)> {
        self.upload(caller, id)?;
        let _turn = self.writers.take(id).await?;
        let metadata = self.store.text(UPLOAD_METADATA, &id.bytes())?.unwrap_or_default();
        Ok((self.position(id, &self.upload(caller, id)?), metadata))
    }

    /// Forgets the upload that a video came from.
    pub(super) fn forget_upload(batch: Batch, id: UploadId, video: VideoId) -> Batch {
        batch.delete(UPLOADS, &id.bytes()).delete(UPLOAD_OF, &video.bytes()).delete_text(UPLOAD_METADATA, &id.bytes())
    }

    /// Ends an upload for good: an unfinished one goes with its video, a finished one is only forgotten.
    pub(crate) async fn delete_upload(&self, caller: &Caller, id: UploadId) -> Result<()> {
        let upload = self.upload(caller, id)?;
        if upload.finished {
            self.store.write(Self::forget_upload(Batch::new(), id, upload.video)).await?;
            return Ok(());
        }
        self.remove(upload.video).await
    }

    /// Removes uploads that did not go on for too long, and forgets finished ones.
    pub(crate) async fn sweep_uploads(&self, now: Timestamp) -> Result<()> {
        let entries: Vec<([u8; 16], UploadRecord)> = self.store.scan(UPLOADS, Scan::all()).collect::<Result<_, _>>()?;
        for (id, upload) in entries {
            let idle_ms = now.since(upload.touched_at);
            if upload.finished && idle_ms > FINISHED_KEPT_MS {
                let id = UploadId::from_bytes(id);
                self.store.write(Self::forget_upload(Batch::new(), id, upload.video)).await?;
            } else if !upload.finished && idle_ms > self.limits.upload_expires_ms {
                tracing::info!(video = %upload.video, "an upload did not go on and is removed");
                match self.remove(upload.video).await {
                    Ok(()) | Err(Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
