//! The domain: videos, uploads, processing, who may have which file. Knows no HTTP; time comes in.

mod backup;
mod captions;
mod catalogue;
mod change;
mod channels;
mod known;
mod lists;
mod media_grants;
mod processing;
mod removal;
mod steps;
mod subtitles;
mod uploads;
mod videos;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kit::caller::Caller;
use kit::config::Config;
use proto::VideoId;
use proto::api::video::VideoCard;
use store::{Queue, ReadError, Store, WriteError};
use tokio::sync::{Mutex, MutexGuard};

use crate::data::{COUNTS, JOBS, Job, LISTED};
use crate::error::{Error, Result};
use crate::media::{Ladder, Tools};
use crate::peers::Peers;

pub(crate) use captions::CAPTION_BYTES_MAX;
pub(crate) use lists::{ListQuery, OwnQuery};
pub(crate) use uploads::{Appending, NewUpload, UploadPosition};

/// Videos are locked by the last byte of their id: this many can be changed at the same time.
const LOCKS: usize = 64;

/// What the service may use and allow.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Bytes of one file.
    pub upload_bytes_max: u64,
    /// Bytes that one person may store.
    pub quota_bytes: u64,
    /// Open uploads of one person.
    pub uploads_open: u32,
    /// Unfinished uploads are removed after this long without progress, in milliseconds.
    pub upload_expires_ms: i64,
    /// Uploads are refused when less than this would be free.
    pub disk_reserve_bytes: u64,
    /// Attempts of a step.
    pub job_attempts: u32,
    /// Jobs that may wait before no more uploads are begun.
    pub jobs: u64,
    /// The renditions to make.
    pub ladder: Ladder,
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        let mut heights = config.media.rendition_heights.clone();
        heights.sort_unstable();
        heights.dedup();
        Self {
            upload_bytes_max: config.media.upload_max_bytes,
            quota_bytes: config.limits.quota_bytes,
            uploads_open: config.limits.uploads_open,
            upload_expires_ms: i64::try_from(config.limits.upload_expires_s).unwrap_or(i64::MAX / 1000) * 1000,
            disk_reserve_bytes: config.storage.reserve_bytes,
            job_attempts: config.media.job_attempts,
            jobs: config.queues.processing,
            ladder: Ladder { heights, ..Ladder::default() },
        }
    }
}

/// The video service's domain.
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) tools: Tools,
    peers: Peers,
    limits: Limits,
    media: PathBuf,
    known: known::Cache,
    catalogue: catalogue::Catalogue,
    rankings: lists::Rankings,
    writers: uploads::Writers,
    running: steps::Running,
    pub(crate) backup: backup::Backup,
    locks: [Mutex<()>; LOCKS],
}

impl Service {
    /// Opens the domain over its store; reads what lists need. Blocking.
    pub(crate) fn open(
        store: Store,
        tools: Tools,
        peers: Peers,
        limits: Limits,
        media: PathBuf,
    ) -> Result<Arc<Self>, ReadError> {
        let catalogue = catalogue::Catalogue::default();
        for entry in store.scan(LISTED, store::Scan::all()) {
            let ((published_ms, id), record) = entry?;
            let published_at = proto::Timestamp::from_ms(published_ms.0);
            catalogue.set(VideoId::from_bytes(id.0), Some((published_at, record)));
        }
        for entry in store.scan(COUNTS, store::Scan::all()) {
            let (id, counts) = entry?;
            catalogue.set_counts(VideoId::from_bytes(id), Some(counts));
        }
        Ok(Arc::new(Self {
            store,
            tools,
            peers,
            limits,
            media,
            known: known::Cache::new(),
            catalogue,
            rankings: lists::Rankings::new(),
            writers: uploads::Writers::default(),
            running: steps::Running::default(),
            backup: backup::Backup::default(),
            locks: std::array::from_fn(|_| Mutex::new(())),
        }))
    }

    /// The cards of these videos that the viewer may see, in the order asked for. Nothing is asked of
    /// anybody: it takes a microsecond a card.
    pub(crate) fn cards(&self, ids: &[VideoId], viewer: &Caller) -> Vec<VideoCard> {
        ids.iter().filter_map(|id| self.card(*id, viewer)).collect()
    }

    /// Changes of one video come one after the other. The writes check besides that nothing changed since
    /// it was read: a call may be dropped, and its lock with it, while its write is still under way.
    async fn lock(&self, id: VideoId) -> MutexGuard<'_, ()> {
        self.locks[usize::from(id.bytes()[15]) % LOCKS].lock().await
    }

    /// The folder of a video's files.
    pub(crate) fn folder(&self, id: VideoId) -> PathBuf {
        self.media.join(id.to_string())
    }

    /// The folder of all videos' folders.
    pub(crate) fn media(&self) -> &Path {
        &self.media
    }

    /// The queue with its bound. Only those who begin an upload are told to come back later: one that is under way
    /// is taken, and so is what follows from it.
    pub(crate) const fn intake(&self) -> Queue<Job> {
        JOBS.bounded(self.limits.jobs)
    }

    /// Whether there is room for the work of one more upload.
    fn check_queue(&self) -> Result<()> {
        let store::QueueDepth { ready, delayed, leased, .. } = self.store.queue(JOBS).depth()?;
        if ready + delayed + leased >= self.limits.jobs {
            return Err(WriteError::QueueFull { queue: JOBS.name(), limit: self.limits.jobs }.into());
        }
        Ok(())
    }

    /// Reads and file work that may take long, away from the threads that answer.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let service = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&service)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Write(WriteError::Closed)),
        }
    }
}
