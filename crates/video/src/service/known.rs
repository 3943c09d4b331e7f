//! Videos as they are shown, decoded and kept in memory while they are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kit::Caller;
use moka::sync::Cache as Moka;
use proto::VideoId;
use proto::api::video::{Caption, Playback, PlaybackFile, Rendition, Video, VideoCard};
use proto::events::{ChannelProfile, VideoProfile};
use store::{ReadError, Store};

use super::Service;
use crate::data::{ABOUTS, About, CHANNELS, CHAPTERS, Chapters, VIDEOS, VideoRecord};
use crate::error::{Error, Result};

/// Memory for decoded videos, in bytes.
const VIDEOS_BYTES_MAX: u64 = 16 << 20;
/// Channels kept decoded.
const CHANNELS_MAX: u64 = 10_000;
/// Changes are counted by the last byte of the id.
const GENERATIONS: usize = 256;

/// A video with all its texts.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub record: VideoRecord,
    pub about: About,
    pub chapters: Chapters,
    /// What the rule of visibility reads.
    pub profile: VideoProfile,
}

impl Known {
    /// Roughly, in memory.
    fn size(&self) -> u32 {
        let texts = self.about.description.len() + self.about.tags.iter().map(|tag| tag.len() + 24).sum::<usize>();
        let lists = self.record.renditions.len() * 300 + self.record.captions.len() * 150 + self.chapters.len() * 100;
        u32::try_from(1_500 + texts + lists).unwrap_or(u32::MAX)
    }
}

/// What was read lately. A change counts a generation up before it drops the old value, so that a reader
/// who read just before cannot put the old value back for good.
pub(crate) struct Cache {
    videos: Moka<VideoId, Arc<Known>>,
    channels: Moka<[u8; 16], Arc<ChannelProfile>>,
    generations: [AtomicU64; GENERATIONS],
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            videos: Moka::builder()
                .weigher(|_, known: &Arc<Known>| known.size())
                .max_capacity(VIDEOS_BYTES_MAX)
                .build(),
            channels: Moka::new(CHANNELS_MAX),
            generations: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn generation(&self, id: [u8; 16]) -> &AtomicU64 {
        &self.generations[usize::from(id[15])]
    }

    fn read<K, T>(
        &self,
        cache: &Moka<K, Arc<T>>,
        key: K,
        bytes: [u8; 16],
        load: impl FnOnce() -> Result<Option<T>, ReadError>,
    ) -> Result<Option<Arc<T>>, ReadError>
    where
        K: Copy + Eq + std::hash::Hash + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        if let Some(value) = cache.get(&key) {
            return Ok(Some(value));
        }
        let before = self.generation(bytes).load(Ordering::SeqCst);
        let Some(value) = load()?.map(Arc::new) else { return Ok(None) };
        cache.insert(key, Arc::clone(&value));
        if self.generation(bytes).load(Ordering::SeqCst) != before {
            cache.invalidate(&key);
        }
        Ok(Some(value))
    }

    /// Forgets a video that has changed.
    pub(crate) fn forget(&self, id: VideoId) {
        self.generation(id.bytes()).fetch_add(1, Ordering::SeqCst);
        self.videos.invalidate(&id);
    }

    /// Forgets a channel that has changed.
    pub(crate) fn forget_channel(&self, id: [u8; 16]) {
        self.generation(id).fetch_add(1, Ordering::SeqCst);
        self.channels.invalidate(&id);
    }
}

/// A video from the store, with all its texts.
pub(super) fn load(store: &Store, id: VideoId) -> Result<Option<Known>, ReadError> {
    let Some(record) = store.get(VIDEOS, &id.bytes())? else { return Ok(None) };
    let about = store.text(ABOUTS, &id.bytes())?.and_then(|text| serde_json::from_str(&text).ok());
    let chapters = store.text(CHAPTERS, &id.bytes())?.and_then(|text| serde_json::from_str(&text).ok());
    let profile = record.profile(id);
    Ok(Some(Known { record, about: about.unwrap_or_default(), chapters: chapters.unwrap_or_default(), profile }))
}

impl Service {
    /// A video, whoever asks.
    pub(crate) fn known(&self, id: VideoId) -> Result<Option<Arc<Known>>, ReadError> {
        self.known.read(&self.known.videos, id, id.bytes(), || load(&self.store, id))
    }

