//! What somebody watched.

use kit::Caller;
use kit::paging::{PageQuery, encode_token};
use proto::api::Page;
use proto::api::interaction::{HistoryItem, HistoryPaused};
use proto::events::InteractionEvent;
use proto::{Timestamp, UserId, VideoId};
use store::{Batch, Desc, Scan, WriteError};

use super::sittings::Sitting;
use super::{ATTEMPTS, Service};
use crate::data::{
    HISTORY, HISTORY_BY_TIME, HISTORY_COUNT, HISTORY_PAUSED, HistoryRecord, IdKey, LOG, WATCHERS, while_there,
};
use crate::error::{Error, Result};

/// Videos in somebody's history; the oldest go first.
const HISTORY_MAX: i64 = 5_000;

/// How often a page is filled up with further videos when some may no longer be seen.
const REFILLS: usize = 5;

/// How many rows one batch removes.
const PIECE: usize = 50;

/// A place in the history: when, and which video.
type Place = (i64, VideoId);

impl Service {
    /// A page of the caller's history, newest first.
    pub(crate) async fn history(&self, caller: &Caller, query: &PageQuery) -> Result<Page<HistoryItem>> {
        let user = caller.signed_in()?;
        let limit = query.limit()?;
        let mut after = query.position::<Place>()?;
        let mut items = Vec::new();
        for _ in 0..REFILLS {
            let wanted = limit - items.len();
            let places = self.places(user, after, wanted + 1)?;
            let ids = places.iter().take(wanted).map(|(_, video)| *video).collect();
            let mut cards = self.peers.cards(caller, ids).await?;
            for (at_ms, id) in places.iter().take(wanted) {
                let record = self.store.get(HISTORY, &(user.bytes(), id.bytes()))?;
                let (Some(video), Some(record)) = (cards.remove(id), record) else { continue };
                let watched_at = Timestamp::from_ms(*at_ms);
                items.push(HistoryItem { video, watched_at, position_seconds: record.position_seconds });
            }
            if places.len() <= wanted {
                return Ok(Page { items, next_page_token: None });
            }
            after = wanted.checked_sub(1).and_then(|last| places.get(last).copied());
            if items.len() >= limit {
                break;
            }
        }
        Ok(Page { items, next_page_token: after.map(|place| encode_token(&place)) })
    }

    fn places(&self, user: UserId, after: Option<Place>, limit: usize) -> Result<Vec<Place>> {
        let mut scan = Scan::prefix(&user.bytes());
        if let Some((at_ms, video)) = after {
            scan = scan.after(&(user.bytes(), Desc(at_ms), video.bytes()));
        }
        let keys = self.store.scan_keys(HISTORY_BY_TIME, scan).take(limit);
        let places = keys.map(|key| key.map(|(_, Desc(at_ms), video)| (at_ms, VideoId::from_bytes(video))));
        Ok(places.collect::<Result<_, _>>()?)
    }

    /// Puts a video on top of somebody's history.
    pub(super) fn remembered_in_history(
        &self,
        batch: Batch,
        user: UserId,
        video: VideoId,
        sitting: &Sitting,
    ) -> Result<Batch> {
        let (key, id) = ((user.bytes(), video.bytes()), user.bytes());
        let at_ms = sitting.seen_at.ms();
        let batch = match self.store.get(HISTORY, &key)? {
            Some(old) => {
                batch.assert_equal(HISTORY, &key, &old).delete(HISTORY_BY_TIME, &(id, Desc(old.watched_at.ms()), key.1))
            }
            None => self.with_room(batch, id)?.assert_absent(HISTORY, &key).put(WATCHERS, &(key.1, id), &()),
        };
        let record = HistoryRecord { watched_at: sitting.seen_at, position_seconds: sitting.position_seconds };
        Ok(batch.put(HISTORY, &key, &record).put(HISTORY_BY_TIME, &(id, Desc(at_ms), key.1), &()))
    }

