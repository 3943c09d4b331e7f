//! What the same people watch: item to item, updated with every sign of interest.

use std::cmp::Reverse;

use proto::Timestamp;
use rustc_hash::FxHashMap;

use super::decay::Decay;
use super::items::ItemAt;
use super::weights::{NEIGHBOUR_HALF_LIFE_MS, NEIGHBOURS_MAX, SHRINKAGE_PEOPLE};

/// A person's interest in a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Taste {
    pub(super) item: ItemAt,
    /// Below 0 for what they do not like.
    pub(super) weight: f32,
    pub(super) at: Timestamp,
    /// Whether they like it in so many words.
    pub(super) liked: bool,
}

impl Taste {
    fn positive(&self) -> f64 {
        f64::from(self.weight.max(0.0))
    }
}

/// For each video, those that the same people watch, and how much it is watched itself.
pub(super) struct Neighbours {
    decay: Decay,
    shared: Vec<FxHashMap<ItemAt, f64>>,
    own: Vec<f64>,
}

impl Neighbours {
    pub(super) fn new(origin: Timestamp) -> Self {
        Self { decay: Decay::new(origin, NEIGHBOUR_HALF_LIFE_MS), shared: Vec::new(), own: Vec::new() }
    }

    fn grow(&mut self, item: ItemAt) {
        let needed = item as usize + 1;
        if self.own.len() < needed {
            self.own.resize(needed, 0.0);
            self.shared.resize_with(needed, FxHashMap::default);
        }
    }

    /// Adds (1) or takes back (-1) a person's taste beside their others.
    pub(super) fn count(&mut self, taste: &Taste, others: &[Taste], sign: f64) {
        if taste.positive() <= 0.0 {
            return;
        }
        self.grow(taste.item);
        let own = &mut self.own[taste.item as usize];
        *own = (*own + sign * taste.positive().powi(2) * self.decay.weight(taste.at)).max(0.0);
        for other in others.iter().filter(|other| other.item != taste.item && other.weight > 0.0) {
            self.grow(other.item);
            let amount = sign * taste.positive() * other.positive() * self.decay.weight(taste.at.max(other.at));
            self.add(taste.item, other.item, amount);
            self.add(other.item, taste.item, amount);
        }
    }

    fn add(&mut self, from: ItemAt, to: ItemAt, amount: f64) {
        let neighbours = &mut self.shared[from as usize];
        let sum = neighbours.entry(to).or_default();
        *sum = (*sum + amount).max(0.0);
        // Pruned seldom, so that one addition costs little.
        if neighbours.len() > 2 * NEIGHBOURS_MAX {
            let mut strongest: Vec<_> = neighbours.drain().collect();
            strongest.sort_by_key(|(item, sum)| (Reverse(sum.to_bits()), *item));
            strongest.truncate(NEIGHBOURS_MAX);
            neighbours.extend(strongest);
        }
    }

    /// The neighbours of a video with their likeness, 0–1: the cosine, shrunk where few people stand behind it.
    pub(super) fn of(&self, item: ItemAt, now: Timestamp) -> impl Iterator<Item = (ItemAt, f32)> {
        let own = self.own.get(item as usize).copied().unwrap_or(0.0);
        let shared = self.shared.get(item as usize).into_iter().flatten();
        shared.filter_map(move |(other, sum)| {
            let both = (own * self.own.get(*other as usize)?).sqrt();
            if both <= 0.0 || *sum <= 0.0 {
                return None;
            }
            let people = self.decay.value(*sum, now);
            let likeness = (sum / both).min(1.0) * people / (people + SHRINKAGE_PEOPLE);
            (likeness > 1e-4).then_some((*other, likeness as f32))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn taste(item: ItemAt) -> Taste {
        Taste { item, weight: 1.0, at: NOW, liked: false }
    }

    fn likeness(neighbours: &Neighbours, from: ItemAt, to: ItemAt) -> f32 {
        neighbours.of(from, NOW).find(|(item, _)| *item == to).map_or(0.0, |(_, likeness)| likeness)
    }

    #[test]
    fn what_many_watch_together_is_nearer_than_what_everybody_watches() {
        let mut neighbours = Neighbours::new(NOW);
        // Ten people watch 0 and 1; thirty others watch 2, two of them 0 as well.
        for _ in 0..10 {
            neighbours.count(&taste(0), &[], 1.0);
            neighbours.count(&taste(1), &[taste(0)], 1.0);
        }
        for person in 0..30 {
            neighbours.count(&taste(2), &[], 1.0);
            if person < 2 {
                neighbours.count(&taste(0), &[taste(2)], 1.0);
            }
        }
        assert!(likeness(&neighbours, 0, 1) > 3.0 * likeness(&neighbours, 0, 2));
        assert!((likeness(&neighbours, 0, 1) - likeness(&neighbours, 1, 0)).abs() < 1e-6);
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let mut neighbours = Neighbours::new(NOW);
        neighbours.count(&taste(0), &[], 1.0);
        neighbours.count(&taste(1), &[taste(0)], 1.0);
        assert!(likeness(&neighbours, 0, 1) > 0.0);
        neighbours.count(&taste(1), &[taste(0)], -1.0);
        assert!(likeness(&neighbours, 0, 1) <= f32::EPSILON);
    }

    #[test]
    fn memory_is_bounded() {
        let mut neighbours = Neighbours::new(NOW);
        for other in 1..5_000 {
            neighbours.count(&taste(0), &[taste(other)], 1.0);
        }
        assert!(neighbours.shared[0].len() <= 2 * NEIGHBOURS_MAX);
    }
}
