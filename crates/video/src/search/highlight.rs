//! Where the words that were found stand in the texts, in characters.

use std::collections::HashSet;

use proto::api::search::Highlight;

use super::analysis::{Kind, Stems, Word, language_of, words};
use super::expand::Expanded;
use super::limits::{PASSAGE_CHARACTERS, PASSAGE_WORDS_MAX, TAG_HIGHLIGHTS_MAX, TITLE_WORDS_MAX};
use super::ranking::FOUND_FROM;
use super::schema::{PAIR, STEM};
use super::view::Texts;

/// What counts as a hit within a text.
#[derive(Debug, Default)]
pub(super) struct Marks {
    words: HashSet<String>,
    stems: HashSet<String>,
    pairs: HashSet<String>,
    /// How they begin: most words of a text need no closer look.
    initials: HashSet<char>,
}

/// A marked range, `[start, end)` in characters.
type Range = (u32, u32);

impl Marks {
    /// The terms that the words of a query stand for.
    pub(super) fn new(expanded: &[Expanded]) -> Self {
        let mut marks = Self::default();
        let sure = |expanded: &Expanded| {
            let terms = expanded.terms.iter().filter(|(_, expansion)| expansion.quality >= FOUND_FROM);
            terms.map(|(term, _)| term.clone()).collect::<Vec<_>>()
        };
        for term in expanded.iter().flat_map(sure) {
            let word = term.trim_start_matches([STEM, PAIR]);
            marks.initials.extend(word.chars().next());
            match term.chars().next() {
                Some(STEM) => marks.stems.insert(word.to_owned()),
                Some(PAIR) => marks.pairs.insert(word.to_owned()),
                _ => marks.words.insert(term),
            };
        }
        marks
    }

    /// The highlights of a video's texts.
    pub(super) fn highlights(&self, texts: &Texts) -> Vec<Highlight> {
        let mut stems = Stems::new(language_of(&texts.language, &texts.title));
        let mut highlights = Vec::new();
        let title = self.ranges(&words(&texts.title, TITLE_WORDS_MAX), &mut stems);
        if !title.is_empty() {
            highlights.push(Highlight { field: "title".to_owned(), text: texts.title.clone(), ranges: title });
        }
        let description = words(&texts.description, PASSAGE_WORDS_MAX);
        let ranges = self.ranges(&description, &mut stems);
        if let Some((text, ranges)) = passage(&texts.description, &ranges) {
            highlights.push(Highlight { field: "description".to_owned(), text, ranges });
        }
        let mut tags = 0;
        for tag in &texts.tags {
            let ranges = self.ranges(&words(tag, TITLE_WORDS_MAX), &mut stems);
            if !ranges.is_empty() && tags < TAG_HIGHLIGHTS_MAX {
                tags += 1;
                highlights.push(Highlight { field: "tags".to_owned(), text: tag.clone(), ranges });
            }
        }
        highlights
    }

    fn ranges(&self, words: &[Word], stems: &mut Stems) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let (mut start, mut end) = (word.characters.start, word.characters.end);
            if !self.is_marked(word, stems) {
                let single = |character: char| self.words.contains(character.encode_utf8(&mut [0; 4]) as &str);
                let next = words.get(at + 1).filter(|next| {
                    !self.pairs.is_empty() && self.pairs.contains(&format!("{}{}", word.folded, next.folded))
                });
                if let Some(next) = next {
                    end = next.characters.end;
                } else if word.kind == Kind::Bigram && word.folded.chars().count() == 2 {
                    let mut both = word.folded.chars();
                    match (both.next().is_some_and(single), both.next().is_some_and(single)) {
                        (false, false) => continue,
                        (true, false) => end -= 1,
                        (false, true) => start += 1,
                        (true, true) => {}
                    }
                } else {
                    continue;
                }
            }
            match ranges.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => ranges.push((start, end)),
            }
        }
        ranges
    }

    fn is_marked(&self, word: &Word, stems: &mut Stems) -> bool {
        if self.words.contains(&word.folded) {
            return true;
        }
        let begins_so = word.folded.chars().next().is_some_and(|first| self.initials.contains(&first));
        if word.kind != Kind::Letters || !begins_so {
            return false;
        }
        // The stem of another form of the word may itself be a word that was found.
        let stem = stems.of(word);
        self.stems.contains(&stem) || self.words.contains(&stem)
    }
}

