//! Which terms of the index a word of the query may stand for, and how sure that is.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::Term;
use tantivy::index::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::query::{DfaWrapper, FuzzyTermQuery};
use tantivy::tokenizer::Language;

use super::analysis::{Kind, Stems, Word, errors_max, language_of, typo};
use super::limits::{TERMS_OF_A_WORD_MAX, TERMS_SCANNED_MAX};
use super::query::{Query, QueryWord};
use super::ranking::{
    EXACT, FIRST_LETTER, JOINED, ONE_ERROR, PREFIX_LEAST, PREFIX_MOST, PREFIX_WITH_ERROR, STEMMED, TWO_ERRORS,
};
use super::schema::{PAIR, STEM};
use super::view::View;

/// A term of the index that a word may stand for.
pub(super) struct Expansion {
    /// How sure it is, 0–1.
    pub(super) quality: f32,
    /// Whether the query's next word is in it too (`sky scraper` for `skyscraper`).
    pub(super) with_next: bool,
    /// Where its postings are, by segment.
    pub(super) postings: Vec<(usize, TermInfo)>,
}

/// All that a word may stand for, by term.
#[derive(Default)]
pub(super) struct Expanded {
    pub(super) terms: HashMap<String, Expansion>,
}

impl Expanded {
    /// How many documents have the word in its surest form.
    pub(super) fn documents(&self) -> u64 {
        let surest = self.terms.values().map(|term| term.quality).fold(0.0, f32::max);
        let sure = self.terms.values().filter(|term| term.quality >= surest - 0.05);
        sure.map(|term| term.postings.iter().map(|(_, info)| u64::from(info.doc_freq)).sum()).max().unwrap_or(0)
    }

    fn offer(&mut self, term: &str, quality: f32, with_next: bool, segment: usize, info: TermInfo) {
        let expansion =
            self.terms.entry(term.to_owned()).or_insert_with(|| Expansion { quality, with_next, postings: Vec::new() });
        if quality > expansion.quality {
            (expansion.quality, expansion.with_next) = (quality, with_next);
        }
        if expansion.postings.iter().all(|(known, _)| *known != segment) {
            expansion.postings.push((segment, info));
        }
    }

    /// Keeps the surest and, among equals, the most frequent.
    fn keep_best(&mut self) {
        if self.terms.len() <= TERMS_OF_A_WORD_MAX {
            return;
        }
        let mut terms: Vec<_> = self.terms.drain().collect();
        let frequency = |term: &Expansion| term.postings.iter().map(|(_, info)| info.doc_freq).sum::<u32>();
        terms.sort_by(|(left_name, left), (right_name, right)| {
            right
                .quality
                .total_cmp(&left.quality)
                .then_with(|| frequency(right).cmp(&frequency(left)))
                .then_with(|| left_name.cmp(right_name))
        });
        terms.truncate(TERMS_OF_A_WORD_MAX);
        self.terms = terms.into_iter().collect();
    }
}

/// What each word of `query` may stand for.
pub(super) fn expand(view: &View, query: &Query) -> tantivy::Result<Vec<Expanded>> {
    let segments = view.searcher.segment_readers().iter();
    let dictionaries = segments.map(|segment| segment.inverted_index(view.fields.words)).collect::<Result<_, _>>()?;
    let expander = Expander { view, dictionaries };
    let each = query.words.iter().enumerate().map(|(at, word)| expander.word(word, query.words.get(at + 1)));
    each.collect()
}

struct Expander<'a> {
    view: &'a View,
    dictionaries: Vec<Arc<InvertedIndexReader>>,
}

