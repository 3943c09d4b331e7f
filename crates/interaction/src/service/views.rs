//! Views: one a viewer and video in 24 hours, counted after ten seconds or half of a shorter video.

use kit::Caller;
use proto::api::interaction::{View, ViewCounted};
use proto::events::{InteractionEvent, VideoProfile, Viewer};
use proto::{Timestamp, UserId, VideoId};
use store::{Batch, Scan, WriteError};

use super::comments::interaction;
use super::sittings::{Sitting, WRITE_EVERY_MS, Who};
use super::{ATTEMPTS, Service};
use crate::data::{
    COUNTED, COUNTED_BY_TIME, GONE, GONE_USERS, HISTORY, HISTORY_PAUSED, Job, LOG, gone, viewer_key, while_there,
};
use crate::error::{Error, Result};

/// A view counts when this much was watched, or half of a shorter video.
const COUNTS_AFTER_S: f64 = 10.0;

/// A viewer's next view of the same video counts after this long.
const COUNTS_AGAIN_MS: i64 = 24 * 3600 * 1000;

/// Who has seen this part of a video has seen it to its end.
const SEEN_TO_THE_END: f64 = 0.95;

/// Below this there is nothing to resume, in seconds.
const RESUME_MIN_S: f64 = 1.0;

/// How many old rows each counted view forgets: more than one, so that they do not pile up.
const FORGOTTEN_AT_ONCE: usize = 3;

impl Service {
    /// A heartbeat of a player. Most of them write nothing.
    pub(crate) async fn view(&self, caller: &Caller, id: VideoId, body: View, now: Timestamp) -> Result<ViewCounted> {
        check(&body)?;
        let video = self.visible_video(caller, id).await?;
        if let Some(user) = caller.user {
            self.shared.interactions.check(user, now)?;
        }
        let viewer = caller.user.map_or(Viewer::Page(body.session_id), Viewer::User);
        let who = (viewer, id);
        let position =
            if video.duration > 0.0 { body.position_seconds.min(video.duration) } else { body.position_seconds };
        let sitting = self.shared.sittings.beat(&who, body.watched_seconds, position, now);
        let counted_at = match sitting.counted_at {
            Some(at) => Some(at),
            None => self.counted_at(&who)?,
        };
        let counted = counted_at.filter(|at| now.since(*at) < COUNTS_AGAIN_MS);
        if let Some(at) = counted {
            self.shared.sittings.counted(&who, at);
        }
        let counts = counted.is_none() && sitting.watched_seconds >= enough(&video);
        if counts || now.since(sitting.written_at) >= WRITE_EVERY_MS {
            self.write_sitting(&who, &sitting, counts, now).await?;
        }
        Ok(ViewCounted { counted: counted.is_some() || counts })
    }

    fn counted_at(&self, (viewer, video): &Who) -> Result<Option<Timestamp>> {
        Ok(self.store.get(COUNTED, &(video.bytes(), viewer_key(viewer)))?)
    }

