//! What is shown to one person on the home page, and to nobody in particular.

use proto::api::video::{ReasonKind, Verdict};
use proto::{Timestamp, UserId};
use rustc_hash::FxHashMap;

use super::decay::left;
use super::items::{Item, ItemAt};
use super::mix::{Scored, arrange, chance};
use super::model::{Model, Profile};
use super::neighbours::Taste;
use super::reason::Pick;
use super::weights::{
    BEGUN_FACTOR, CONTENT, CONTENT_HALF, EXPLORE, FEW_VIEWERS, FILL_TO, LESS_FACTOR, NEIGHBOURS, NEIGHBOURS_HALF, NEW,
    NEW_HALF_LIFE_MS, PICKS_MAX, POPULAR, SUBSCRIBED, SUBSCRIBED_HALF_LIFE_MS, TASTE_HALF_LIFE_MS, TASTES_USED,
    TELLING, TRENDING,
};

/// What speaks for a video, and because of which other one.
#[derive(Debug, Clone, Copy, Default)]
struct Because {
    sum: f32,
    strongest: f32,
    taste: Option<Taste>,
}

impl Because {
    fn add(&mut self, amount: f32, taste: &Taste) {
        self.sum += amount;
        if amount > self.strongest {
            (self.strongest, self.taste) = (amount, Some(*taste));
        }
    }

    /// The sum, squeezed into 0–1.
    fn value(&self, half_at: f32) -> f32 {
        if self.sum > 0.0 { self.sum / (self.sum + half_at) } else { self.sum.max(-1.0) }
    }
}

/// What a profile says of each video.
#[derive(Default)]
struct Interests {
    neighbours: FxHashMap<ItemAt, Because>,
    content: FxHashMap<ItemAt, Because>,
}

/// What speaks for one video.
struct Parts {
    neighbours: f32,
    content: f32,
    subscribed: f32,
    popular: f32,
    new: f32,
    untried: bool,
}

impl Parts {
    fn sum(&self) -> f32 {
        self.neighbours + self.content + self.subscribed + self.popular + self.new
    }
}

/// The largest sums among the videos that a viewer may see, to measure others by.
pub(super) struct Most {
    popular: f32,
    popular_factor: f64,
    trending: f32,
    trending_factor: f64,
}

impl Most {
    /// How popular and how trending a video is, both 0–1.
    pub(super) fn heat(&self, item: &Item) -> (f32, f32) {
        let quality = item.quality() as f32;
        let part = |value: f64, most: f32| if value > 0.0 { quality * (value as f32).ln_1p() / most } else { 0.0 };
        let popular = part(item.popular * self.popular_factor, self.popular);
        (popular, part(item.trending * self.trending_factor, self.trending))
    }

    fn is_seen_by_few(&self, item: &Item) -> bool {
        item.popular * self.popular_factor < FEW_VIEWERS
    }
}

impl Model {
    pub(super) fn most(&self, viewer: Option<UserId>, now: Timestamp) -> Most {
        let listed = self.items.all().filter(|(_, item)| item.is_listed_for(viewer));
        let (popular, trending) = listed.fold((0.0_f64, 0.0_f64), |(popular, trending), (_, item)| {
            (popular.max(item.popular), trending.max(item.trending))
        });
        let (popular_factor, trending_factor) = (self.popular.factor(now), self.trending.factor(now));
        let most = |value: f64| (value as f32).ln_1p().max(f32::EPSILON);
        Most {
            popular: most(popular * popular_factor),
            popular_factor,
            trending: most(trending * trending_factor),
            trending_factor,
        }
    }

    /// The home page of `viewer`, at most [`PICKS_MAX`] long.
    pub(super) fn home(&self, viewer: Option<UserId>, now: Timestamp) -> Vec<Pick> {
        let profile = self.profile(viewer);
        let interests = self.interests(profile, now);
        let most = self.most(viewer, now);
        let mut unseen = Vec::new();
        let mut rest = Vec::new();
        for (at, item) in self.items.all() {
            if !item.is_listed_for(viewer) || is_refused(profile, at, item) {
                continue;
            }
            let parts = self.parts((at, item), viewer, profile, &interests, &most, now);
            let seen = profile.watches.get(&at).is_some_and(|watch| watch.finished);
            let own = item.known.as_ref().is_some_and(|known| Some(known.profile.owner) == viewer);
            let score = parts.sum() * factor(profile, at, item);
            let scored = Scored { item: at, id: item.id, channel: item.channel(), score, untried: parts.untried };
            if seen || own { rest.push(scored) } else { unseen.push(scored) }
        }
        let mut shown = arrange(unseen, PICKS_MAX);
        if shown.len() < FILL_TO {
            let places = FILL_TO - shown.len();
            shown.extend(arrange(rest, places));
        }
        let pick = |scored: Scored| {
            let item = (scored.item, self.items.get(scored.item));
            let parts = self.parts(item, viewer, profile, &interests, &most, now);
            self.home_pick(item, viewer, &parts, &interests)
        };
        shown.into_iter().map(pick).collect()
    }