impl Expander<'_> {
    fn word(&self, query: &QueryWord, next: Option<&QueryWord>) -> tantivy::Result<Expanded> {
        let word = &query.word;
        let mut into = Expanded::default();
        self.exact(&word.folded, EXACT, false, &mut into)?;
        if let Some(next) = next.filter(|next| next.word.kind != Kind::Bigram && word.kind != Kind::Bigram) {
            self.exact(&format!("{}{}", word.folded, next.word.folded), JOINED, true, &mut into)?;
        }
        if query.unfinished {
            self.prefix(&word.folded, &mut into)?;
        }
        if word.kind != Kind::Letters || query.optional {
            return Ok(into);
        }
        self.exact(&format!("{PAIR}{}", word.folded), JOINED, false, &mut into)?;
        let stems = self.stems(word);
        for stem in &stems {
            self.exact(&format!("{STEM}{stem}"), STEMMED, false, &mut into)?;
            self.exact(stem, STEMMED, false, &mut into)?;
        }
        self.misspelt(&word.folded, word.errors_max(), 1.0, &mut into)?;
        for stem in &stems {
            let errors = errors_max(stem.chars().count()).min(1);
            self.misspelt_stem(stem, errors, &mut into)?;
            if *stem != word.folded {
                self.misspelt(stem, errors, STEMMED, &mut into)?;
            }
        }
        if query.unfinished && into.terms.is_empty() {
            self.misspelt_prefix(word, &mut into)?;
        }
        into.keep_best();
        Ok(into)
    }

    /// The word's stems in the languages of the index and in the one that its script suggests.
    fn stems(&self, word: &Word) -> Vec<String> {
        let guess = language_of("", &word.lower);
        let mut languages: Vec<Language> = self.view.languages.clone();
        if !languages.contains(&guess) {
            languages.push(guess);
        }
        let mut stems: Vec<String> = languages.into_iter().map(|language| Stems::new(language).of(word)).collect();
        stems.sort_unstable();
        stems.dedup();
        stems
    }

    fn exact(&self, term: &str, quality: f32, with_next: bool, into: &mut Expanded) -> tantivy::Result<()> {
        for (segment, dictionary) in self.dictionaries.iter().enumerate() {
            if let Some(info) = dictionary.terms().get(term)? {
                into.offer(term, quality, with_next, segment, info);
            }
        }
        Ok(())
    }

    /// Words that begin with what was typed so far.
    fn prefix(&self, start: &str, into: &mut Expanded) -> tantivy::Result<()> {
        let letters = start.chars().count();
        let automaton = FuzzyTermQuery::new_prefix(self.term(start), 0, true).automaton()?;
        self.scan(&automaton, |segment, term, info| {
            let share = letters as f32 / term.chars().count().max(1) as f32;
            let quality = PREFIX_LEAST + (PREFIX_MOST - PREFIX_LEAST) * share;
            into.offer(term, quality, false, segment, info);
        })?;
        into.keep_best();
        Ok(())
    }

    /// Words that differ by at most `errors` typing errors.
    fn misspelt(&self, typed: &str, errors: u8, factor: f32, into: &mut Expanded) -> tantivy::Result<()> {
        if errors == 0 {
            return Ok(());
        }
        let letters: Vec<char> = typed.chars().collect();
        let automaton = FuzzyTermQuery::new(self.term(typed), errors, true).automaton()?;
        self.scan(&automaton, |segment, term, info| {
            if term.starts_with([STEM, PAIR]) {
                return;
            }
            let meant: Vec<char> = term.chars().collect();
            let Some(typo) = typo(&letters, &meant, errors).filter(|typo| typo.distance > 0) else {
                return;
            };
            let sure = if typo.distance == 1 { ONE_ERROR } else { TWO_ERRORS };
            let first = if typo.first_letter { FIRST_LETTER } else { 1.0 };
            into.offer(term, sure * first * factor, false, segment, info);
        })
    }

    /// Stems that differ by at most `errors` typing errors: `rabit` for `rabbits`.
    fn misspelt_stem(&self, stem: &str, errors: u8, into: &mut Expanded) -> tantivy::Result<()> {
        if errors == 0 {
            return Ok(());
        }
        let letters: Vec<char> = stem.chars().collect();
        let automaton = FuzzyTermQuery::new(self.term(&format!("{STEM}{stem}")), errors, true).automaton()?;
        self.scan(&automaton, |segment, term, info| {
            let Some(meant) = term.strip_prefix(STEM) else { return };
            let meant: Vec<char> = meant.chars().collect();
            if let Some(typo) = typo(&letters, &meant, errors).filter(|typo| typo.distance > 0) {
                let first = if typo.first_letter { FIRST_LETTER } else { 1.0 };
                into.offer(term, ONE_ERROR * first * STEMMED, false, segment, info);
            }
        })
    }

    /// Words that begin almost as what was typed so far.
    fn misspelt_prefix(&self, word: &Word, into: &mut Expanded) -> tantivy::Result<()> {
        if word.errors_max() == 0 {
            return Ok(());
        }
        let automaton = FuzzyTermQuery::new_prefix(self.term(&word.folded), 1, true).automaton()?;
        let first = word.folded.chars().next();
        self.scan(&automaton, |segment, term, info| {
            if term.chars().next() == first {
                into.offer(term, PREFIX_WITH_ERROR, false, segment, info);
            }
        })
    }

    fn term(&self, text: &str) -> Term {
        Term::from_field_text(self.view.fields.words, text)
    }

    /// Calls `use_term` for the terms that the automaton accepts, but not more than anybody can want.
    fn scan(&self, automaton: &DfaWrapper, mut use_term: impl FnMut(usize, &str, TermInfo)) -> tantivy::Result<()> {
        for (segment, dictionary) in self.dictionaries.iter().enumerate() {
            let mut terms = dictionary.terms().search(automaton).into_stream()?;
            let mut scanned = 0;
            while scanned < TERMS_SCANNED_MAX && terms.advance() {
                scanned += 1;
                if let Ok(term) = std::str::from_utf8(terms.key()) {
                    use_term(segment, term, terms.value().clone());
                }
            }
        }
        Ok(())
    }
}
