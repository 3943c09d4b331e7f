//! All that the recommender knows, in memory: a function of the tables and of the library.

use proto::api::video::Verdict;
use proto::{ChannelId, Timestamp, UserId, VideoId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::data::{Person, Signal};
use super::decay::Decay;
use super::items::{ItemAt, Items};
use super::neighbours::{Neighbours, Taste};
use super::weights::{
    BEGUN, BEGUN_SECONDS, BEGUN_SHARE, COMMENTED, DISLIKED, END_SHARE, FINISHED_SHARE, GUEST_VIEWER, LESS, LIKED,
    NEVER, POPULAR_HALF_LIFE_MS, SAVED, TASTES_MAX, TRENDING_HALF_LIFE_MS, WATCHED,
};

/// How far somebody has watched a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Watch {
    pub(super) at: Timestamp,
    pub(super) finished: bool,
    /// How much this viewer counts.
    counts: f64,
}

/// What is known of a person.
#[derive(Default)]
pub(super) struct Profile {
    /// The latest last.
    pub(super) tastes: Vec<Taste>,
    pub(super) watches: FxHashMap<ItemAt, Watch>,
    pub(super) disliked: FxHashSet<ItemAt>,
    pub(super) subscriptions: FxHashSet<ChannelId>,
    pub(super) videos: FxHashMap<ItemAt, (Verdict, Timestamp)>,
    pub(super) channels: FxHashMap<ChannelId, Verdict>,
}

impl Profile {
    /// What was said of recommendations, as tastes.
    pub(super) fn opinions(&self) -> impl Iterator<Item = Taste> {
        self.videos.iter().map(|(item, (verdict, at))| {
            let weight = if *verdict == Verdict::Never { NEVER } else { LESS };
            Taste { item: *item, weight, at: *at, liked: false }
        })
    }
}

/// The model.
pub(super) struct Model {
    pub(super) items: Items,
    pub(super) neighbours: Neighbours,
    pub(super) popular: Decay,
    pub(super) trending: Decay,
    people: FxHashMap<Person, Profile>,
    nobody: Profile,
}

impl Model {
    /// One that knows nothing yet. `origin`: about now; see [`Decay`].
    pub(super) fn new(origin: Timestamp) -> Self {
        Self {
            items: Items::default(),
            neighbours: Neighbours::new(origin),
            popular: Decay::new(origin, POPULAR_HALF_LIFE_MS),
            trending: Decay::new(origin, TRENDING_HALF_LIFE_MS),
            people: FxHashMap::default(),
            nobody: Profile::default(),
        }
    }

    /// What is known of somebody; nothing of guests.
    pub(super) fn profile(&self, viewer: Option<UserId>) -> &Profile {
        viewer.and_then(|user| self.people.get(&Person::from(user))).unwrap_or(&self.nobody)
    }

    pub(super) fn profile_mut(&mut self, person: Person) -> &mut Profile {
        self.people.entry(person).or_default()
    }

    /// Takes in all that a person did with a video, in the place of what was known of that.
    pub(super) fn set_signal(&mut self, person: Person, video: VideoId, signal: Option<Signal>) {
        let item = self.items.place(video);
        let profile = self.people.entry(person).or_default();
        if let Some(watch) = profile.watches.remove(&item) {
            heat(&mut self.items, (&self.popular, &self.trending), item, &watch, -1.0);
        }
        if let Some(known) = profile.tastes.iter().position(|taste| taste.item == item) {
            let taste = profile.tastes.remove(known);
            self.neighbours.count(&taste, &profile.tastes, -1.0);
        }
        profile.disliked.remove(&item);
        let Some(signal) = signal.filter(|signal| !signal.is_empty()) else { return };
        let share = share(&signal, self.items.get(item).duration_seconds());
        if signal.rating < 0 {
            profile.disliked.insert(item);
        }
        if signal.watched_seconds >= BEGUN_SECONDS || share >= BEGUN_SHARE {
            let counts = if signal.guest { GUEST_VIEWER } else { 1.0 };
            let watch = Watch { at: signal.at(), finished: share >= FINISHED_SHARE, counts };
            heat(&mut self.items, (&self.popular, &self.trending), item, &watch, 1.0);
            profile.watches.insert(item, watch);
        }
        let weight = interest(&signal, share);
        if weight.abs() > f32::EPSILON {
            let taste = Taste { item, weight, at: signal.at(), liked: signal.rating > 0 };
            self.neighbours.count(&taste, &profile.tastes, 1.0);
            let place = profile.tastes.partition_point(|other| other.at <= taste.at);
            profile.tastes.insert(place, taste);
            if profile.tastes.len() > TASTES_MAX {
                profile.tastes.remove(0);
            }
        }
    }

    /// Forgets somebody.
    pub(super) fn forget(&mut self, person: Person) {
        let Some(profile) = self.people.get_mut(&person) else { return };
        while let Some(taste) = profile.tastes.pop() {
            self.neighbours.count(&taste, &profile.tastes, -1.0);
        }
        for (item, watch) in profile.watches.drain() {
            heat(&mut self.items, (&self.popular, &self.trending), item, &watch, -1.0);
        }
        self.people.remove(&person);
    }

    /// Takes in a channel's new name.
    pub(super) fn rename_channel(&mut self, channel: ChannelId, name: &str) {
        for at in 0..self.items.len() {
            let Ok(at) = ItemAt::try_from(at) else { return };
            if let Some(known) = self.items.get_mut(at).known.as_mut().filter(|known| known.profile.channel == channel)
            {
                name.clone_into(&mut known.channel_name);
            }
        }
    }
}

fn heat(items: &mut Items, (popular, trending): (&Decay, &Decay), item: ItemAt, watch: &Watch, sign: f64) {
    let item = items.get_mut(item);
    item.popular = (item.popular + sign * watch.counts * popular.weight(watch.at)).max(0.0);
    item.trending = (item.trending + sign * watch.counts * trending.weight(watch.at)).max(0.0);
}

/// How much of a video was watched, 0–1.
fn share(signal: &Signal, duration_seconds: f64) -> f64 {
    if duration_seconds <= 0.0 {
        return if signal.watched_seconds >= BEGUN_SECONDS { BEGUN_SHARE } else { 0.0 };
    }
    let watched = (signal.watched_seconds / duration_seconds).clamp(0.0, 1.0);
    let saw_the_end = watched >= 0.1 && signal.position_seconds >= END_SHARE * duration_seconds;
    if saw_the_end { watched.max(FINISHED_SHARE) } else { watched }
}

/// How much a signal says that somebody is interested; 0: nothing, below: that they are not.
fn interest(signal: &Signal, share: f64) -> f32 {
    if signal.rating < 0 {
        return DISLIKED;
    }
    let begun = signal.watched_seconds >= BEGUN_SECONDS || share >= BEGUN_SHARE;
    let watched = if begun { BEGUN + WATCHED * share as f32 } else { 0.0 };
    let sign = |given: bool, weight: f32| if given { weight } else { 0.0 };
    watched + sign(signal.rating > 0, LIKED) + sign(signal.saved, SAVED) + sign(signal.commented, COMMENTED)
}