    /// A channel, as far as its owner has told.
    pub(crate) fn channel(&self, id: proto::ChannelId) -> Result<Option<Arc<ChannelProfile>>, ReadError> {
        let key = id.bytes();
        self.known.read(&self.known.channels, key, key, || self.store.get(CHANNELS, &key))
    }

    /// A video that the caller may know of.
    pub(crate) fn visible(&self, id: VideoId, caller: &Caller) -> Result<Arc<Known>> {
        self.known(id)?
            .filter(|known| known.profile.visible_to(caller.user, caller.role))
            .ok_or(Error::NotFound("video"))
    }

    /// A video that is the caller's own; moderators and admins may act for the owner.
    pub(crate) fn own(&self, id: VideoId, caller: &Caller) -> Result<Arc<Known>> {
        caller.signed_in()?;
        let known = self.visible(id, caller)?;
        if caller.is(known.record.owner) || caller.role >= proto::api::account::Role::Moderator {
            return Ok(known);
        }
        Err(Error::NotOwner("video"))
    }

    /// One card, if the viewer may see it.
    pub(super) fn card(&self, id: VideoId, viewer: &Caller) -> Option<VideoCard> {
        let known = self.known(id).ok()??;
        known.profile.visible_to(viewer.user, viewer.role).then(|| self.card_of(id, &known))?
    }

    pub(super) fn card_of(&self, id: VideoId, known: &Known) -> Option<VideoCard> {
        let channel = self.channel(known.record.channel).ok()??;
        Some(VideoCard {
            id,
            title: known.record.title.clone(),
            channel: channel.card(),
            privacy: known.record.privacy,
            state: known.record.state,
            duration: known.record.duration,
            published_at: known.record.published_at,
            views: self.catalogue.counts(id).views,
            thumbnail_url: known.profile.thumbnail_url.clone(),
        })
    }

    /// The whole document, with what only the owner sees when the viewer is the owner.
    pub(super) fn document(&self, id: VideoId, known: &Known, viewer: &Caller) -> Result<Video> {
        let record = &known.record;
        let channel = self.channel(record.channel)?.ok_or(Error::NotFound("channel"))?;
        let counts = self.catalogue.counts(id);
        let is_owner = viewer.is(record.owner);
        let mut renditions: Vec<Rendition> = record.renditions.iter().map(rendition).collect();
        renditions.sort_by_key(|rendition| rendition.height);
        Ok(Video {
            id,
            title: record.title.clone(),
            description: known.about.description.clone(),
            channel: channel.card(),
            privacy: record.privacy,
            state: record.state,
            failure: record.failure.clone(),
            duration: record.duration,
            published_at: record.published_at,
            created_at: record.created_at,
            tags: known.about.tags.clone(),
            category: record.category.clone(),
            language: record.language.clone(),
            license: record.license.clone(),
            sensitive: record.sensitive,
            download: record.download,
            comment_policy: record.comment_policy,
            views: counts.views,
            likes: counts.likes,
            dislikes: counts.dislikes,
            comments: counts.comments,
            thumbnail_url: record.poster.as_ref().map(|_| format!("/media/{id}/poster.jpg")),
            captions: record.captions.iter().map(|one| caption(id, one)).collect(),
            chapters: known.chapters.clone(),
            playback: record.master.as_ref().map(|_| playback(id, &renditions, record.download || is_owner)),
            renditions,
            bytes: is_owner.then(|| record.bytes()),
        })
    }
}

fn rendition(one: &crate::media::Rendition) -> Rendition {
    Rendition {
        height: one.height,
        width: one.size.0,
        fps: one.frames_per_second,
        bytes: one.bytes,
        codecs: one.codecs.clone(),
    }
}

fn caption(id: VideoId, one: &crate::data::CaptionRecord) -> Caption {
    Caption {
        language: one.language.clone(),
        label: one.label.clone(),
        url: format!("/media/{id}/captions/{}.vtt", one.language),
    }
}

fn playback(id: VideoId, renditions: &[Rendition], with_original: bool) -> Playback {
    let file = |one: &Rendition| PlaybackFile {
        height: one.height,
        url: format!("/media/{id}/{}.mp4", one.height),
        bytes: one.bytes,
    };
    Playback {
        hls: format!("/media/{id}/master.m3u8"),
        files: renditions.iter().map(file).collect(),
        original: with_original.then(|| format!("/media/{id}/original")),
    }
}
