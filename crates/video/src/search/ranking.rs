//! All weights of the ranking, and how they are put together.

use proto::{Timestamp, VideoId};

use super::limits::HITS_MAX;
use super::query::Sort;
use super::schema::Zone;

// How much it is worth where a word stands.
const TITLE: f32 = 1.0;
const CHANNEL: f32 = 0.55;
const TAGS: f32 = 0.6;
const DESCRIPTION: f32 = 0.3;
/// What further places add to the best one.
const FURTHER_ZONES: f32 = 0.15;

// How sure it is that a term of the index is the word that was meant.
pub(super) const EXACT: f32 = 1.0;
pub(super) const JOINED: f32 = 0.92;
pub(super) const STEMMED: f32 = 0.9;
pub(super) const PREFIX_LEAST: f32 = 0.62;
pub(super) const PREFIX_MOST: f32 = 0.88;
pub(super) const ONE_ERROR: f32 = 0.72;
pub(super) const TWO_ERRORS: f32 = 0.5;
/// A factor for errors that change the first letter.
pub(super) const FIRST_LETTER: f32 = 0.75;
/// An unfinished word that is misspelt besides; taken only when nothing else is there.
pub(super) const PREFIX_WITH_ERROR: f32 = 0.36;
/// A word counts as found from this on.
pub(super) const FOUND_FROM: f32 = 0.35;

// What is added to the text's own score, which is about 1 for a perfect title.
/// All words next to each other in the title, in the order of the query.
const CLOSENESS: f32 = 0.25;
/// The query is the whole title.
const COMPLETENESS: f32 = 0.2;
/// What words too common to be missed weigh.
pub(super) const COMMON_WORD: f32 = 0.1;
/// Very many views.
const POPULARITY: f32 = 0.15;
/// Views at which popularity is at its most.
const POPULARITY_FULL_VIEWS: f32 = 100_000.0;
/// Published just now.
const FRESHNESS: f32 = 0.06;
/// Freshness halves in this time.
const FRESHNESS_HALF_LIFE_MS: f32 = 90.0 * 86_400_000.0;
/// From a channel that the viewer subscribes to.
const SUBSCRIBED: f32 = 0.1;

/// What a place weighs.
const fn zone_weight(zone: Zone) -> f32 {
    match zone {
        Zone::Title => TITLE,
        Zone::Channel => CHANNEL,
        Zone::Tags => TAGS,
        Zone::Description => DESCRIPTION,
    }
}

/// What a term weighs that stands at these positions.
pub(super) fn positions_weight(positions: &[u32]) -> f32 {
    let mut zones = [false; 4];
    for position in positions {
        zones[Zone::of(*position) as usize] = true;
    }
    let all = [Zone::Title, Zone::Channel, Zone::Tags, Zone::Description];
    let present = all.into_iter().filter(|zone| zones[*zone as usize]).map(zone_weight);
    let (best, sum) = present.fold((0.0_f32, 0.0), |(best, sum), weight| (best.max(weight), sum + weight));
    best + FURTHER_ZONES * (sum - best)
}

/// How rare a word is, from the number of documents that have it and the number of all.
pub(super) fn rarity(having: u64, all: u64) -> f32 {
    let having = having.min(all) as f32;
    (1.0 + (all as f32 - having + 0.5) / (having + 0.5)).ln()
}

/// What closeness in the title is worth: `positions` are those of the query's words, in its order.
pub(super) fn closeness(positions: &[Option<u16>]) -> f32 {
    let pairs = positions.len().saturating_sub(1);
    if pairs == 0 {
        return 0.0;
    }
    let near = |pair: &[Option<u16>]| match (pair[0], pair[1]) {
        (Some(left), Some(right)) => {
            let gap = f32::from(right) - f32::from(left);
            if gap > 0.0 { 1.0 / gap } else { 0.3 / (1.0 - gap) }
        }
        _ => 0.0,
    };
    CLOSENESS * positions.windows(2).map(near).sum::<f32>() / pairs as f32
}

