//! Every limit of search, with its unit.

use std::time::Duration;

/// The longest query, in characters.
pub(crate) const QUERY_CHARACTERS_MAX: usize = 500;
/// Words of a query that count; those behind are ignored.
pub(super) const QUERY_WORDS_MAX: usize = 16;
/// The most hits that one query can be paged through.
pub(crate) const HITS_MAX: usize = 500;
/// The most suggestions of one answer.
pub(crate) const SUGGESTIONS_MAX: usize = 10;
/// The longest title that is suggested as a query, in characters.
pub(super) const SUGGESTION_CHARACTERS_MAX: usize = 80;
/// The most terms of the index that one misspelt or unfinished word stands for.
pub(super) const TERMS_OF_A_WORD_MAX: usize = 64;
/// The most terms of a segment that are looked at for one misspelt or unfinished word.
pub(super) const TERMS_SCANNED_MAX: usize = 4_096;
/// Documents found by the rarer words of a query after which frequent words add no further ones.
pub(super) const CANDIDATES_ENOUGH: usize = 5_000;
/// Words that are indexed of a title.
pub(super) const TITLE_WORDS_MAX: usize = 200;
/// Words that are indexed of a channel's name and handle.
pub(super) const CHANNEL_WORDS_MAX: usize = 200;
/// Words that are indexed of all tags of a video.
pub(super) const TAG_WORDS_MAX: usize = 1_500;
/// Words that are indexed of a description.
pub(super) const DESCRIPTION_WORDS_MAX: usize = 5_000;
/// The length of a passage of a description, in characters.
pub(super) const PASSAGE_CHARACTERS: usize = 160;
/// Words of a description among which the best passage is looked for.
pub(super) const PASSAGE_WORDS_MAX: usize = 600;
/// Tags shown as highlights of one hit.
pub(super) const TAG_HIGHLIGHTS_MAX: usize = 5;
/// Blocks of stored texts (16 KiB each) that the reader keeps unpacked.
pub(super) const STORE_CACHE_BLOCKS: usize = 16;
/// Events taken from the log at once.
pub(super) const EVENTS_AT_ONCE: usize = 256;
/// Documents read at once for a rebuild.
pub(super) const REBUILD_DOCUMENTS_AT_ONCE: usize = 200;
/// The writer, with its threads and memory, is put away after this long without a change.
pub(super) const WRITER_IDLE: Duration = Duration::from_secs(5);
/// How long after a failure the follower tries again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
