//! Who watches what at the moment: in memory, so that a heartbeat is no write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::events::Viewer;
use proto::{Timestamp, UserId, VideoId};
use tokio::sync::Notify;

/// Sittings remembered at once. Beyond that views still count; where one was is written at once.
const SITTINGS_MAX: usize = 50_000;

/// A viewer's sitting in front of a video is written down once in this time.
pub(super) const WRITE_EVERY_MS: i64 = 60_000;

/// A sitting without a heartbeat for this long is over.
const OVER_AFTER_MS: i64 = 10 * 60_000;

/// Sittings that are written down in one go.
const DUE_AT_ONCE: usize = 500;

/// Who watches what.
pub(super) type Who = (Viewer, VideoId);

/// Where somebody is in a video.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sitting {
    pub watched_seconds: f64,
    pub position_seconds: f64,
    pub seen_at: Timestamp,
    /// When it was last written down; at first, when it began.
    pub written_at: Timestamp,
    /// Whether there is something to write down.
    pub changed: bool,
    /// When the view was counted last, if that is known.
    pub counted_at: Option<Timestamp>,
}

/// All sittings.
#[derive(Debug, Default)]
pub(super) struct Sittings {
    all: Mutex<HashMap<Who, Sitting>>,
    begun: Notify,
}

impl Sittings {
    fn all(&self) -> MutexGuard<'_, HashMap<Who, Sitting>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a heartbeat and answers the sitting as it is now.
    pub(super) fn beat(&self, who: &Who, watched_seconds: f64, position_seconds: f64, now: Timestamp) -> Sitting {
        let mut all = self.all();
        if let Some(sitting) = all.get_mut(who) {
            sitting.watched_seconds = watched_seconds;
            sitting.position_seconds = position_seconds;
            sitting.seen_at = now;
            sitting.changed = true;
            return sitting.clone();
        }
        let full = all.len() >= SITTINGS_MAX;
        let written_at = if full { now.plus_ms(-WRITE_EVERY_MS) } else { now };
        let sitting =
            Sitting { watched_seconds, position_seconds, seen_at: now, written_at, changed: true, counted_at: None };
        if !full {
            all.insert(who.clone(), sitting.clone());
            self.begun.notify_one();
        }
        sitting
    }

    /// Notes that a sitting was written down as it was at `seen_at`.
    pub(super) fn written(&self, who: &Who, seen_at: Timestamp, now: Timestamp) {
        if let Some(sitting) = self.all().get_mut(who) {
            sitting.written_at = now;
            sitting.changed = sitting.seen_at != seen_at;
        }
    }

    /// Notes when the view was counted.
    pub(super) fn counted(&self, who: &Who, at: Timestamp) {
        if let Some(sitting) = self.all().get_mut(who) {
            sitting.counted_at = Some(at);
        }
    }

    /// Where somebody is in a video.
    pub(super) fn position(&self, user: UserId, video: VideoId) -> Option<f64> {
        self.all().get(&(Viewer::User(user), video)).map(|sitting| sitting.position_seconds)
    }

    /// Forgets where somebody is, in one video or in all.
    pub(super) fn forget(&self, user: UserId, video: Option<VideoId>) {
        let viewer = Viewer::User(user);
        self.all().retain(|(who, what), _| *who != viewer || video.is_some_and(|video| video != *what));
    }

    /// Some of those that have to be written down: nothing came for a while. `all`: all of them.
    pub(super) fn due(&self, now: Timestamp, all: bool) -> Vec<(Who, Sitting)> {
        let due = |sitting: &Sitting| sitting.changed && (all || now.since(sitting.written_at) >= WRITE_EVERY_MS);
        let sittings = self.all();
        let due = sittings.iter().filter(|(_, sitting)| due(sitting)).take(DUE_AT_ONCE);
        due.map(|(who, sitting)| (who.clone(), sitting.clone())).collect()
    }

    /// Forgets those that are over, and says whether any are left.
    pub(super) fn tidy(&self, now: Timestamp) -> bool {
        let mut all = self.all();
        all.retain(|_, sitting| sitting.changed || now.since(sitting.seen_at) < OVER_AFTER_MS);
        if all.is_empty() {
            all.shrink_to_fit();
        }
        !all.is_empty()
    }

    /// Returns when somebody has begun to watch since it last returned.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }
}