    fn interests(&self, profile: &Profile, now: Timestamp) -> Interests {
        let mut interests = Interests::default();
        let latest = profile.tastes.iter().rev().take(TASTES_USED).copied();
        for taste in latest.chain(profile.opinions()) {
            let weight = taste.weight * left(taste.at, now, TASTE_HALF_LIFE_MS);
            for (item, likeness) in self.neighbours.of(taste.item, now) {
                interests.neighbours.entry(item).or_default().add(weight * likeness, &taste);
            }
            for (item, likeness) in self.items.similar(taste.item) {
                interests.content.entry(item).or_default().add(weight * likeness, &taste);
            }
        }
        interests
    }

    fn parts(
        &self,
        (at, item): (ItemAt, &Item),
        viewer: Option<UserId>,
        profile: &Profile,
        interests: &Interests,
        most: &Most,
        now: Timestamp,
    ) -> Parts {
        let published = item.known.as_ref().and_then(|known| known.profile.published_at).unwrap_or_default();
        let (popular, trending) = most.heat(item);
        let new = left(published, now, NEW_HALF_LIFE_MS);
        let untried = new > 0.25 && most.is_seen_by_few(item);
        let explore = if untried { EXPLORE * chance(viewer, item.id, now) } else { 0.0 };
        let subscribed = item.channel().is_some_and(|channel| profile.subscriptions.contains(&channel));
        let because = |map: &FxHashMap<ItemAt, Because>, half_at| map.get(&at).map_or(0.0, |b| b.value(half_at));
        Parts {
            neighbours: NEIGHBOURS * because(&interests.neighbours, NEIGHBOURS_HALF),
            content: CONTENT * because(&interests.content, CONTENT_HALF),
            subscribed: if subscribed {
                SUBSCRIBED * (0.4 + 0.6 * left(published, now, SUBSCRIBED_HALF_LIFE_MS))
            } else {
                0.0
            },
            popular: POPULAR * popular + TRENDING * trending,
            new: NEW * new + explore,
            untried,
        }
    }

    fn home_pick(
        &self,
        (at, item): (ItemAt, &Item),
        viewer: Option<UserId>,
        parts: &Parts,
        interests: &Interests,
    ) -> Pick {
        let because = |map: &FxHashMap<ItemAt, Because>| map.get(&at).and_then(|because| because.taste);
        let mut personal = [
            (parts.neighbours, because(&interests.neighbours), true),
            (parts.content, because(&interests.content), false),
        ];
        personal.sort_by(|left, right| right.0.total_cmp(&left.0));
        let subscribed = parts.subscribed > personal[0].0;
        for (value, taste, shared) in personal.into_iter().filter(|_| !subscribed) {
            // A title is told only while the viewer may still see that video.
            let subject = taste.map(|taste| (taste, self.items.get(taste.item)));
            let Some((taste, subject)) = subject.filter(|(_, subject)| subject.is_visible_to(viewer)) else { continue };
            if value >= TELLING {
                let kind = match (shared, taste.liked) {
                    (true, true) => ReasonKind::BecauseYouLiked,
                    (true, false) => ReasonKind::BecauseYouWatched,
                    (false, _) => ReasonKind::Similar,
                };
                return Pick { about: Some(subject.id), ..Pick::plain(item.id, kind) };
            }
        }
        let kind = if parts.subscribed > 0.0 {
            ReasonKind::Subscribed
        } else if parts.popular > parts.new {
            ReasonKind::Popular
        } else {
            ReasonKind::New
        };
        Pick::plain(item.id, kind)
    }
}

/// Whether the person said that they do not want to see it.
pub(super) fn is_refused(profile: &Profile, at: ItemAt, item: &Item) -> bool {
    let channel = item.channel().and_then(|channel| profile.channels.get(&channel));
    profile.disliked.contains(&at)
        || profile.videos.get(&at).is_some_and(|(verdict, _)| *verdict == Verdict::Never)
        || channel == Some(&Verdict::Never)
}

/// How much less somebody wants to see it.
pub(super) fn factor(profile: &Profile, at: ItemAt, item: &Item) -> f32 {
    let channel = item.channel().and_then(|channel| profile.channels.get(&channel));
    let less = |said: bool| if said { LESS_FACTOR } else { 1.0 };
    let begun = profile.watches.get(&at).is_some_and(|watch| !watch.finished);
    let begun = if begun { BEGUN_FACTOR } else { 1.0 };
    less(profile.videos.contains_key(&at)) * less(channel == Some(&Verdict::Less)) * begun
}
