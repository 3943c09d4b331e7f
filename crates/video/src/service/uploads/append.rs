//! `PATCH`: bytes come, are written, made durable, and only then counted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use kit::Caller;
use kit::http::filter::BodyStream;
use proto::api::video::{JobKind, VideoState};
use proto::events::VideoEvent;
use proto::{Timestamp, UploadId, VideoId};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};
use store::Batch;
use tokio::time::Instant;

use super::super::Service;
use super::super::change::{Change, signed};
use super::UploadPosition;
use super::writers::Turn;
use crate::data::{BYTES_USED, STEPS, StepRecord, StepState, UPLOADS, UPLOADS_OPEN, UploadRecord};
use crate::error::{Error, Result, UploadError};
use crate::media::MediaError;

/// Bytes gathered before they are handed to the disk.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes after which what came is made durable …
const SYNC_BYTES: u64 = 8 << 20;
/// … and the time after which it is, whatever came.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// `PATCH /api/uploads/{id}`
pub(crate) struct Appending {
    pub id: UploadId,
    /// `Upload-Offset`
    pub offset: u64,
    /// `Upload-Length`, for one that was deferred.
    pub length: Option<u64>,
    /// `Content-Length`, if the client knows it.
    pub content_length: Option<u64>,
    pub body: BodyStream,
    /// What time it is: an upload may take hours.
    pub clock: fn() -> Timestamp,
}

/// State of SHA-256 over nothing.
pub(super) fn fresh_state() -> Vec<u8> {
    Sha256::new().serialize().to_vec()
}

fn restore(state: &[u8]) -> Option<Sha256> {
    Sha256::deserialize(state.try_into().ok()?).ok()
}

impl Service {
    /// Appends what comes. What came before the connection broke counts: so this goes on when the caller of
    /// this function is gone.
    pub(crate) async fn append(self: &Arc<Self>, caller: &Caller, appending: Appending) -> Result<UploadPosition> {
        self.upload(caller, appending.id)?;
        let (service, caller) = (Arc::clone(self), caller.clone());
        let work = tokio::spawn(async move { service.append_now(&caller, appending).await });
        work.await.map_err(|_| Error::Write(store::WriteError::Closed))?
    }

    async fn append_now(self: &Arc<Self>, caller: &Caller, mut appending: Appending) -> Result<UploadPosition> {
        let turn = self.writers.take(appending.id).await?;
        let mut upload = self.upload(caller, appending.id)?;
        if upload.finished {
            return self.repeated(&mut appending, &upload).await;
        }
        if let Some(length) = appending.length {
            upload = self.declare_length(appending.id, upload, length, (appending.clock)()).await?;
        }
        check_offset(&appending, &upload)?;
        let writer = Writer::open(self.folder(upload.video).join(&upload.file), &upload).await?;
        let outcome = self.receive(&mut appending, &turn, &mut upload, writer).await;
        if upload.length == Some(upload.offset) {
            return self.finish_upload(appending.id, upload, (appending.clock)()).await;
        }
        outcome?;
        if turn.cancelled.is_cancelled() {
            return Err(UploadError::Locked.into());
        }
        Ok(self.position(appending.id, &upload))
    }

    /// The client did not hear that all is there, and says the end once more.
    async fn repeated(&self, appending: &mut Appending, upload: &UploadRecord) -> Result<UploadPosition> {
        let end = appending.content_length.map(|bytes| appending.offset + bytes);
        if appending.offset > upload.offset || end.is_some_and(|end| end != upload.offset) {
            return Err(UploadError::Offset(upload.offset).into());
        }
        let mut rest = upload.offset - appending.offset;
        while let Some(Ok(piece)) = appending.body.next().await {
            rest = rest.checked_sub(piece.len() as u64).ok_or(UploadError::Beyond(upload.offset))?;
        }
        Ok(self.position(appending.id, upload))
    }

