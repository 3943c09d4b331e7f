//! What is looked for.

use proto::Timestamp;

use super::analysis::{Kind, Word, words};
use super::limits::QUERY_WORDS_MAX;
use super::stop_words::is_stop_word;

/// In which order hits come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The best first.
    #[default]
    Relevance,
    /// The newest first.
    New,
    /// The oldest first.
    Old,
    /// The most viewed first.
    Popular,
}

/// Which videos may be among the hits.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filters {
    /// At least this long, in milliseconds.
    pub duration_from_ms: u64,
    /// Shorter than this, in milliseconds.
    pub duration_until_ms: Option<u64>,
    /// Published at this time or later.
    pub published_from: Option<Timestamp>,
    /// Of the channel with this handle.
    pub channel: Option<String>,
    /// Of this category.
    pub category: Option<String>,
    /// In this language: a BCP 47 tag, of which the primary subtag counts.
    pub language: Option<String>,
}

/// A word of a query.
#[derive(Debug, Clone)]
pub(super) struct QueryWord {
    pub(super) word: Word,
    /// Too common to be missed.
    pub(super) optional: bool,
    /// The last word of a query that ends with it: perhaps unfinished.
    pub(super) unfinished: bool,
}

/// An analysed query.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) words: Vec<QueryWord>,
}

impl Query {
    /// Reads what somebody typed. Whatever it is, this does not fail; there may be no words in it.
    pub(super) fn parse(text: &str) -> Self {
        let words = words(text, QUERY_WORDS_MAX);
        let all_common = words.iter().all(|word| is_stop_word(&word.folded));
        let open = text.chars().next_back().is_some_and(char::is_alphanumeric);
        let last = words.len().saturating_sub(1);
        let words = words.into_iter().enumerate().map(|(at, word)| QueryWord {
            optional: !all_common && is_stop_word(&word.folded),
            unfinished: open && at == last && matches!(word.kind, Kind::Letters | Kind::Number),
            word,
        });
        Self { words: words.collect() }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many words are missed if they are not there.
    pub(super) fn required(&self) -> usize {
        self.words.iter().filter(|word| !word.optional).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_optional_unless_there_are_no_others() {
        let query = Query::parse("Rabbit in the meadow");
        assert_eq!(query.required(), 2);
        assert_eq!(Query::parse("the in").required(), 2);
    }

    #[test]
    fn only_the_last_word_may_be_unfinished() {
        let unfinished = |text| Query::parse(text).words.iter().map(|word| word.unfinished).collect::<Vec<_>>();
        assert_eq!(unfinished("big buck"), [false, true]);
        assert_eq!(unfinished("big buck "), [false, false]);
        assert_eq!(unfinished("東京"), [false]);
    }

    #[test]
    fn hostile_queries_are_short_or_empty() {
        assert!(Query::parse("").is_empty());
        assert!(Query::parse("\"\"\"''\"").is_empty());
        assert!(Query::parse("\0\u{7}\u{1b}[31m\u{200b}").required() <= 1);
        assert_eq!(Query::parse(&"word ".repeat(2_000)).words.len(), QUERY_WORDS_MAX);
    }
}
