//! From text to words, the same way for documents and queries: folded (lower case, without diacritics),
//! stemmed by language, CJK in bigrams, emoji as words of their own.

use std::ops::Range;

use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer};
use unicode_normalization::UnicodeNormalization;

/// Longer words are cut here, in characters; nobody types them.
pub(super) const WORD_CHARACTERS_MAX: usize = 40;
/// From this many letters on, one typing error is forgiven.
pub(super) const ONE_ERROR_FROM_LETTERS: usize = 4;
/// From this many letters on, two typing errors are forgiven.
pub(super) const TWO_ERRORS_FROM_LETTERS: usize = 8;
/// In words shorter than this, the first letter alone is never the error: `cat` is no `hat`.
pub(super) const FIRST_LETTER_COUNTS_BELOW_LETTERS: usize = 6;

/// What a word is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, perhaps with digits among them.
    Letters,
    /// Digits alone: never forgiven, never stemmed.
    Number,
    /// Two neighbouring characters of a script without spaces, or a single one that stands alone.
    Bigram,
    /// An emoji or another symbol that people search for.
    Symbol,
}

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As it is compared: lower case, without diacritics.
    pub(super) folded: String,
    /// Lower case with diacritics: what stemmers expect.
    pub(super) lower: String,
    /// What it is made of.
    pub(super) kind: Kind,
    /// Where it stands, in characters of the text.
    pub(super) characters: Range<u32>,
}

impl Word {
    /// How many typing errors are forgiven.
    pub(super) fn errors_max(&self) -> u8 {
        if self.kind == Kind::Letters { errors_max(self.folded.chars().count()) } else { 0 }
    }
}

/// How many typing errors are forgiven in a word of so many letters.
pub(super) const fn errors_max(letters: usize) -> u8 {
    match letters {
        TWO_ERRORS_FROM_LETTERS.. => 2,
        ONE_ERROR_FROM_LETTERS.. => 1,
        _ => 0,
    }
}

/// The words of `text` in their order, at most `limit`.
pub(super) fn words(text: &str, limit: usize) -> Vec<Word> {
    let mut reader = Reader { words: Vec::new(), word: String::new(), start: 0, script: Vec::new(), script_start: 0 };
    for (at, character) in (0_u32..).zip(text.chars()) {
        if reader.words.len() >= limit {
            break;
        }
        reader.take(at, character);
    }
    let end = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    reader.end_word(end);
    reader.end_script();
    reader.words.truncate(limit);
    reader.words
}

/// What is read so far: a word or a run of a script without spaces may be open, not both.
struct Reader {
    words: Vec<Word>,
    word: String,
    start: u32,
    script: Vec<char>,
    script_start: u32,
}

impl Reader {
    fn take(&mut self, at: u32, character: char) {
        if is_unspaced(character) {
            self.end_word(at);
            if self.script.is_empty() {
                self.script_start = at;
            }
            self.script.push(character);
            return;
        }
        self.end_script();
        if character.is_alphanumeric() || (is_mark(character) && !self.word.is_empty()) {
            if self.word.is_empty() {
                self.start = at;
            }
            self.word.push(character);
        } else if is_apostrophe(character) && self.word.chars().count() > 1 {
            // `rabbit's` is one word, `l'homme` is two.
            self.word.push('\'');
        } else {
            self.end_word(at);
            if is_symbol(character) {
                let text = character.to_string();
                let word = Word { folded: text.clone(), lower: text, kind: Kind::Symbol, characters: at..at + 1 };
                self.words.push(word);
            }
        }
    }

    fn end_word(&mut self, end: u32) {
        if self.word.is_empty() {
            return;
        }
        let written = std::mem::take(&mut self.word);
        let lower: String = written.chars().filter(|c| *c != '\'').flat_map(char::to_lowercase).collect();
        let lower: String = if lower.is_ascii() {
            lower.chars().take(WORD_CHARACTERS_MAX).collect()
        } else {
            lower.nfc().take(WORD_CHARACTERS_MAX).collect()
        };
        let folded = fold(&lower);
        let trailing = written.chars().rev().take_while(|c| *c == '\'').count();
        if !folded.is_empty() {
            let number = folded.chars().all(|c| c.is_ascii_digit());
            let kind = if number { Kind::Number } else { Kind::Letters };
            let end = end.saturating_sub(u32::try_from(trailing).unwrap_or(0));
            self.words.push(Word { folded, lower, kind, characters: self.start..end });
        }
    }