    /// A deferred length becomes known, once.
    async fn declare_length(
        &self,
        id: UploadId,
        upload: UploadRecord,
        length: u64,
        now: Timestamp,
    ) -> Result<UploadRecord> {
        match upload.length {
            Some(known) if known == length => return Ok(upload),
            Some(_) => {
                return Err(UploadError::Header { header: "Upload-Length", detail: "it is known already" }.into());
            }
            None => {}
        }
        self.check_length(length)?;
        if length < upload.offset {
            return Err(UploadError::Beyond(length).into());
        }
        let declared = UploadRecord { length: Some(length), ..upload.clone() };
        let quota = signed(self.limits.quota_bytes);
        self.change(upload.video, now, |old| {
            let mut change = Change::to(old.record.clone());
            // `change` itself counts the difference; here it is only held against the quota.
            let difference = signed(length) - signed(old.record.original.bytes);
            change.record.original.bytes = length;
            change.also = Batch::new()
                .add_bounded(BYTES_USED, &upload.owner.bytes(), difference, 0..=quota)
                .add(BYTES_USED, &upload.owner.bytes(), -difference)
                .assert_equal(UPLOADS, &id.bytes(), &upload)
                .put(UPLOADS, &id.bytes(), &declared);
            Ok(change)
        })
        .await
        .map_err(|error| match error {
            Error::Write(error) => self.refused(error),
            other => other,
        })?;
        Ok(declared)
    }

    /// Reads the body to its end, and moves the offset in `upload` as far as bytes are durable.
    async fn receive(
        &self,
        appending: &mut Appending,
        turn: &Turn,
        upload: &mut UploadRecord,
        mut writer: Writer,
    ) -> Result<()> {
        let mut gathered = Gathered::default();
        let mut sync_at = Instant::now() + SYNC_INTERVAL;
        let outcome = loop {
            let next = tokio::select! {
                biased;
                () = turn.cancelled.cancelled() => break Ok(()),
                () = tokio::time::sleep_until(sync_at) => None,
                next = appending.body.next() => match next {
                    None => break Ok(()),
                    Some(Ok(piece)) => Some(piece),
                    Some(Err(error)) => break Err(kit::http::reply::body_problem(&error).into()),
                },
            };
            if let Some(piece) = next {
                let taken = gathered.take(piece, writer.room(&gathered, upload.length, self.limits.upload_bytes_max));
                if !taken {
                    break Err(UploadError::Beyond(upload.length.unwrap_or(self.limits.upload_bytes_max)).into());
                }
            }
            if gathered.bytes >= PIECE_BYTES {
                writer = writer.write(std::mem::take(&mut gathered)).await?;
            }
            if writer.unsynced() >= SYNC_BYTES || Instant::now() >= sync_at {
                writer = writer.write(std::mem::take(&mut gathered)).await?;
                writer = self.commit(appending.id, upload, writer, (appending.clock)()).await?;
                sync_at = Instant::now() + SYNC_INTERVAL;
            }
        };
        writer = writer.write(gathered).await?;
        self.commit(appending.id, upload, writer, (appending.clock)()).await?;
        outcome
    }

    /// Makes durable what was written, then counts it.
    async fn commit(&self, id: UploadId, upload: &mut UploadRecord, writer: Writer, now: Timestamp) -> Result<Writer> {
        if writer.unsynced() == 0 {
            return Ok(writer);
        }
        let mut writer = writer.sync().await?;
        let next = UploadRecord {
            offset: writer.offset,
            sha256_state: writer.sha256.serialize().to_vec(),
            touched_at: now,
            ..upload.clone()
        };
        let batch =
            Batch::new().at(now.ms()).assert_equal(UPLOADS, &id.bytes(), upload).put(UPLOADS, &id.bytes(), &next);
        self.store.write(batch).await.map_err(|error| match error {
            store::WriteError::Assertion { .. } => UploadError::Gone.into(),
            other => Error::from(other),
        })?;
        writer.synced = writer.offset;
        *upload = next;
        Ok(writer)
    }

