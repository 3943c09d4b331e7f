//! The service's tables as search and recommendations read them: never through the cache of decoded videos,
//! which is told of a change only after the event log.

use proto::VideoId;
use store::{ReadError, Scan, Store};

use crate::data::{ABOUTS, About, CHANNELS, COUNTS, VIDEOS, VideoRecord};
use crate::search::{Document, Library};

/// The videos of a store.
pub(super) struct Shelves(pub(super) Store);

impl Shelves {
    fn with_texts(&self, id: VideoId, record: VideoRecord) -> Result<Document, ReadError> {
        let key = id.bytes();
        let about: About =
            self.0.text(ABOUTS, &key)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let channel = self.0.get(CHANNELS, &record.channel.bytes())?;
        let (channel_name, channel_handle) = channel.map(|channel| (channel.name, channel.handle)).unwrap_or_default();
        let counts = self.0.get(COUNTS, &key)?.unwrap_or_default();
        Ok(Document {
            profile: record.profile(id),
            description: about.description,
            tags: about.tags,
            category: record.category,
            language: record.language,
            channel_name,
            channel_handle,
            views: counts.views,
            likes: counts.likes,
            dislikes: counts.dislikes,
        })
    }
}

impl Library for Shelves {
    fn document(&self, id: VideoId) -> Result<Option<Document>, ReadError> {
        let record = self.0.get(VIDEOS, &id.bytes())?;
        record.map(|record| self.with_texts(id, record)).transpose()
    }

    fn documents(&self, after: Option<VideoId>, limit: usize) -> Result<Vec<Document>, ReadError> {
        let scan = after.map_or_else(Scan::all, |after| Scan::all().after(&after.bytes()));
        let records = self.0.scan(VIDEOS, scan).take(limit);
        records.map(|entry| entry.and_then(|(id, record)| self.with_texts(VideoId::from_bytes(id), record))).collect()
    }
}