    /// Writes down where somebody is, and that their view counts.
    pub(super) async fn write_sitting(&self, who: &Who, sitting: &Sitting, counts: bool, now: Timestamp) -> Result<()> {
        for _ in 0..ATTEMPTS {
            // The other of two heartbeats may have counted it meanwhile.
            let counts = counts && self.counted_at(who)?.is_none_or(|at| now.since(at) >= COUNTS_AGAIN_MS);
            match self.store.write(self.sitting_batch(who, sitting, counts, now)?).await {
                Ok(_) => {
                    if counts {
                        self.shared.sittings.counted(who, now);
                    }
                    self.shared.sittings.written(who, sitting.seen_at, now);
                    return Ok(());
                }
                Err(WriteError::Assertion { table, .. }) if [GONE.name(), GONE_USERS.name()].contains(&table) => {
                    self.shared.sittings.written(who, sitting.seen_at, now);
                    return Err(Error::NotFound("video"));
                }
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    fn sitting_batch(&self, who: &Who, sitting: &Sitting, counts: bool, now: Timestamp) -> Result<Batch> {
        let (viewer, video) = who;
        let mut batch = Batch::new().at(now.ms()).assert_absent(GONE, &gone(video.bytes()));
        if let Viewer::User(user) = viewer {
            batch = while_there(batch, *user);
        }
        if counts {
            batch = self.counted(batch, viewer, *video, now)?;
        }
        let paused = match viewer {
            Viewer::User(user) => self.store.contains(HISTORY_PAUSED, &user.bytes())?,
            Viewer::Page(_) => false,
        };
        if paused {
            return Ok(batch);
        }
        if let Viewer::User(user) = viewer {
            batch = self.remembered_in_history(batch, *user, *video, sitting)?;
        }
        let event = InteractionEvent::Watched {
            viewer: viewer.clone(),
            video: *video,
            watched_seconds: sitting.watched_seconds,
            position_seconds: sitting.position_seconds,
            at: sitting.seen_at,
        };
        Ok(batch.append(LOG, &event))
    }

    /// Counts a view, if nobody else has meanwhile, and forgets some that are long past.
    fn counted(&self, mut batch: Batch, viewer: &Viewer, video: VideoId, now: Timestamp) -> Result<Batch> {
        let key = (video.bytes(), viewer_key(viewer));
        batch = match self.store.get(COUNTED, &key)? {
            None => batch.assert_absent(COUNTED, &key),
            Some(at) => {
                batch.assert_equal(COUNTED, &key, &at).delete(COUNTED_BY_TIME, &(at.ms(), key.0, key.1.clone()))
            }
        };
        let past = Scan::all().until(&(now.ms() - COUNTS_AGAIN_MS,));
        for old in self.store.scan_keys(COUNTED_BY_TIME, past).take(FORGOTTEN_AT_ONCE) {
            let (at, video, viewer) = old?;
            let old = (video, viewer);
            // The row may have been counted anew since the index was read.
            if old != key && self.store.get(COUNTED, &old)?.is_some_and(|counted| counted.ms() == at) {
                batch = batch.assert_equal(COUNTED, &old, &Timestamp::from_ms(at)).delete(COUNTED, &old);
            }
            batch = batch.delete(COUNTED_BY_TIME, &(at, old.0, old.1));
        }
        Ok(batch
            .put(COUNTED, &key, &now)
            .put(COUNTED_BY_TIME, &(now.ms(), key.0, key.1), &())
            .push(self.intake(), interaction(&Job::View { video })))
    }

    /// Where somebody can go on watching, in seconds.
    pub(super) fn resume_at(&self, user: UserId, video: &VideoProfile) -> Result<Option<f64>> {
        if self.store.contains(HISTORY_PAUSED, &user.bytes())? {
            return Ok(None);
        }
        let position = match self.shared.sittings.position(user, video.id) {
            Some(position) => Some(position),
            None => {
                let record = self.store.get(HISTORY, &(user.bytes(), video.id.bytes()))?;
                record.map(|record| record.position_seconds)
            }
        };
        let end = if video.duration > 0.0 { video.duration * SEEN_TO_THE_END } else { f64::INFINITY };
        Ok(position.filter(|position| (RESUME_MIN_S..end).contains(position)))
    }

    /// Writes down sittings without a heartbeat for a while, until shutdown; then all of them.
    pub(crate) async fn write_sittings_down(&self, now: Timestamp, all: bool) -> Result<bool> {
        loop {
            let due = self.shared.sittings.due(now, all);
            if due.is_empty() {
                return Ok(self.shared.sittings.tidy(now));
            }
            for (who, sitting) in due {
                match self.write_sitting(&who, &sitting, false, now).await {
                    Ok(()) | Err(Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Returns when somebody has begun to watch.
    pub(crate) async fn somebody_watches(&self) {
        self.shared.sittings.begun().await;
    }
}

/// Seconds after which a view of this video counts.
fn enough(video: &VideoProfile) -> f64 {
    if video.duration > 0.0 { COUNTS_AFTER_S.min(video.duration / 2.0) } else { COUNTS_AFTER_S }
}

fn check(body: &View) -> Result<()> {
    let session = body.session_id.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(8..=64).contains(&session.len()) || !session.iter().all(plain) {
        let detail = "8 to 64 letters, digits, '_' and '-'".to_owned();
        return Err(Error::Invalid { field: "sessionId", detail });
    }
    for (field, value) in [("positionSeconds", body.position_seconds), ("watchedSeconds", body.watched_seconds)] {
        if !value.is_finite() || value < 0.0 {
            return Err(Error::Invalid { field, detail: "seconds, not negative".to_owned() });
        }
    }
    Ok(())
}