    /// All bytes are durable: the video is there, and its processing is under way, in one batch.
    pub(super) async fn finish_upload(
        &self,
        id: UploadId,
        upload: UploadRecord,
        now: Timestamp,
    ) -> Result<UploadPosition> {
        let sha256: [u8; 32] = restore(&upload.sha256_state).unwrap_or_default().finalize().into();
        let intact = upload.sha256_expected.is_none_or(|expected| expected == sha256);
        let finished = UploadRecord { finished: true, touched_at: now, ..upload.clone() };
        let video = upload.video;
        self.change(video, now, |old| {
            let mut change = Change::to(old.record.clone());
            change.record.original.sha256 = Some(sha256);
            change.also = Batch::new()
                .assert_equal(UPLOADS, &id.bytes(), &upload)
                .put(UPLOADS, &id.bytes(), &finished)
                .add(UPLOADS_OPEN, &upload.owner.bytes(), -1);
            if intact {
                change.record.state = VideoState::Processing;
                change.also = start_processing(std::mem::take(&mut change.also), video, now);
            } else {
                let reason = UploadError::Checksum.to_string();
                change.record.state = VideoState::Failed;
                change.record.failure = Some("The file that arrived is not the one that was sent.".to_owned());
                change.events.push(VideoEvent::ProcessingFailed { video: change.record.profile(video), reason });
            }
            Ok(change)
        })
        .await?;
        if intact { Ok(self.position(id, &finished)) } else { Err(UploadError::Checksum.into()) }
    }
}

/// The first step; what follows depends on what it finds.
fn start_processing(batch: Batch, video: VideoId, now: Timestamp) -> Batch {
    let step = StepRecord { kind: JobKind::Probe, plan: None, state: StepState::Open, error: None };
    Service::push_step(batch.put(STEPS, &(video.bytes(), 0), &step), video, 0, &step, now)
}

fn check_offset(appending: &Appending, upload: &UploadRecord) -> Result<(), UploadError> {
    if appending.offset != upload.offset {
        return Err(UploadError::Offset(upload.offset));
    }
    match (upload.length, appending.content_length) {
        (Some(length), Some(bytes)) if appending.offset.saturating_add(bytes) > length => {
            Err(UploadError::Beyond(length))
        }
        _ => Ok(()),
    }
}

/// Pieces on their way to the disk.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    /// Takes a piece if it has room; says whether it had.
    fn take(&mut self, piece: Bytes, room: u64) -> bool {
        if piece.len() as u64 > room {
            return false;
        }
        self.bytes += piece.len();
        self.pieces.push(piece);
        true
    }
}

/// The file that bytes are appended to. Moves into blocking work and back.
struct Writer {
    file: File,
    path: PathBuf,
    sha256: Sha256,
    /// Bytes written.
    offset: u64,
    /// Bytes counted in the record.
    synced: u64,
}

impl Writer {
    async fn open(path: PathBuf, upload: &UploadRecord) -> Result<Self> {
        let damaged = || MediaError::Unusable { tool: "the upload", reason: "its checksum state is damaged".into() };
        let sha256 = restore(&upload.sha256_state).ok_or_else(damaged)?;
        let offset = upload.offset;
        blocking(move || {
            let file = File::options().write(true).open(&path).map_err(MediaError::file("open", &path))?;
            Ok(Self { file, path, sha256, offset, synced: offset })
        })
        .await
    }

    fn unsynced(&self) -> u64 {
        self.offset - self.synced
    }

    /// Bytes that may still come.
    fn room(&self, gathered: &Gathered, length: Option<u64>, bytes_max: u64) -> u64 {
        length.unwrap_or(bytes_max).saturating_sub(self.offset + gathered.bytes as u64)
    }

    async fn write(mut self, gathered: Gathered) -> Result<Self> {
        if gathered.pieces.is_empty() {
            return Ok(self);
        }
        blocking(move || {
            for piece in gathered.pieces {
                self.file.write_all_at(&piece, self.offset).map_err(MediaError::file("write", &self.path))?;
                self.sha256.update(&piece);
                self.offset += piece.len() as u64;
            }
            Ok(self)
        })
        .await
    }

    async fn sync(self) -> Result<Self> {
        blocking(move || {
            self.file.sync_data().map_err(MediaError::file("sync", &self.path))?;
            Ok(self)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, MediaError> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Write(store::WriteError::Closed)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_state_of_a_checksum_can_be_put_away_between_any_two_bytes() {
        let film: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        let whole = Sha256::digest(&film);
        for cut in [0, 1, 63, 64, 65, 500, 999, 1_000] {
            let mut first = restore(&fresh_state()).unwrap();
            first.update(&film[..cut]);
            let mut second = restore(first.serialize().as_slice()).unwrap();
            second.update(&film[cut..]);
            assert_eq!(second.finalize(), whole);
        }
        assert!(restore(b"short").is_none());
    }
}
