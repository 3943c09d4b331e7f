//! The videos as the recommender knows them, and what their texts have in common.

use proto::api::account::Role;
use proto::events::VideoProfile;
use proto::{ChannelId, UserId, VideoId};
use rustc_hash::FxHashMap;

use super::weights::{
    COMMON_TOPIC_LEAST, COMMON_TOPIC_SHARE, DESCRIPTION_WORDS_MAX, PRIOR_DISLIKES, PRIOR_LIKES, TOPIC_VIDEOS_MAX,
    TOPICS_MAX,
};
use crate::search::{Document, topics};

/// A video's place in the model.
pub(super) type ItemAt = u32;
type Topic = u32;

/// What is shown of a video and decides who sees it.
pub(super) struct Known {
    pub(super) profile: VideoProfile,
    pub(super) channel_name: String,
    pub(super) views: u64,
    likes: u64,
    dislikes: u64,
}

/// A video.
pub(super) struct Item {
    pub(super) id: VideoId,
    /// Absent when it is gone, or when somebody was quicker than its own event.
    pub(super) known: Option<Known>,
    /// How often each of its words stands in it, weighted by where.
    topics: Box<[(Topic, f32)]>,
    /// The length of that vector, as of the last [`Items::measure`].
    length: f32,
    /// Viewers, decayed: for what is popular, and for what is trending.
    pub(super) popular: f64,
    pub(super) trending: f64,
}

impl Item {
    fn new(id: VideoId) -> Self {
        Self { id, known: None, topics: Box::default(), length: 0.0, popular: 0.0, trending: 0.0 }
    }

    pub(super) fn is_listed_for(&self, viewer: Option<UserId>) -> bool {
        self.known.as_ref().is_some_and(|known| known.profile.listed_for(viewer))
    }

    /// Whether its title may be told to `viewer`.
    pub(super) fn is_visible_to(&self, viewer: Option<UserId>) -> bool {
        let role = if viewer.is_some() { Role::User } else { Role::Guest };
        self.known.as_ref().is_some_and(|known| known.profile.visible_to(viewer, role))
    }

    pub(super) fn channel(&self) -> Option<ChannelId> {
        self.known.as_ref().map(|known| known.profile.channel)
    }

    pub(super) fn title(&self) -> &str {
        self.known.as_ref().map_or("", |known| &known.profile.title)
    }

    pub(super) fn duration_seconds(&self) -> f64 {
        self.known.as_ref().map_or(0.0, |known| known.profile.duration)
    }

    /// How well it is liked, 0–1, as if everybody had a few votes to begin with.
    pub(super) fn quality(&self) -> f64 {
        let (likes, dislikes) = self.known.as_ref().map_or((0, 0), |known| (known.likes, known.dislikes));
        let likes = likes as f64 + PRIOR_LIKES;
        likes / (likes + dislikes as f64 + PRIOR_DISLIKES)
    }
}

/// All videos.
#[derive(Default)]
pub(super) struct Items {
    items: Vec<Item>,
    by_id: FxHashMap<VideoId, ItemAt>,
    by_topic: FxHashMap<Topic, Vec<(ItemAt, f32)>>,
    with_topics: usize,
    /// How many had topics when all were measured.
    measured: usize,
}

impl Items {
    pub(super) fn get(&self, at: ItemAt) -> &Item {
        &self.items[at as usize]
    }

    pub(super) fn get_mut(&mut self, at: ItemAt) -> &mut Item {
        &mut self.items[at as usize]
    }

    pub(super) fn find(&self, id: VideoId) -> Option<ItemAt> {
        self.by_id.get(&id).copied()
    }

