//! Who may have which files: asked of the video service, and remembered for some seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use kit::{Caller, Peer};
use moka::sync::Cache;
use proto::internal::{MediaFile, MediaGrant};
use proto::{Problem, UserId, VideoId};

use crate::limits::{GRANT_RENEW_AFTER, GRANT_STALE_TTL, GRANT_TTL, GRANTS_CACHED, HEALTH_TIMEOUT};

/// What somebody may have of a video.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) public: bool,
    pub(crate) files: HashMap<String, MediaFile>,
    asked: Instant,
}

/// A video, and whose right it is: rights hang on the person and the role.
type Key = (VideoId, Option<UserId>, u8);

/// All answers that are remembered.
#[derive(Debug)]
pub(crate) struct Grants {
    video: Peer,
    known: Cache<Key, Arc<Granted>>,
}

impl Grants {
    /// With nothing remembered.
    pub(crate) fn new(video: Peer) -> Self {
        let known = Cache::builder().max_capacity(GRANTS_CACHED).time_to_live(GRANT_STALE_TTL).build();
        Self { video, known }
    }

    /// The file of this name, if the caller may have it.
    pub(crate) async fn file(&self, video: VideoId, name: &str, caller: &Caller) -> Result<(MediaFile, bool), Problem> {
        let mut granted = self.of(video, caller, GRANT_TTL).await?;
        if granted.files.get(name).is_none_or(|file| file.changes) {
            // Renditions appear one by one: it may be new, or name another one now.
            granted = self.of(video, caller, GRANT_RENEW_AFTER).await?;
        }
        match granted.files.get(name) {
            Some(file) => Ok((file.clone(), granted.public)),
            None => Err(crate::error::GatewayError::NotFound.into()),
        }
    }

    /// What the caller may have, by an answer not older than `age_max`; while the video service is away, by the
    /// last one.
    pub(crate) async fn of(&self, video: VideoId, caller: &Caller, age_max: Duration) -> Result<Arc<Granted>, Problem> {
        let key = (video, caller.user, caller.role as u8);
        let known = self.known.get(&key);
        if let Some(granted) = known.as_ref().filter(|granted| granted.asked.elapsed() < age_max) {
            return Ok(granted.clone());
        }
        match self.ask(video, caller, known.is_some()).await {
            Ok(grant) => {
                let files = grant.files.into_iter().map(|file| (file.name.clone(), file)).collect();
                let granted = Arc::new(Granted { public: grant.public, files, asked: Instant::now() });
                self.known.insert(key, granted.clone());
                Ok(granted)
            }
            Err(problem) if (400..500).contains(&problem.status) && problem.status != 429 => {
                self.known.invalidate(&key);
                Err(crate::error::GatewayError::NotFound.into())
            }
            Err(problem) => known.ok_or(problem),
        }
    }

    /// Asks. Who has an answer to fall back on waits less long for a service that hangs.
    async fn ask(&self, video: VideoId, caller: &Caller, has_other: bool) -> Result<MediaGrant, Problem> {
        let path = format!("/internal/media-grants/{video}");
        let asked = self.video.call::<(), MediaGrant>(Method::GET, &path, Some(caller), None);
        if !has_other {
            return asked.await;
        }
        let late = || Problem::new(proto::codes::SERVICE_UNAVAILABLE, "The video service did not answer in time.");
        tokio::time::timeout(HEALTH_TIMEOUT, asked).await.unwrap_or_else(|_| Err(late()))
    }
}
