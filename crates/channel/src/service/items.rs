//! The items of a playlist and their order.

use kit::caller::Caller;
use kit::idempotency::{Idempotency, REMEMBERED, remember, remembered};
use kit::paging::PageQuery;
use kit::tombstone;
use proto::api::Page;
use proto::api::playlist::{AddItem, PatchItem, PlaylistItem};
use proto::events::ChannelEvent;
use proto::{ItemId, PlaylistId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Batch, Scan, Store, WriteError};

use super::playlists::touched;
use super::text::text;
use super::{Service, cut};
use crate::data::{
    GONE, ITEM_COUNT, ITEM_RANKS, ITEMS, ITEMS_OF_VIDEO, IdKey, ItemRecord, LOG, PLAYLISTS, PlaylistRecord, Rank,
    SAVED, while_there,
};
use crate::error::{Error, Result};
use crate::rank::{self, Spread};

const NOTE_MAX_CHARS: usize = 500;

/// A place in a list of items. The rank is where the item was, in case it is gone by now.
#[derive(Serialize, Deserialize)]
struct Place {
    item: ItemId,
    rank: Rank,
}

impl Service {
    /// Puts a video at the end of one's playlist.
    pub(crate) async fn add_item(
        &self,
        caller: &Caller,
        playlist: PlaylistId,
        key: Option<String>,
        body: AddItem,
        now: Timestamp,
    ) -> Result<PlaylistItem> {
        let user = caller.signed_in()?;
        let request = Idempotency::of(user, key, &format!("item {playlist}"), &body);
        if let Some(answer) = remembered(&self.store, request.as_ref(), now)? {
            return Ok(answer);
        }
        let record = checked(ItemRecord {
            video: body.video_id,
            start_seconds: body.start_seconds,
            end_seconds: body.end_seconds,
            note: body.note,
            added_at: now,
        })?;
        if self.visible_video(caller, body.video_id).await?.is_none() {
            return Err(Error::Invalid { field: "videoId", detail: "there is no such video".to_owned() });
        }
        let video = self.cards(caller, vec![record.video]).await?.remove(&record.video);
        let _lock = self.lock(playlist.bytes()).await;
        let (of, written) = self.own_playlist(caller, playlist)?;
        let item = ItemId::generate();
        let answer = shown(item, record.clone(), video);
        let batch = self.addition(playlist, &of, written, item, &record, now)?;
        let batch = remember(&self.store, batch, request.as_ref(), &answer, now)?;
        match self.store.write(batch).await {
            Ok(_) => Ok(answer),
            Err(WriteError::Assertion { table, .. }) if table == REMEMBERED.name() => {
                remembered(&self.store, request.as_ref(), now)?.ok_or(Error::Conflict)
            }
            Err(WriteError::Assertion { table, .. }) if table == GONE.name() => {
                Err(Error::NotFound("video or account"))
            }
            Err(WriteError::Bounds { .. }) => Err(Error::TooMany { what: "items", limit: self.limits.playlist_items }),
            Err(error) => Err(error.into()),
        }
    }

    fn addition(
        &self,
        playlist: PlaylistId,
        of: &PlaylistRecord,
        written: bool,
        item: ItemId,
        record: &ItemRecord,
        now: Timestamp,
    ) -> Result<Batch> {
        let id = playlist.bytes();
        let last = self.store.scan_keys(ITEMS, Scan::prefix(&id).reverse()).next().transpose()?;
        let rank = rank::between(last.map(|(_, rank, _)| rank), None).ok_or(Error::Conflict)?;
        let batch = changed(playlist, of, written, now);
        let batch = while_there(batch, of.owner).assert_absent(GONE, &tombstone::of_id(record.video.bytes())).put(
            ITEMS_OF_VIDEO,
            &(record.video.bytes(), id, item.bytes()),
            &(),
        );
        let batch = put(batch, id, rank, item.bytes(), record)
            .put(SAVED, &(of.owner.bytes(), record.video.bytes(), item.bytes()), &playlist)
            .add_bounded(ITEM_COUNT, &id, 1, 0..=self.limits.playlist_items)
            .append(LOG, &ChannelEvent::Saved { user: of.owner, video: record.video, at: now });
        Ok(batch)
    }

