//! Which documents have the words of a query, and how well: a pass over the postings of each word.

use rustc_hash::FxHashMap;
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use super::expand::{Expanded, Expansion};
use super::limits::CANDIDATES_ENOUGH;
use super::query::{Filters, Query};
use super::ranking::{COMMON_WORD, Candidate, FOUND_FROM, closeness, completeness, positions_weight, rarity};
use super::schema::Zone;
use super::view::{Sieve, View};

/// How well a document has one word of the query.
#[derive(Debug, Clone, Copy, Default)]
struct Hit {
    value: f32,
    quality: f32,
    /// Where it stands in the title, counted from 1; 0: it does not.
    title: u16,
}

/// Segment and document.
type Place = (u32, u32);

/// The documents that have at least half of the words, and all of the others where `all` says so,
/// not yet in order.
pub(super) fn candidates(
    view: &View,
    query: &Query,
    expanded: &[Expanded],
    filters: &Filters,
    title_only: bool,
) -> tantivy::Result<Vec<Candidate>> {
    let sieves = view.columns.iter().map(|columns| columns.sieve(filters)).collect::<tantivy::Result<Vec<_>>>()?;
    let words = query.words.len();
    let mut matcher = Matcher { view, sieves, words, title_only, places: FxHashMap::default(), hits: Vec::new() };
    // The rarest first, so that frequent words need not add documents of their own.
    let mut order: Vec<usize> = (0..query.words.len()).collect();
    order.sort_by_key(|at| expanded[*at].documents());
    for at in order {
        let open = matcher.places.len() < CANDIDATES_ENOUGH;
        for expansion in expanded[at].terms.values() {
            matcher.read(at, expansion, open)?;
        }
    }
    Ok(matcher.score(query, expanded))
}

struct Matcher<'a> {
    view: &'a View,
    sieves: Vec<Option<Sieve<'a>>>,
    words: usize,
    title_only: bool,
    /// Where each document's hits begin in `hits`: one for each word of the query.
    places: FxHashMap<Place, usize>,
    hits: Vec<Hit>,
}

impl Matcher<'_> {
    /// Goes through the postings of one term; `open`: documents may be added.
    fn read(&mut self, word: usize, expansion: &Expansion, open: bool) -> tantivy::Result<()> {
        let mut positions = Vec::new();
        for (segment, info) in &expansion.postings {
            let Some(sieve) = &self.sieves[*segment] else { continue };
            let reader = &self.view.searcher.segment_readers()[*segment];
            let index = reader.inverted_index(self.view.fields.words)?;
            let option = IndexRecordOption::WithFreqsAndPositions;
            let mut postings = index.read_postings_from_terminfo(info, option)?;
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                let place = (u32::try_from(*segment).unwrap_or(u32::MAX), doc);
                let known = self.places.contains_key(&place);
                if known || (open && !reader.is_deleted(doc) && sieve.admits(doc)) {
                    postings.positions(&mut positions);
                    if self.title_only {
                        positions.retain(|position| Zone::of(*position) == Zone::Title);
                    }
                    let hit = hit(&positions, expansion.quality);
                    if hit.value > 0.0 {
                        let start = *self.places.entry(place).or_insert(self.hits.len());
                        self.hits.resize(self.hits.len().max(start + self.words), Hit::default());
                        let hits = &mut self.hits[start..start + self.words];
                        note(hits, word, hit);
                        if expansion.with_next {
                            note(hits, word + 1, hit);
                        }
                    }
                }
                postings.advance();
            }
        }
        Ok(())
    }

    fn score(self, query: &Query, expanded: &[Expanded]) -> Vec<Candidate> {
        let all = self.view.len();
        let weights: Vec<f32> = (query.words.iter().zip(expanded))
            .map(|(word, expanded)| rarity(expanded.documents(), all) * if word.optional { COMMON_WORD } else { 1.0 })
            .collect();
        let weight_sum: f32 = weights.iter().sum::<f32>().max(f32::EPSILON);
        let required = query.required();
        let mut candidates = Vec::with_capacity(self.places.len());
        for ((segment, doc), start) in &self.places {
            let hits = &self.hits[*start..*start + self.words];
            let found = |(word, hit): (&super::query::QueryWord, &Hit)| !word.optional && hit.quality >= FOUND_FROM;
            let found = query.words.iter().zip(hits).filter(|(word, hit)| found((word, hit))).count();
            if found == 0 || found * 2 < required || (self.title_only && found < required) {
                continue;
            }
            let columns = &self.view.columns[*segment as usize];
            let Some(id) = columns.id(*doc) else { continue };
            let text: f32 = weights.iter().zip(hits).map(|(weight, hit)| weight * hit.value).sum();
            let score = text / weight_sum + title_bonus(hits, columns.title_words(*doc));
            candidates.push(Candidate { id, found, score, published_ms: columns.published_ms(*doc) });
        }
        candidates
    }
}

fn hit(positions: &[u32], quality: f32) -> Hit {
    let title = positions.iter().find(|position| Zone::of(**position) == Zone::Title);
    Hit {
        value: quality * positions_weight(positions),
        quality,
        title: title.and_then(|position| u16::try_from(position + 1).ok()).unwrap_or(0),
    }
}

fn note(hits: &mut [Hit], word: usize, new: Hit) {
    let Some(hit) = hits.get_mut(word) else { return };
    if new.value > hit.value {
        let title = if new.title == 0 { hit.title } else { new.title };
        *hit = Hit { title, quality: hit.quality.max(new.quality), ..new };
    } else {
        hit.quality = hit.quality.max(new.quality);
        if hit.title == 0 {
            hit.title = new.title;
        }
    }
}

/// What order, closeness and completeness in the title add.
fn title_bonus(hits: &[Hit], title_words: usize) -> f32 {
    let positions: Vec<Option<u16>> = hits.iter().map(|hit| (hit.title > 0).then_some(hit.title)).collect();
    let mut distinct: Vec<u16> = positions.iter().flatten().copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let sure = hits.iter().map(|hit| hit.quality).sum::<f32>() / hits.len().max(1) as f32;
    sure * (closeness(&positions) + completeness(distinct.len(), title_words))
}
