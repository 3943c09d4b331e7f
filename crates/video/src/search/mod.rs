//! Search that forgives: an index of the videos' words, and how it is asked.
//!
//! Owns the folder with the index (tantivy), which follows the service's own event log as the consumer
//! [`CONSUMER`], and can be thrown away at any time: it is rebuilt from the service's tables. The only
//! module that names tantivy.
//!
//! - `analysis` makes words of texts, `schema` says how they stand in the index;
//! - `generation`, `indexer` and `follow` keep the index on the disk true;
//! - `query`, `expand`, `matching` and `ranking` find; `highlight` shows where.
//!
//! Deliberately absent: who may see what. All videos are indexed; the caller says of each candidate
//! whether it may be shown, and looks again when it answers. Views and likes are not in the index either:
//! they change all the time, and are mixed in with the [`Standing`] that the caller gives.

mod analysis;
mod document;
mod error;
mod expand;
mod follow;
mod generation;
mod highlight;
mod indexer;
mod limits;
mod matching;
mod query;
mod ranking;
mod schema;
mod stop_words;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use proto::api::search::Highlight;
use proto::{ChannelId, Timestamp, VideoId};
use tokio::sync::Notify;

pub(crate) use document::{Document, Library};
pub use error::SearchError;
pub(crate) use limits::QUERY_CHARACTERS_MAX;
pub(crate) use query::{Filters, Sort};
pub(crate) use ranking::Standing;

use generation::{Generation, Opened, Progress};
use highlight::Marks;
use query::Query;

/// The name under which the index reads the service's own event log.
pub(crate) const CONSUMER: &str = "search";

/// The index. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Search(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    writer_memory_bytes: usize,
    /// What queries read.
    current: RwLock<Arc<Generation>>,
    /// How far the current one was when it was opened; `None`: it must be rebuilt.
    opened_at: Mutex<Option<Progress>>,
    /// Channels whose name changed: their videos are to be indexed again.
    renamed: Mutex<HashSet<ChannelId>>,
    /// The index is to be made anew, soon or again.
    rebuild: AtomicBool,
    wake: Notify,
}

/// How far the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standpoint {
    /// The last event that is in it.
    pub(crate) sequence: u64,
    /// It is being made anew; the one before it answers meanwhile.
    pub(crate) rebuilds: bool,
}

/// What the words of a query stand for, for [`Search::highlights`].
pub(crate) struct Wanted(Marks);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Search {
    /// Opens the newest usable index in `folder`, or an empty one, which [`Self::follow`] will fill.
    /// `writer_memory_bytes`: what the writer may take while it works, at least 15,000,000. Blocking.
    pub(crate) fn open(folder: &Path, writer_memory_bytes: usize) -> Result<Self, SearchError> {
        let numbers = generation::numbers(folder)?;
        let mut usable = None;
        for &number in &numbers {
            match Generation::open(folder, number)? {
                Opened::Usable(generation, progress) => {
                    usable = Some((generation, progress));
                    break;
                }
                Opened::Unusable(reason) => tracing::warn!(number, reason, "a search index cannot be used"),
            }
        }
        let (generation, progress) = match usable {
            Some((generation, progress)) => (*generation, Some(progress)),
            None => (Generation::create(folder, numbers.first().map_or(1, |newest| newest + 1))?, None),
        };
        for number in numbers.into_iter().filter(|number| *number != generation.number) {
            generation::remove(folder, number);
        }
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            writer_memory_bytes,
            current: RwLock::new(Arc::new(generation)),
            opened_at: Mutex::new(progress),
            renamed: Mutex::default(),
            rebuild: AtomicBool::new(false),
            wake: Notify::new(),
        })))
    }

    fn current(&self) -> Arc<Generation> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, generation: Arc<Generation>) -> Arc<Generation> {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, generation)
    }

    /// How far it is.
    pub(crate) fn standpoint(&self) -> Standpoint {
        let opened = *lock(&self.0.opened_at);
        let rebuilds = opened.is_none() || self.0.rebuild.load(Ordering::SeqCst);
        Standpoint { sequence: opened.map_or(0, |progress| progress.sequence), rebuilds }
    }

    /// Makes the index anew, soon.
    pub(crate) fn rebuild(&self) {
        self.0.rebuild.store(true, Ordering::SeqCst);
        self.0.wake.notify_one();
    }

    /// How many videos are in the index.
    pub(crate) fn len(&self) -> u64 {
        self.current().view().len()
    }

    /// Says that a channel's name or handle changed, so that its videos are indexed again.
    pub(crate) fn channel_renamed(&self, channel: ChannelId) {
        lock(&self.0.renamed).insert(channel);
        self.0.wake.notify_one();
    }

    /// Finds videos: at most 500, the best first. `standing` says of each candidate what is known of it, or `None` when the one who asks
    /// may not see it. Takes a processor for a moment: 0.1 ms with hundreds of videos.
    pub(crate) fn find(
        &self,
        text: &str,
        filters: &Filters,
        sort: Sort,
        standing: impl Fn(VideoId) -> Option<Standing>,
        now: Timestamp,
    ) -> Result<Vec<VideoId>, SearchError> {
        let query = Query::parse(text);
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.current().view();
        let expanded = expand::expand(&view, &query)?;
        let candidates = matching::candidates(&view, &query, &expanded, filters, false)?;
        Ok(ranking::best(candidates, query.required(), sort, standing, now))
    }

    /// What the words of `text` stand for.
    pub(crate) fn wanted(&self, text: &str) -> Result<Wanted, SearchError> {
        let view = self.current().view();
        Ok(Wanted(Marks::new(&expand::expand(&view, &Query::parse(text))?)))
    }

    /// Videos whose titles have all words of `text`, the last of them perhaps unfinished.
    pub(crate) fn complete(
        &self,
        text: &str,
        standing: impl Fn(VideoId) -> Option<Standing>,
        now: Timestamp,
    ) -> Result<Vec<VideoId>, SearchError> {
        let query = Query::parse(text);
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.current().view();
        let expanded = expand::expand(&view, &query)?;
        let candidates = matching::candidates(&view, &query, &expanded, &Filters::default(), true)?;
        Ok(ranking::best(candidates, query.required(), Sort::Relevance, standing, now))
    }

    /// Where the words of the query stand in the texts of a video.
    pub(crate) fn highlights(&self, wanted: &Wanted, id: VideoId) -> Result<Vec<Highlight>, SearchError> {
        let texts = self.current().view().texts(id)?;
        Ok(texts.map(|texts| wanted.0.highlights(&texts)).unwrap_or_default())
    }
}

/// What a text is about, for comparing texts: its stems without the words that are in every text.
pub(crate) fn topics(text: &str, language: &str, words_max: usize) -> Vec<String> {
    let mut stems = analysis::Stems::new(analysis::language_of(language, text));
    let words = analysis::words(text, words_max);
    let telling =
        words.iter().filter(|word| !stop_words::is_stop_word(&word.folded) && word.folded.chars().count() > 1);
    telling.map(|word| stems.of(word)).collect()
}

/// Titles as suggested queries: without repeats, without the overlong, at most ten.
pub(crate) fn suggestions<'a>(titles: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let short = titles.into_iter().filter(|title| title.chars().count() <= limits::SUGGESTION_CHARACTERS_MAX);
    let new = short.filter(|title| seen.insert(analysis::fold(title.trim())));
    new.map(|title| title.trim().to_owned()).take(limits::SUGGESTIONS_MAX).collect()
}
