//! How a video stands in the index.
//!
//! All words of a video are in one field, so there is one dictionary to look misspelt words up in; the
//! position of a word says where it comes from ([`Zone`]). A stem that differs from its word stands at the
//! same place behind [`STEM`], two neighbours of the title written as one behind [`PAIR`].

use proto::VideoId;
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{PreTokenizedString, Token};

use super::Document;
use super::analysis::{Kind, Stems, Word, language_of, words};
use super::limits::{CHANNEL_WORDS_MAX, DESCRIPTION_WORDS_MAX, TAG_WORDS_MAX, TITLE_WORDS_MAX};

/// Raised with every change of what is indexed or how: an index of another version is rebuilt.
pub(super) const VERSION: u32 = 1;

/// Stands before stems, so that they are never taken for words.
pub(super) const STEM: char = '\u{1}';
/// Stands before two words of a title written as one.
pub(super) const PAIR: char = '\u{2}';

/// Where a word comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Zone {
    Title,
    Channel,
    Tags,
    Description,
}

impl Zone {
    /// The zone of a position.
    pub(super) const fn of(position: u32) -> Self {
        match position {
            0..1_000 => Self::Title,
            1_000..2_000 => Self::Channel,
            2_000..10_000 => Self::Tags,
            _ => Self::Description,
        }
    }

    /// The position of its first word.
    pub(super) const fn start(self) -> usize {
        match self {
            Self::Title => 0,
            Self::Channel => 1_000,
            Self::Tags => 2_000,
            Self::Description => 10_000,
        }
    }
}

/// The fields of the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) id: Field,
    pub(super) id_high: Field,
    pub(super) id_low: Field,
    pub(super) channel_id: Field,
    pub(super) words: Field,
    pub(super) title_words: Field,
    pub(super) handle: Field,
    pub(super) category: Field,
    pub(super) language: Field,
    pub(super) duration_ms: Field,
    pub(super) published_ms: Field,
    pub(super) title: Field,
    pub(super) tags: Field,
    pub(super) description: Field,
}

/// The schema of this version.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let positions = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let fields = Fields {
        id: builder.add_bytes_field("id", INDEXED),
        id_high: builder.add_u64_field("id_high", FAST),
        id_low: builder.add_u64_field("id_low", FAST),
        channel_id: builder.add_bytes_field("channel_id", INDEXED),
        words: builder.add_text_field("words", TextOptions::default().set_indexing_options(positions)),
        title_words: builder.add_u64_field("title_words", FAST),
        handle: builder.add_text_field("handle", STRING | FAST),
        category: builder.add_text_field("category", STRING | FAST),
        language: builder.add_text_field("language", STRING | FAST | STORED),
        duration_ms: builder.add_u64_field("duration_ms", FAST),
        published_ms: builder.add_i64_field("published_ms", FAST),
        title: builder.add_text_field("title", STORED),
        tags: builder.add_text_field("tags", STORED),
        description: builder.add_text_field("description", STORED),
    };
    (builder.build(), fields)
}

/// An identifier as the two numbers that fast fields can hold.
pub(super) fn halves(id: VideoId) -> (u64, u64) {
    let number = u128::from_be_bytes(id.bytes());
    ((number >> 64) as u64, number as u64)
}