    /// A page of a playlist's items, in their order.
    pub(crate) async fn items(
        &self,
        caller: &Caller,
        playlist: PlaylistId,
        query: &PageQuery,
    ) -> Result<Page<PlaylistItem>> {
        self.playlist_for(caller, playlist)?;
        let limit = query.limit()?;
        let id = playlist.bytes();
        let mut scan = Scan::prefix(&id);
        if let Some(place) = query.position::<Place>()? {
            let rank: u128 = self.store.get(ITEM_RANKS, &(id, place.item.bytes()))?.unwrap_or(place.rank).into();
            scan = scan.after(&(id, rank, place.item.bytes()));
        }
        let entries = self.store.scan(ITEMS, scan).take(limit + 1).collect::<Result<Vec<_>, _>>()?;
        let page = cut(entries, limit, |((_, rank, item), _)| Place {
            item: ItemId::from_bytes(*item),
            rank: Rank::from(*rank),
        });
        let ids = page.items.iter().map(|(_, record)| record.video).collect();
        let cards = self.cards(caller, ids).await?;
        let show = |((_, _, item), record): ((IdKey, u128, IdKey), ItemRecord)| {
            let video = cards.get(&record.video).cloned();
            shown(ItemId::from_bytes(item), record, video)
        };
        Ok(Page { items: page.items.into_iter().map(show).collect(), next_page_token: page.next_page_token })
    }

    /// Moves or edits an item of one's playlist.
    pub(crate) async fn patch_item(
        &self,
        caller: &Caller,
        playlist: PlaylistId,
        item: ItemId,
        body: PatchItem,
        now: Timestamp,
    ) -> Result<PlaylistItem> {
        caller.signed_in()?;
        let edited = {
            let _lock = self.lock(playlist.bytes()).await;
            let (of, written) = self.own_playlist(caller, playlist)?;
            let (rank, record) = self.item(playlist, item)?;
            let edited = edited(record, &body)?;
            let batch = changed(playlist, &of, written, now);
            let batch = match body.position {
                None => batch.put(ITEMS, &(playlist.bytes(), rank, item.bytes()), &edited),
                Some(position) => self.moved(batch, playlist, (rank, item), edited.clone(), position).await?,
            };
            self.store.write(batch).await?;
            edited
        };
        let video = self.cards(caller, vec![edited.video]).await?.remove(&edited.video);
        Ok(shown(item, edited, video))
    }

    /// Takes an item out of its place and puts it before the one that is at `position` without it.
    async fn moved(
        &self,
        batch: Batch,
        playlist: PlaylistId,
        (rank, item): (u128, ItemId),
        record: ItemRecord,
        position: u32,
    ) -> Result<Batch> {
        let (id, item) = (playlist.bytes(), item.bytes());
        self.blocking(move |store: &Store| {
            let keys = store.scan_keys(ITEMS, Scan::prefix(&id));
            let keys = keys.map(|key| key.map(|(_, rank, other)| (rank, other)));
            let mut others = keys.collect::<Result<Vec<_>, _>>()?;
            others.retain(|(_, other)| *other != item);
            let gap = usize::try_from(position).unwrap_or(usize::MAX).min(others.len());
            let batch = batch.delete(ITEMS, &(id, rank, item));
            let before = gap.checked_sub(1).map(|index| others[index].0);
            if let Some(middle) = rank::between(before, others.get(gap).map(|(rank, _)| *rank)) {
                return Ok(put(batch, id, middle, item, &record));
            }
            let ranks: Vec<u128> = others.iter().map(|(rank, _)| *rank).collect();
            // There is room for ten thousand items in 128 bits; without any the item stays where it is.
            let Some(Spread { start, moved, middle }) = rank::spread(&ranks, gap) else {
                return Ok(put(batch, id, rank, item, &record));
            };
            let batch = respread(store, batch, id, &others[start..], &moved)?;
            Ok(put(batch, id, middle, item, &record))
        })
        .await
    }