/// What it is worth that `found` of the title's `all` words were asked for.
pub(super) fn completeness(found: usize, all: usize) -> f32 {
    if all == 0 { 0.0 } else { COMPLETENESS * (found as f32 / all as f32).min(1.0) }
}

/// What is known of a video besides its texts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Standing {
    /// How often it was viewed.
    pub views: u64,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Whether the viewer subscribes to its channel.
    pub subscribed: bool,
}

/// What popularity, freshness and subscriptions add.
pub(super) fn standing_bonus(standing: &Standing, now: Timestamp) -> f32 {
    let popularity = (standing.views as f32).ln_1p() / POPULARITY_FULL_VIEWS.ln_1p();
    let freshness = standing.published_at.map_or(0.0, |at| {
        let age_ms = now.since(at).max(0) as f32;
        (-age_ms / FRESHNESS_HALF_LIFE_MS).exp2()
    });
    let subscribed = if standing.subscribed { SUBSCRIBED } else { 0.0 };
    POPULARITY * popularity.min(1.0) + FRESHNESS * freshness + subscribed
}

/// A video that was found, before it is known who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) id: VideoId,
    /// How many of the words that count were found.
    pub(super) found: usize,
    pub(super) score: f32,
    pub(super) published_ms: i64,
}

/// The best of the candidates that may be seen, in order.
pub(super) fn best(
    mut candidates: Vec<Candidate>,
    required: usize,
    sort: Sort,
    standing: impl Fn(VideoId) -> Option<Standing>,
    now: Timestamp,
) -> Vec<VideoId> {
    if sort != Sort::Relevance {
        // Another order leaves no room for half matches at the top.
        candidates.retain(|candidate| candidate.found >= required);
    }
    let text_order = |left: &Candidate, right: &Candidate| {
        right.found.cmp(&left.found).then(right.score.total_cmp(&left.score)).then(right.id.cmp(&left.id))
    };
    candidates.sort_unstable_by(text_order);
    let seen = candidates.into_iter().filter_map(|candidate| Some((candidate, standing(candidate.id)?)));
    let mut ranked: Vec<_> = match sort {
        Sort::Relevance => seen.take(HITS_MAX).collect(),
        Sort::New | Sort::Old | Sort::Popular => seen.collect(),
    };
    match sort {
        Sort::Relevance => {
            for (candidate, standing) in &mut ranked {
                candidate.score += standing_bonus(standing, now);
            }
            ranked.sort_by(|(left, _), (right, _)| text_order(left, right));
        }
        Sort::New => ranked.sort_by_key(|(candidate, _)| std::cmp::Reverse(candidate.published_ms)),
        Sort::Old => ranked.sort_by_key(|(candidate, _)| candidate.published_ms),
        Sort::Popular => ranked.sort_by_key(|(_, standing)| std::cmp::Reverse(standing.views)),
    }
    ranked.into_iter().map(|(candidate, _)| candidate.id).take(HITS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_closeness_count() {
        let exact = closeness(&[Some(0), Some(1)]);
        let apart = closeness(&[Some(0), Some(4)]);
        let swapped = closeness(&[Some(1), Some(0)]);
        let missing = closeness(&[Some(0), None]);
        assert!(exact > apart && apart > swapped && swapped > missing, "{exact} {apart} {swapped} {missing}");
    }

    #[test]
    fn the_title_weighs_more_than_all_other_places() {
        let title = positions_weight(&[3]);
        let others = positions_weight(&[1_001, 2_003, 10_007]);
        assert!(title > others);
        assert!(positions_weight(&[3, 2_003]) > title);
    }

    #[test]
    fn popularity_never_outweighs_a_perfect_title() {
        let now = Timestamp::from_ms(1_000_000_000_000);
        let all = Standing { views: u64::MAX, published_at: Some(now), subscribed: true };
        assert!(standing_bonus(&all, now) < CLOSENESS + COMPLETENESS);
        assert!(standing_bonus(&Standing::default(), now) < f32::EPSILON);
    }
}
