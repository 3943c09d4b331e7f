//! What is removed after the answer, a bounded piece at a time.

use kit::idempotency;
use proto::{ChannelId, ItemId, PlaylistId, Timestamp, UserId, VideoId};
use store::{Batch, Desc, Leased, Push, Scan, WriteError};

use super::Service;
use super::playlists::{playlist_deletion, touched, watch_later_id};
use crate::data::{
    CHANNELS, ITEM_COUNT, ITEM_RANKS, ITEMS, ITEMS_OF_VIDEO, IdKey, JOBS, Job, OWNED, PLAYLISTS, PLAYLISTS_OF,
    RETIRED_HANDLES, SAVED, SUBSCRIBERS, SUBSCRIPTIONS, retired_handle,
};
use crate::error::Result;

/// How many rows one batch removes.
const PIECE: usize = 40;

impl Service {
    /// A piece of a job's work. A job with more to do is pushed again in the batch that completes it.
    pub(crate) async fn remove(&self, leased: &Leased<Job>, now: Timestamp) -> Result<()> {
        let (batch, more) = match leased.job {
            Job::Announce(_) => (Batch::new(), false),
            Job::RemoveSubscribers(channel) => self.some_subscribers(channel, now)?,
            Job::RemoveItems(playlist, owner) => self.some_items(playlist, owner)?,
            Job::RemoveUser(user) => self.some_of_user(user, now).await?,
            Job::RemoveVideo(video) => (Batch::new(), self.some_places(video, now).await?),
        };
        let batch = batch.at(now.ms()).complete(leased);
        let batch = if more { batch.push(JOBS, Push::new(&leased.job)) } else { batch };
        self.store.write(batch).await?;
        Ok(())
    }

    fn some_subscribers(&self, channel: ChannelId, now: Timestamp) -> Result<(Batch, bool)> {
        let keys = self.store.scan_keys(SUBSCRIBERS, Scan::prefix(&channel.bytes())).take(PIECE);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch::new();
        for (_, user) in &keys {
            if let Some(ended) = self.unsubscription(UserId::from_bytes(*user), channel, now)? {
                batch = batch.merge(ended);
            }
        }
        Ok((batch, keys.len() == PIECE))
    }

    fn some_items(&self, playlist: PlaylistId, owner: UserId) -> Result<(Batch, bool)> {
        let id = playlist.bytes();
        let entries = self.store.scan(ITEMS, Scan::prefix(&id)).take(PIECE).collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch::new();
        for ((_, rank, item), record) in &entries {
            batch = batch
                .delete(ITEMS, &(id, *rank, *item))
                .delete(ITEM_RANKS, &(id, *item))
                .delete(SAVED, &(owner.bytes(), record.video.bytes(), *item))
                .delete(ITEMS_OF_VIDEO, &(record.video.bytes(), id, *item))
                .add(ITEM_COUNT, &id, -1);
        }
        Ok((batch, entries.len() == PIECE))
    }

    /// Takes a video out of some playlists, one place after the other: each is a change of that playlist.
    async fn some_places(&self, video: VideoId, now: Timestamp) -> Result<bool> {
        let places = self.store.scan_keys(ITEMS_OF_VIDEO, Scan::prefix(&video.bytes())).take(PIECE);
        let places = places.collect::<Result<Vec<_>, _>>()?;
        for (_, playlist, item) in &places {
            let _lock = self.lock(*playlist).await;
            let batch = self.place_removal(video, *playlist, ItemId::from_bytes(*item), now)?;
            match self.store.write(batch).await {
                Ok(_) | Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(!places.is_empty())
    }

    fn place_removal(&self, video: VideoId, playlist: IdKey, item: ItemId, now: Timestamp) -> Result<Batch> {
        let place = (playlist, item.bytes());
        let batch = Batch::new().at(now.ms()).delete(ITEMS_OF_VIDEO, &(video.bytes(), playlist, place.1));
        let (Some(of), Some(rank)) = (self.store.get(PLAYLISTS, &playlist)?, self.store.get(ITEM_RANKS, &place)?)
        else {
            // The playlist is about to go as a whole.
            return Ok(batch);
        };
        Ok(batch
            .assert_equal(PLAYLISTS, &playlist, &of)
            .put(PLAYLISTS, &playlist, &touched(&of, now))
            .delete(ITEMS, &(playlist, rank.into(), place.1))
            .delete(ITEM_RANKS, &place)
            .delete(SAVED, &(of.owner.bytes(), video.bytes(), place.1))
            .add(ITEM_COUNT, &playlist, -1))
    }

    /// One thing after the other: subscriptions, playlists, channels. Only what is certainly there is in the
    /// batch; what somebody else changes meanwhile is found by the next piece.
    async fn some_of_user(&self, user: UserId, now: Timestamp) -> Result<(Batch, bool)> {
        let id = user.bytes();
        let subscriptions = self.store.scan_keys(SUBSCRIPTIONS, Scan::prefix(&id)).take(PIECE);
        let mut batches = Vec::new();
        for (_, channel) in subscriptions.collect::<Result<Vec<(IdKey, IdKey)>, _>>()? {
            let channel = ChannelId::from_bytes(channel);
            let ended = self.unsubscription(user, channel, now)?;
            batches.extend(ended.map(|batch| batch.push(JOBS, Push::new(&Job::Announce(channel)))));
        }
        let playlists = self.store.scan_keys(PLAYLISTS_OF, Scan::prefix(&id)).take(PIECE);
        let mut playlists = playlists
            .map(|key| key.map(|(_, Desc(playlist))| PlaylistId::from_bytes(playlist)))
            .collect::<Result<Vec<_>, _>>()?;
        playlists.push(watch_later_id(user));
        for playlist in playlists {
            let record = self.store.get(PLAYLISTS, &playlist.bytes())?;
            batches.extend(record.map(|record| playlist_deletion(playlist, &record, now)));
        }
        for key in self.store.scan_keys(OWNED, Scan::prefix(&id)).take(PIECE).collect::<Result<Vec<_>, _>>()? {
            let record = self.store.get(CHANNELS, &key.1)?;
            batches.extend(record.map(|it| {
                let batch = self.channel_deletion(ChannelId::from_bytes(key.1), &it, now);
                batch.put(RETIRED_HANDLES, &retired_handle(&it.handle), &())
            }));
        }
        let (answers, _) = idempotency::forget_user(&self.store, user, PIECE)?;
        batches.extend(Some(answers).filter(|batch| !batch.is_empty()));
        let more = !batches.is_empty();
        for batch in batches {
            match self.store.write(batch).await {
                Ok(_) | Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((Batch::new(), more))
    }
}