    fn end_script(&mut self) {
        let run = std::mem::take(&mut self.script);
        let mut push = |from: usize, characters: &[char]| {
            let text: String = characters.iter().collect();
            let start = self.script_start + u32::try_from(from).unwrap_or(0);
            let end = start + u32::try_from(characters.len()).unwrap_or(0);
            self.words.push(Word { folded: fold(&text), lower: text, kind: Kind::Bigram, characters: start..end });
        };
        match run.len() {
            0 => {}
            1 => push(0, &run),
            _ => run.windows(2).enumerate().for_each(|(from, pair)| push(from, pair)),
        }
    }
}

/// Lower case, compatibility forms and diacritics undone, letters without a decomposition spelt out.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.nfkd().filter(|c| !is_accent(*c)).flat_map(char::to_lowercase) {
        match character {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'đ' | 'ð' => plain.push('d'),
            'ł' => plain.push('l'),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            'ς' => plain.push('σ'),
            other if is_accent(other) => {}
            other => plain.push(other),
        }
    }
    plain.nfc().collect()
}

/// Marks that change the colour of a letter but not the word, for the scripts where that is so.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}')
}

fn is_mark(character: char) -> bool {
    unicode_normalization::char::is_combining_mark(character)
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '’' | 'ʼ')
}

/// Scripts written without spaces between words (Hangul besides: its words carry endings).
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{2fa1f}')
}

fn is_symbol(character: char) -> bool {
    matches!(character, '\u{2600}'..='\u{27bf}' | '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1faff}')
}

/// The stemmer for a BCP 47 tag; without one, what the script lets us guess.
pub(super) fn language_of(tag: &str, text: &str) -> Language {
    let primary = tag.split(['-', '_']).next().unwrap_or_default();
    named_language(&primary.to_ascii_lowercase()).unwrap_or_else(|| {
        let mut letters = text.chars().filter(|c| c.is_alphabetic());
        letters.find_map(language_of_script).unwrap_or(Language::English)
    })
}

fn language_of_script(letter: char) -> Option<Language> {
    Some(match letter {
        '\u{370}'..='\u{3ff}' => Language::Greek,
        '\u{400}'..='\u{4ff}' => Language::Russian,
        '\u{600}'..='\u{6ff}' => Language::Arabic,
        '\u{b80}'..='\u{bff}' => Language::Tamil,
        _ => return None,
    })
}

/// The stemmer of a primary language subtag.
pub(super) fn named_language(primary: &str) -> Option<Language> {
    Some(match primary {
        "ar" => Language::Arabic,
        "da" => Language::Danish,
        "nl" => Language::Dutch,
        "en" => Language::English,
        "fi" => Language::Finnish,
        "fr" => Language::French,
        "de" => Language::German,
        "el" => Language::Greek,
        "hu" => Language::Hungarian,
        "it" => Language::Italian,
        "nb" | "nn" | "no" => Language::Norwegian,
        "pt" => Language::Portuguese,
        "ro" => Language::Romanian,
        "ru" => Language::Russian,
        "es" => Language::Spanish,
        "sv" => Language::Swedish,
        "ta" => Language::Tamil,
        "tr" => Language::Turkish,
        _ => return None,
    })
}

/// Stems words of one language.
pub(super) struct Stems(TextAnalyzer);

impl Stems {
    pub(super) fn new(language: Language) -> Self {
        Self(TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(language)).build())
    }

    /// The folded stem. Numbers, bigrams, symbols and the shortest words are their own stems.
    pub(super) fn of(&mut self, word: &Word) -> String {
        if word.kind != Kind::Letters || word.lower.len() < 3 {
            return word.folded.clone();
        }
        let mut stream = self.0.token_stream(&word.lower);
        match stream.next() {
            Some(token) if !token.text.is_empty() => fold(&token.text),
            _ => word.folded.clone(),
        }
    }
}

/// A typing error that is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Typo {
    /// Insertions, deletions, substitutions and transpositions of neighbours, each 1.
    pub(super) distance: u8,
    /// Whether the first letters differ: rarer, so trusted less.
    pub(super) first_letter: bool,
}

/// How `typed` is a misspelling of `meant`, if it is one with at most `errors` errors.
pub(super) fn typo(typed: &[char], meant: &[char], errors: u8) -> Option<Typo> {
    let distance = distance(typed, meant, usize::from(errors))?;
    let (Some(first_typed), Some(first_meant)) = (typed.first(), meant.first()) else {
        return None;
    };
    let first_letter = first_typed != first_meant;
    if first_letter && typed.len() < FIRST_LETTER_COUNTS_BELOW_LETTERS {
        let alone = typed[1..] == meant[1..] || typed[1..] == *meant || *typed == meant[1..];
        if alone {
            return None;
        }
    }
    Some(Typo { distance: u8::try_from(distance).ok()?, first_letter })
}