/// The part of a long text with the most hits, cut between words, and the ranges within it.
fn passage(text: &str, ranges: &[Range]) -> Option<(String, Vec<Range>)> {
    let width = u32::try_from(PASSAGE_CHARACTERS).unwrap_or(u32::MAX);
    let within = |from: u32| ranges.iter().filter(move |(start, end)| *start >= from && *end <= from + width);
    let densest = ranges.iter().max_by_key(|(start, _)| (within(*start).count(), std::cmp::Reverse(*start)))?;
    let characters: Vec<char> = text.chars().collect();
    let length = u32::try_from(characters.len()).unwrap_or(u32::MAX);
    let last_end = within(densest.0).map(|(_, end)| *end).max().unwrap_or(densest.1);
    // The hits stand in the middle of the passage.
    let spare = width.saturating_sub(last_end - densest.0) / 2;
    let mut from = densest.0.saturating_sub(spare).min(length.saturating_sub(width));
    while from > 0 && from < densest.0 && !characters[from as usize - 1].is_whitespace() {
        from += 1;
    }
    let mut until = (from + width).min(length).max(last_end.min(length));
    while until < length && until > last_end && !characters[until as usize].is_whitespace() {
        until -= 1;
    }
    let inside = ranges.iter().filter(|(start, end)| *start >= from && *end <= until);
    let ranges: Vec<Range> = inside.map(|(start, end)| (start - from, end - from)).collect();
    let text: String =
        characters[from as usize..until as usize].iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
    (!ranges.is_empty()).then_some((text, ranges))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn marks(words: &[&str]) -> Marks {
        let initials = words.iter().filter_map(|word| word.chars().next()).collect();
        Marks { words: words.iter().map(|word| (*word).to_owned()).collect(), initials, ..Marks::default() }
    }

    fn marked(highlight: &Highlight) -> Vec<String> {
        let characters: Vec<char> = highlight.text.chars().collect();
        let piece = |(start, end): &Range| characters[*start as usize..*end as usize].iter().collect();
        highlight.ranges.iter().map(piece).collect()
    }

    #[test]
    fn ranges_are_characters_of_the_text() {
        let texts = Texts { title: "Ünïcode 🐇 Rabbit – rabbit".to_owned(), ..Texts::default() };
        let found = marks(&["rabbit"]).highlights(&texts);
        assert_eq!(found.len(), 1);
        assert_eq!(marked(&found[0]), ["Rabbit", "rabbit"]);
    }

    #[test]
    fn a_long_description_gives_the_passage_with_the_most_hits() {
        let filler = "lorem ipsum dolor sit amet ".repeat(40);
        let text = format!("meadow {filler} a rabbit in a meadow sees a rabbit {filler}");
        let texts = Texts { description: text, ..Texts::default() };
        let found = marks(&["rabbit", "meadow"]).highlights(&texts);
        assert_eq!(marked(&found[0]), ["rabbit", "meadow", "rabbit"]);
        assert!(found[0].text.chars().count() <= PASSAGE_CHARACTERS);
    }

    #[test]
    fn a_passage_at_either_end_stays_within_the_text() {
        for text in
            ["rabbit", "x rabbit", &format!("{} rabbit", "y".repeat(400)), &format!("rabbit{}", "z ".repeat(400))]
        {
            let texts = Texts { description: text.to_owned(), ..Texts::default() };
            let found = marks(&["rabbit"]).highlights(&texts);
            if text.contains(" rabbit") || text == "rabbit" {
                assert_eq!(marked(&found[0]), ["rabbit"], "{text}");
            }
        }
    }

    #[test]
    fn bigrams_join_to_one_range_and_single_characters_are_found_in_them() {
        let texts =
            Texts { title: "夜の東京タワー".to_owned(), tags: vec!["黒猫".to_owned()], ..Texts::default() };
        let found = marks(&["東京", "京タ", "タワ", "ワー", "猫"]).highlights(&texts);
        assert_eq!(marked(&found[0]), ["東京タワー"]);
        assert_eq!((found[1].field.as_str(), marked(&found[1])), ("tags", vec!["猫".to_owned()]));
    }
}
