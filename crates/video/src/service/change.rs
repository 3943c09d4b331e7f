//! The one way in which a video changes: record, lists, what others are told, and what is kept in memory
//! go together.

use std::sync::Arc;

use proto::api::video::VideoState;
use proto::events::VideoEvent;
use proto::{Timestamp, UserId, VideoId};
use store::{Batch, Desc, WriteError};

use super::Service;
use super::known::{self, Known};
use crate::data::{
    ABOUTS, About, BYTES_USED, CHAPTERS, LISTED, LOG, ListedKey, ListedRecord, OF_CHANNEL, OWNED, VIDEOS, VideoRecord,
};
use crate::error::{Error, Result};

/// How often a change is tried again when somebody else was quicker.
const ATTEMPTS: usize = 16;
/// An account that is nobody's stands for everyone who is signed in.
const ANYBODY: UserId = UserId::from_bytes([0; 16]);

/// What becomes of a video, and what is written with it.
#[derive(Debug)]
pub(super) struct Change {
    pub record: VideoRecord,
    /// New texts, where they change.
    pub about: Option<About>,
    pub chapters: Option<crate::data::Chapters>,
    /// Tell the others even if nothing changed that they keep.
    pub tell: bool,
    /// Follows the `VideoChanged` that this leads to.
    pub events: Vec<VideoEvent>,
    /// Written in the same batch.
    pub also: Batch,
}

impl Change {
    pub(super) fn to(record: VideoRecord) -> Self {
        Self { record, about: None, chapters: None, tell: false, events: Vec::new(), also: Batch::new() }
    }
}

impl Service {
    /// Reads the video, asks `make` what becomes of it, and writes that; again when somebody else was quicker.
    ///
    /// # Errors
    /// `NotFound` when it is gone, and what `make` says.
    pub(super) async fn change(
        &self,
        id: VideoId,
        now: Timestamp,
        make: impl Fn(&Known) -> Result<Change> + Send,
    ) -> Result<Arc<Known>> {
        for _ in 0..ATTEMPTS {
            let guard = self.lock(id).await;
            let old = known::load(&self.store, id)?.ok_or(Error::NotFound("video"))?;
            let mut change = make(&old)?;
            publish(&mut change.record, now);
            let also = std::mem::take(&mut change.also);
            let batch = batch_of(id, &old, &change, now).merge(also);
            match self.store.write(batch).await {
                Ok(_) => {
                    let new = changed(id, old, change);
                    self.known.forget(id);
                    self.catalogue.set(id, listed(&new.record, &new.about));
                    return Ok(Arc::new(new));
                }
                Err(WriteError::Assertion { table, .. }) if table == VIDEOS.name() => {}
                Err(error) => return Err(error.into()),
            }
            drop(guard);
        }
        Err(Error::Conflict)
    }

    /// Adds a new video to `batch`.
    pub(super) fn create(id: VideoId, record: &VideoRecord, about: &About, batch: Batch) -> Batch {
        let key = id.bytes();
        let text = serde_json::to_string(about).unwrap_or_default();
        batch
            .assert_absent(VIDEOS, &key)
            .put(VIDEOS, &key, record)
            .put_text(ABOUTS, &key, &text)
            .put(OWNED, &(record.owner.bytes(), Desc(key)), &())
            .put(OF_CHANNEL, &(record.channel.bytes(), Desc(key)), &())
            .append(LOG, &VideoEvent::VideoChanged { video: record.profile(id) })
    }

    /// Takes a video out of everything that is kept in memory.
    pub(super) fn forget(&self, id: VideoId) {
        self.known.forget(id);
        self.catalogue.set(id, None);
        self.catalogue.set_counts(id, None);
    }
}

/// Notes when others could first watch it.
fn publish(record: &mut VideoRecord, now: Timestamp) {
    if record.state != VideoState::Published {
        return;
    }
    record.published_at.get_or_insert(now);
    let visible = record.profile(VideoId::from_bytes([0; 16])).listed_for(Some(ANYBODY));
    if visible && !record.announced {
        record.announced = true;
        record.published_at = Some(now);
    }
}

fn changed(id: VideoId, old: Known, change: Change) -> Known {
    Known {
        profile: change.record.profile(id),
        record: change.record,
        about: change.about.unwrap_or(old.about),
        chapters: change.chapters.unwrap_or(old.chapters),
    }
}

fn batch_of(id: VideoId, old: &Known, change: &Change, now: Timestamp) -> Batch {
    let key = id.bytes();
    let record = &change.record;
    let about = change.about.as_ref().unwrap_or(&old.about);
    let mut batch = Batch::new().at(now.ms()).assert_equal(VIDEOS, &key, &old.record).put(VIDEOS, &key, record);
    if let Some(about) = &change.about {
        batch = batch.put_text(ABOUTS, &key, &serde_json::to_string(about).unwrap_or_default());
    }
    if let Some(chapters) = &change.chapters {
        batch = batch.put_text(CHAPTERS, &key, &serde_json::to_string(chapters).unwrap_or_default());
    }
    if record.channel != old.record.channel {
        batch = batch.delete(OF_CHANNEL, &(old.record.channel.bytes(), Desc(key))).put(
            OF_CHANNEL,
            &(record.channel.bytes(), Desc(key)),
            &(),
        );
    }
    batch = relist(batch, id, (&old.record, &old.about), (record, about));
    let grown = signed(record.bytes()) - signed(old.record.bytes());
    if grown != 0 {
        batch = batch.add(BYTES_USED, &record.owner.bytes(), grown);
    }
    tell(batch, id, old, change)
}

/// Bytes as the counters have them.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn relist(batch: Batch, id: VideoId, old: (&VideoRecord, &About), new: (&VideoRecord, &About)) -> Batch {
    let (before, after) = (listed(old.0, old.1), listed(new.0, new.1));
    if before == after {
        return batch;
    }
    let batch = before.iter().fold(batch, |batch, (at, _)| batch.delete(LISTED, &listed_key(id, *at)));
    after.iter().fold(batch, |batch, (at, record)| batch.put(LISTED, &listed_key(id, *at), record))
}

pub(super) fn listed_key(id: VideoId, published_at: Timestamp) -> ListedKey {
    (Desc(published_at.ms()), Desc(id.bytes()))
}

/// A video's line in the lists, if lists may name it.
pub(super) fn listed(record: &VideoRecord, about: &About) -> Option<(Timestamp, ListedRecord)> {
    let profile = record.profile(VideoId::from_bytes([0; 16]));
    let published_at = record.published_at.filter(|_| profile.listed_for(Some(ANYBODY)))?;
    let line = ListedRecord {
        channel: record.channel,
        internal: !profile.listed_for(None),
        category: record.category.clone(),
        tags: about.tags.iter().map(|tag| tag.to_lowercase()).collect(),
    };
    Some((published_at, line))
}

fn tell(mut batch: Batch, id: VideoId, old: &Known, change: &Change) -> Batch {
    let profile = change.record.profile(id);
    if change.tell || profile != old.profile {
        batch = batch.append(LOG, &VideoEvent::VideoChanged { video: profile.clone() });
    }
    if change.record.announced && !old.record.announced {
        batch = batch.append(LOG, &VideoEvent::VideoPublished { video: profile });
    }
    change.events.iter().fold(batch, |batch, event| batch.append(LOG, event))
}