/// Optimal string alignment distance, if it is at most `limit`.
fn distance(left: &[char], right: &[char], limit: usize) -> Option<usize> {
    if left.len().abs_diff(right.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, l) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(right.len() + 1);
        current.push(row + 1);
        for (column, r) in right.iter().enumerate() {
            let mut best =
                (previous[column] + usize::from(l != r)).min(previous[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *l == right[column - 1] && left[row - 1] == *r {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text, 100).into_iter().map(|word| word.folded).collect()
    }

    fn is_typo(typed: &str, meant: &str) -> bool {
        let typed: Vec<char> = typed.chars().collect();
        let meant: Vec<char> = meant.chars().collect();
        typo(&typed, &meant, errors_max(typed.len())).is_some()
    }

    #[test]
    fn words_are_folded() {
        assert_eq!(
            folded("Das MÄDCHEN, die Straße – Œuvre & Łódź!"),
            ["das", "madchen", "die", "strasse", "oeuvre", "lodz"]
        );
        assert_eq!(folded("don't l’homme rabbits'"), ["dont", "l", "homme", "rabbits"]);
        assert_eq!(folded("ＦＵＬＬ ﬁne ①"), ["full", "fine", "1"]);
        assert_eq!(folded("e\u{301}cole école"), ["ecole", "ecole"]);
    }

    #[test]
    fn cjk_is_bigrams_and_emoji_are_words() {
        assert_eq!(folded("東京タワー 猫"), ["東京", "京タ", "タワ", "ワー", "猫"]);
        assert_eq!(folded("cat🐱dog"), ["cat", "🐱", "dog"]);
        assert_eq!(folded("한국어"), ["한국", "국어"]);
    }

    #[test]
    fn positions_are_in_characters() {
        let found = words("Ä häß rabbit's 東京x", 100);
        let at: Vec<_> = found.iter().map(|word| (word.characters.start, word.characters.end)).collect();
        assert_eq!(at, [(0, 1), (2, 5), (6, 14), (15, 17), (17, 18)]);
    }

    #[test]
    fn hostile_text_has_no_words_or_few() {
        assert!(folded("\"\"\"'''``--++((").is_empty());
        assert!(folded("\0\u{1}\u{2}\u{7f}\u{200b}\u{202e}").is_empty());
        assert_eq!(words(&"a ".repeat(10_000), 16).len(), 16);
        assert_eq!(folded(&"x".repeat(10_000))[0].len(), WORD_CHARACTERS_MAX);
        assert!(words(&"\u{301}".repeat(10_000), 16).is_empty());
    }

    #[test]
    fn one_error_from_four_letters_two_from_eight() {
        assert!(is_typo("rabit", "rabbit"));
        assert!(is_typo("medow", "meadow"));
        assert!(is_typo("wrod", "word"), "a transposition is one error");
        assert!(is_typo("Kannichen", "Kaninchen"));
        assert!(is_typo("kanichnen", "kaninchen"));
        assert!(!is_typo("ct", "cat"));
        assert!(!is_typo("rabtt", "rabbits"), "two errors in five letters");
        assert!(!is_typo("elefxxxt", "elephant"), "three errors in eight letters");
    }

    #[test]
    fn the_first_letter_alone_is_no_error_in_short_words() {
        assert!(!is_typo("book", "cook"));
        assert!(!is_typo("ight", "light"));
        assert!(!is_typo("tall", "all"));
        assert!(is_typo("sabbit", "rabbit"), "six letters are long enough");
        assert!(is_typo("owrd", "word"), "a transposition moves two letters");
    }

    #[test]
    fn stems_follow_the_language() {
        let stem = |text: &str, language: &str| {
            let word = words(text, 1).remove(0);
            Stems::new(language_of(language, text)).of(&word)
        };
        assert_eq!(stem("rabbits", "en-GB"), stem("rabbit", ""));
        assert_eq!(stem("running", "en"), "run");
        assert_eq!(stem("Häuser", "de"), stem("Haus", "de"));
        assert_eq!(stem("кошки", ""), stem("кошка", "ru"));
        assert_eq!(stem("2024", "en"), "2024");
    }
}