/// The identifier of two halves.
pub(super) fn joined(high: u64, low: u64) -> VideoId {
    VideoId::from_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

/// The primary subtag, lower case: `de` of `de-AT`.
pub(super) fn primary_language(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

/// The index's document for `video`.
pub(super) fn document(fields: &Fields, video: &Document) -> TantivyDocument {
    let profile = &video.profile;
    let title = words(&profile.title, TITLE_WORDS_MAX);
    let (high, low) = halves(profile.id);
    let mut document = TantivyDocument::new();
    document.add_bytes(fields.id, &profile.id.bytes());
    document.add_u64(fields.id_high, high);
    document.add_u64(fields.id_low, low);
    document.add_bytes(fields.channel_id, &profile.channel.bytes());
    document.add_u64(fields.title_words, title.len() as u64);
    document.add_text(fields.handle, &video.channel_handle);
    document.add_text(fields.category, &video.category);
    document.add_text(fields.language, primary_language(&video.language));
    document.add_u64(fields.duration_ms, (profile.duration.max(0.0) * 1_000.0) as u64);
    document.add_i64(fields.published_ms, profile.published_at.map_or(0, |at| at.ms()));
    document.add_text(fields.title, &profile.title);
    for tag in &video.tags {
        document.add_text(fields.tags, tag);
    }
    document.add_text(fields.description, &video.description);
    document.add_pre_tokenized_text(fields.words, tokens(video, &title));
    document
}

fn tokens(video: &Document, title: &[Word]) -> PreTokenizedString {
    let mut stems = Stems::new(language_of(&video.language, &video.profile.title));
    let channel = words(&format!("{} {}", video.channel_name, video.channel_handle), CHANNEL_WORDS_MAX);
    let tags = words(&video.tags.join(" \n "), TAG_WORDS_MAX);
    let description = words(&video.description, DESCRIPTION_WORDS_MAX);
    let mut tokens = Vec::new();
    add(&mut tokens, &mut stems, Zone::Title, title);
    for (at, pair) in title.windows(2).enumerate() {
        if pair.iter().all(|word| word.kind != Kind::Bigram) {
            tokens.push(token(format!("{PAIR}{}{}", pair[0].folded, pair[1].folded), at));
        }
    }
    tokens.sort_by_key(|token| token.position);
    add(&mut tokens, &mut stems, Zone::Channel, &channel);
    add(&mut tokens, &mut stems, Zone::Tags, &tags);
    add(&mut tokens, &mut stems, Zone::Description, &description);
    PreTokenizedString { text: String::new(), tokens }
}

fn add(tokens: &mut Vec<Token>, stems: &mut Stems, zone: Zone, words: &[Word]) {
    for (at, word) in words.iter().enumerate() {
        let position = zone.start() + at;
        tokens.push(token(word.folded.clone(), position));
        match word.kind {
            Kind::Letters => {
                let stem = stems.of(word);
                if stem != word.folded {
                    tokens.push(token(format!("{STEM}{stem}"), position));
                }
            }
            // A single character finds the words that it is in.
            Kind::Bigram if zone != Zone::Description => {
                let mut characters = word.folded.chars();
                let first = characters.next().map(String::from).unwrap_or_default();
                let last = characters.next_back().map(String::from).unwrap_or_default();
                let ends = words.get(at + 1).is_none_or(|next| next.characters.start != word.characters.start + 1);
                let singles = [(!last.is_empty()).then_some(first), ends.then_some(last)];
                for single in singles.into_iter().flatten().filter(|single| !single.is_empty()) {
                    tokens.push(token(single, position));
                }
            }
            Kind::Bigram | Kind::Number | Kind::Symbol => {}
        }
    }
}

fn token(text: String, position: usize) -> Token {
    Token { offset_from: 0, offset_to: 0, position, text, position_length: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_do_not_run_into_each_other() {
        let limits = [
            (Zone::Title, TITLE_WORDS_MAX),
            (Zone::Channel, CHANNEL_WORDS_MAX),
            (Zone::Tags, TAG_WORDS_MAX),
            (Zone::Description, DESCRIPTION_WORDS_MAX),
        ];
        for (zone, limit) in limits {
            for position in [zone.start(), zone.start() + limit - 1] {
                assert_eq!(Zone::of(u32::try_from(position).unwrap_or(u32::MAX)), zone);
            }
        }
    }

    #[test]
    fn an_id_survives_its_halves() {
        for id in [VideoId::generate(), VideoId::from_bytes([0; 16]), VideoId::from_bytes([255; 16])] {
            let (high, low) = halves(id);
            assert_eq!(joined(high, low), id);
        }
    }
}