    /// Adds one to somebody's history; the oldest video makes room.
    fn with_room(&self, batch: Batch, user: IdKey) -> Result<Batch> {
        if self.store.count(HISTORY_COUNT, &user)? < HISTORY_MAX {
            return Ok(batch.add(HISTORY_COUNT, &user, 1));
        }
        let oldest = self.store.scan_keys(HISTORY_BY_TIME, Scan::prefix(&user).reverse()).next().transpose()?;
        let oldest = match oldest {
            Some((_, _, video)) => self.forgotten(user, VideoId::from_bytes(video))?,
            None => None,
        };
        Ok(batch.add(HISTORY_COUNT, &user, 1).merge(oldest.unwrap_or_default()))
    }

    /// The batch that takes a video out of somebody's history, if it is there.
    pub(super) fn forgotten(&self, user: IdKey, video: VideoId) -> Result<Option<Batch>> {
        let key = (user, video.bytes());
        let Some(record) = self.store.get(HISTORY, &key)? else { return Ok(None) };
        let batch = Batch::new()
            .assert_equal(HISTORY, &key, &record)
            .delete(HISTORY, &key)
            .delete(HISTORY_BY_TIME, &(user, Desc(record.watched_at.ms()), key.1))
            .delete(WATCHERS, &(key.1, user))
            .add(HISTORY_COUNT, &user, -1);
        Ok(Some(batch))
    }

    /// Takes a video out of the caller's history. Again changes nothing.
    pub(crate) async fn forget(&self, caller: &Caller, video: VideoId, now: Timestamp) -> Result<()> {
        let user = caller.signed_in()?;
        for _ in 0..ATTEMPTS {
            self.shared.sittings.forget(user, Some(video));
            let Some(batch) = self.forgotten(user.bytes(), video)? else { return Ok(()) };
            let event = InteractionEvent::Forgotten { user, video: Some(video) };
            match self.store.write(batch.at(now.ms()).append(LOG, &event)).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// Empties the caller's history.
    pub(crate) async fn clear_history(&self, caller: &Caller, now: Timestamp) -> Result<()> {
        let user = caller.signed_in()?;
        self.clear_history_of(user, now).await?;
        let event = InteractionEvent::Forgotten { user, video: None };
        self.store.write(Batch::new().at(now.ms()).append(LOG, &event)).await?;
        Ok(())
    }

    /// Empties somebody's history, a bounded piece at a time.
    pub(super) async fn clear_history_of(&self, user: UserId, now: Timestamp) -> Result<()> {
        let mut failures = 0;
        while failures < ATTEMPTS {
            self.shared.sittings.forget(user, None);
            let places = self.places(user, None, PIECE)?;
            let mut batch = Batch::new().at(now.ms());
            for (_, video) in places {
                batch = batch.merge(self.forgotten(user.bytes(), video)?.unwrap_or_default());
            }
            if batch.is_empty() {
                return Ok(());
            }
            match self.store.write(batch).await {
                Ok(_) => failures = 0,
                Err(WriteError::Assertion { .. }) => {
                    failures += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// Whether the caller's history is paused.
    pub(crate) fn history_paused(&self, caller: &Caller) -> Result<HistoryPaused> {
        let user = caller.signed_in()?;
        Ok(HistoryPaused { paused: self.store.contains(HISTORY_PAUSED, &user.bytes())? })
    }

    /// Pauses the caller's history, or goes on with it.
    pub(crate) async fn pause_history(&self, caller: &Caller, body: HistoryPaused) -> Result<HistoryPaused> {
        let user = caller.signed_in()?;
        let batch = match body.paused {
            true => while_there(Batch::new(), user).put(HISTORY_PAUSED, &user.bytes(), &()),
            false => Batch::new().delete(HISTORY_PAUSED, &user.bytes()),
        };
        match self.store.write(batch).await {
            Ok(_) => {}
            Err(WriteError::Assertion { .. }) => return Err(Error::NotFound("account")),
            Err(error) => return Err(error.into()),
        }
        if body.paused {
            self.shared.sittings.forget(user, None);
        }
        Ok(body)
    }
}