    /// The place of a video, made when there is none yet.
    pub(super) fn place(&mut self, id: VideoId) -> ItemAt {
        let next = ItemAt::try_from(self.items.len()).unwrap_or(ItemAt::MAX);
        *self.by_id.entry(id).or_insert_with(|| {
            self.items.push(Item::new(id));
            next
        })
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (ItemAt, &Item)> {
        (0..).zip(&self.items)
    }

    /// Takes in what is known of a video, in the place of what was.
    pub(super) fn put(&mut self, document: &Document) -> ItemAt {
        let at = self.place(document.profile.id);
        self.remove_topics(at);
        let topics = topics_of(document);
        for (topic, weight) in &topics {
            self.by_topic.entry(*topic).or_default().push((at, *weight));
        }
        self.with_topics += usize::from(!topics.is_empty());
        let item = self.get_mut(at);
        item.topics = topics.into();
        item.known = Some(Known {
            profile: document.profile.clone(),
            channel_name: document.channel_name.clone(),
            views: document.views,
            likes: document.likes,
            dislikes: document.dislikes,
        });
        // How much words tell changes slowly: all are measured again when there are a tenth more videos.
        if self.with_topics > self.measured + self.measured / 10 {
            self.measure();
        } else {
            self.get_mut(at).length = self.length(at);
        }
        at
    }

    /// Measures all videos' words anew.
    pub(super) fn measure(&mut self) {
        self.measured = self.with_topics;
        for at in 0..ItemAt::try_from(self.items.len()).unwrap_or(ItemAt::MAX) {
            self.get_mut(at).length = self.length(at);
        }
    }

    /// Forgets a video that is gone. Its place stays, since others refer to it.
    pub(super) fn remove(&mut self, id: VideoId) {
        if let Some(at) = self.find(id) {
            self.remove_topics(at);
            self.get_mut(at).known = None;
        }
    }

    pub(super) fn count(&mut self, id: VideoId, views: u64, likes: u64, dislikes: u64) {
        let Some(at) = self.find(id) else { return };
        if let Some(known) = &mut self.get_mut(at).known {
            (known.views, known.likes, known.dislikes) = (views, likes, dislikes);
        }
    }

    fn remove_topics(&mut self, at: ItemAt) {
        let topics = std::mem::take(&mut self.get_mut(at).topics);
        self.with_topics -= usize::from(!topics.is_empty());
        for (topic, _) in &topics {
            if let Some(items) = self.by_topic.get_mut(topic) {
                items.retain(|(item, _)| *item != at);
                if items.is_empty() {
                    self.by_topic.remove(topic);
                }
            }
        }
    }

    /// How much a word tells; 0 for what is in too many videos.
    fn telling(&self, topic: Topic) -> f32 {
        let having = self.by_topic.get(&topic).map_or(0, Vec::len);
        let share = having as f32 / self.with_topics.max(1) as f32;
        if having > COMMON_TOPIC_LEAST && share > COMMON_TOPIC_SHARE {
            return 0.0;
        }
        ((self.with_topics + 1) as f32 / having.max(1) as f32).ln().max(0.0)
    }

    fn length(&self, at: ItemAt) -> f32 {
        let weights = self.get(at).topics.iter().map(|(topic, weight)| (weight * self.telling(*topic)).powi(2));
        weights.sum::<f32>().sqrt()
    }

    /// The videos whose texts are like this one's, with the cosine of their words.
    pub(super) fn similar(&self, at: ItemAt) -> FxHashMap<ItemAt, f32> {
        let mut products: FxHashMap<ItemAt, f32> = FxHashMap::default();
        for (topic, weight) in &self.get(at).topics {
            let telling = self.telling(*topic);
            let others = self.by_topic.get(topic).map_or(&[][..], Vec::as_slice);
            if telling <= 0.0 || others.len() > TOPIC_VIDEOS_MAX {
                continue;
            }
            for (other, theirs) in others.iter().filter(|(other, _)| *other != at) {
                *products.entry(*other).or_default() += weight * theirs * telling * telling;
            }
        }
        let own = self.get(at).length;
        products.retain(|other, product| {
            let both = own * self.get(*other).length;
            *product = if both > 0.0 { *product / both } else { 0.0 };
            *product > 0.02
        });
        products
    }
}

/// The words of a video that tell most of it: title, tags, the beginning of the description, category, channel.
fn topics_of(document: &Document) -> Vec<(Topic, f32)> {
    let language = &document.language;
    let mut weights: FxHashMap<String, f32> = FxHashMap::default();
    let mut add = |text: &str, weight: f32, words_max: usize| {
        for topic in topics(text, language, words_max) {
            *weights.entry(topic).or_default() += weight;
        }
    };
    add(&document.profile.title, 3.0, TOPICS_MAX);
    document.tags.iter().for_each(|tag| add(tag, 2.0, TOPICS_MAX));
    add(&document.description, 0.5, DESCRIPTION_WORDS_MAX);
    // Marked, so that a category is not taken for a word of a title.
    if !document.category.is_empty() {
        *weights.entry(format!("\u{1}{}", document.category)).or_default() += 1.5;
    }
    let mut topics: Vec<(String, f32)> =
        weights.into_iter().map(|(topic, weight)| (topic, 1.0 + weight.ln_1p())).collect();
    topics.sort_by(|(left, l), (right, r)| r.total_cmp(l).then_with(|| left.cmp(right)));
    topics.truncate(TOPICS_MAX);
    topics.into_iter().map(|(topic, weight)| (hash(&topic), weight)).collect()
}

/// FNV-1a; two words of the same hash are taken for one, which does no harm.
fn hash(text: &str) -> Topic {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ Topic::from(byte)).wrapping_mul(0x0100_0193))
}