    /// Takes an item out of one's playlist.
    pub(crate) async fn delete_item(
        &self,
        caller: &Caller,
        playlist: PlaylistId,
        item: ItemId,
        now: Timestamp,
    ) -> Result<()> {
        let _lock = self.lock(playlist.bytes()).await;
        let (of, written) = self.own_playlist(caller, playlist)?;
        let (rank, record) = self.item(playlist, item)?;
        let (id, item) = (playlist.bytes(), item.bytes());
        let batch = changed(playlist, &of, written, now)
            .delete(ITEMS, &(id, rank, item))
            .delete(ITEM_RANKS, &(id, item))
            .delete(SAVED, &(of.owner.bytes(), record.video.bytes(), item))
            .delete(ITEMS_OF_VIDEO, &(record.video.bytes(), id, item))
            .add(ITEM_COUNT, &id, -1);
        self.store.write(batch).await?;
        Ok(())
    }

    fn item(&self, playlist: PlaylistId, item: ItemId) -> Result<(u128, ItemRecord)> {
        let (id, item) = (playlist.bytes(), item.bytes());
        let rank: u128 = self.store.get(ITEM_RANKS, &(id, item))?.ok_or(Error::NotFound("item"))?.into();
        let record = self.store.get(ITEMS, &(id, rank, item))?.ok_or(Error::NotFound("item"))?;
        Ok((rank, record))
    }
}

/// A batch that changes a playlist, if nobody else has changed it since.
fn changed(playlist: PlaylistId, of: &PlaylistRecord, written: bool, now: Timestamp) -> Batch {
    let batch = Batch::new().at(now.ms());
    let batch = match written {
        true => batch.assert_equal(PLAYLISTS, &playlist.bytes(), of),
        false => batch.assert_absent(PLAYLISTS, &playlist.bytes()),
    };
    batch.put(PLAYLISTS, &playlist.bytes(), &touched(of, now))
}

fn put(batch: Batch, playlist: IdKey, rank: u128, item: IdKey, record: &ItemRecord) -> Batch {
    batch.put(ITEMS, &(playlist, rank, item), record).put(ITEM_RANKS, &(playlist, item), &Rank::from(rank))
}

/// Gives the first of `others` their new ranks.
fn respread(
    store: &Store,
    mut batch: Batch,
    playlist: IdKey,
    others: &[(u128, IdKey)],
    ranks: &[u128],
) -> Result<Batch, store::ReadError> {
    for ((old, other), new) in others.iter().zip(ranks) {
        let Some(record) = store.get(ITEMS, &(playlist, *old, *other))? else { continue };
        batch = put(batch.delete(ITEMS, &(playlist, *old, *other)), playlist, *new, *other, &record);
    }
    Ok(batch)
}

fn edited(mut record: ItemRecord, body: &PatchItem) -> Result<ItemRecord> {
    if let Some(start) = body.start_seconds {
        record.start_seconds = start;
    }
    if let Some(end) = body.end_seconds {
        record.end_seconds = end;
    }
    if let Some(note) = &body.note {
        record.note.clone_from(note);
    }
    checked(record)
}

fn checked(mut record: ItemRecord) -> Result<ItemRecord> {
    let seconds = |field, value: Option<f64>| match value {
        Some(value) if !value.is_finite() || value < 0.0 => {
            Err(Error::Invalid { field, detail: "seconds from the start, not negative".to_owned() })
        }
        _ => Ok(()),
    };
    seconds("startSeconds", record.start_seconds)?;
    seconds("endSeconds", record.end_seconds)?;
    if let (Some(start), Some(end)) = (record.start_seconds, record.end_seconds)
        && end <= start
    {
        return Err(Error::Invalid { field: "endSeconds", detail: "later than startSeconds".to_owned() });
    }
    let note = record.note.map(|note| text("note", &note, 0, NOTE_MAX_CHARS)).transpose()?;
    record.note = note.filter(|note| !note.is_empty());
    Ok(record)
}

fn shown(id: ItemId, record: ItemRecord, video: Option<proto::api::video::VideoCard>) -> PlaylistItem {
    PlaylistItem {
        id,
        video,
        start_seconds: record.start_seconds,
        end_seconds: record.end_seconds,
        note: record.note,
        added_at: record.added_at,
    }
}
