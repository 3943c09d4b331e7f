//! The index as it was at the last commit, with what every query needs of it at hand.

use proto::VideoId;
use tantivy::columnar::StrColumn;
use tantivy::fastfield::Column;
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::tokenizer::Language;
use tantivy::{DocAddress, DocSet, IndexReader, Searcher, SegmentReader, TERMINATED, TantivyDocument, Term};

use super::analysis::named_language;
use super::query::Filters;
use super::schema::{Fields, joined, primary_language};

/// A commit, opened for reading.
pub(super) struct View {
    pub(super) searcher: Searcher,
    pub(super) fields: Fields,
    pub(super) columns: Vec<Columns>,
    /// The languages of the documents whose stemmer we have, English always among them.
    pub(super) languages: Vec<Language>,
}

/// The numbers that stand beside the words of a segment.
pub(super) struct Columns {
    id_high: Column<u64>,
    id_low: Column<u64>,
    title_words: Column<u64>,
    duration_ms: Column<u64>,
    published_ms: Column<i64>,
    handle: Option<StrColumn>,
    category: Option<StrColumn>,
    language: Option<StrColumn>,
}

/// The texts of a video as they were indexed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Texts {
    pub(super) title: String,
    pub(super) tags: Vec<String>,
    pub(super) description: String,
    /// The primary language subtag, or empty.
    pub(super) language: String,
}

impl View {
    pub(super) fn new(reader: &IndexReader, fields: Fields) -> tantivy::Result<Self> {
        let searcher = reader.searcher();
        let columns = searcher.segment_readers().iter().map(Columns::open).collect::<tantivy::Result<_>>()?;
        let languages = languages(&searcher, &fields)?;
        Ok(Self { searcher, fields, columns, languages })
    }

    /// How many videos are in it.
    pub(super) fn len(&self) -> u64 {
        self.searcher.num_docs()
    }

    fn address(&self, id: VideoId) -> tantivy::Result<Option<DocAddress>> {
        let term = Term::from_field_bytes(self.fields.id, &id.bytes());
        for (segment, reader) in (0..).zip(self.searcher.segment_readers()) {
            let index = reader.inverted_index(self.fields.id)?;
            let Some(mut postings) = index.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            while postings.doc() != TERMINATED {
                if !reader.is_deleted(postings.doc()) {
                    return Ok(Some(DocAddress::new(segment, postings.doc())));
                }
                postings.advance();
            }
        }
        Ok(None)
    }

    /// The texts of a video, if it is there.
    pub(super) fn texts(&self, id: VideoId) -> tantivy::Result<Option<Texts>> {
        let Some(address) = self.address(id)? else {
            return Ok(None);
        };
        let document: TantivyDocument = self.searcher.doc(address)?;
        let all = |field| document.get_all(field).filter_map(|value| value.as_str().map(str::to_owned));
        Ok(Some(Texts {
            title: all(self.fields.title).next().unwrap_or_default(),
            tags: all(self.fields.tags).collect(),
            description: all(self.fields.description).next().unwrap_or_default(),
            language: all(self.fields.language).next().unwrap_or_default(),
        }))
    }
}

fn languages(searcher: &Searcher, fields: &Fields) -> tantivy::Result<Vec<Language>> {
    let mut languages = vec![Language::English];
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(fields.language)?;
        let mut names = index.terms().stream()?;
        while names.advance() {
            let language = std::str::from_utf8(names.key()).ok().and_then(named_language);
            if let Some(language) = language.filter(|language| !languages.contains(language)) {
                languages.push(language);
            }
        }
    }
    Ok(languages)
}

impl Columns {
    fn open(segment: &SegmentReader) -> tantivy::Result<Self> {
        let fast = segment.fast_fields();
        Ok(Self {
            id_high: fast.u64("id_high")?,
            id_low: fast.u64("id_low")?,
            title_words: fast.u64("title_words")?,
            duration_ms: fast.u64("duration_ms")?,
            published_ms: fast.i64("published_ms")?,
            handle: fast.str("handle")?,
            category: fast.str("category")?,
            language: fast.str("language")?,
        })
    }

    pub(super) fn id(&self, doc: u32) -> Option<VideoId> {
        Some(joined(self.id_high.first(doc)?, self.id_low.first(doc)?))
    }

    pub(super) fn title_words(&self, doc: u32) -> usize {
        self.title_words.first(doc).and_then(|words| usize::try_from(words).ok()).unwrap_or(0)
    }

    pub(super) fn published_ms(&self, doc: u32) -> i64 {
        self.published_ms.first(doc).unwrap_or(0)
    }

    /// What `filters` mean in this segment; `None` when nothing of it can be among the hits.
    pub(super) fn sieve<'a>(&'a self, filters: &Filters) -> tantivy::Result<Option<Sieve<'a>>> {
        let language = filters.language.as_deref().map(primary_language);
        let texts = [
            (filters.channel.as_deref(), &self.handle),
            (filters.category.as_deref(), &self.category),
            (language.as_deref(), &self.language),
        ];
        let mut wanted = Vec::new();
        for (value, column) in texts {
            let Some(value) = value else { continue };
            let Some(column) = column else { return Ok(None) };
            match column.dictionary().term_ord(value.as_bytes())? {
                Some(ord) => wanted.push((column.ords(), ord)),
                None => return Ok(None),
            }
        }
        Ok(Some(Sieve {
            columns: self,
            wanted,
            duration_from_ms: filters.duration_from_ms,
            duration_until_ms: filters.duration_until_ms.unwrap_or(u64::MAX),
            published_from_ms: filters.published_from.map_or(i64::MIN, |from| from.ms()),
        }))
    }
}

/// Filters, ready for the documents of one segment.
pub(super) struct Sieve<'a> {
    columns: &'a Columns,
    wanted: Vec<(&'a Column<u64>, u64)>,
    duration_from_ms: u64,
    duration_until_ms: u64,
    published_from_ms: i64,
}

impl Sieve<'_> {
    pub(super) fn admits(&self, doc: u32) -> bool {
        let duration_ms = self.columns.duration_ms.first(doc).unwrap_or(0);
        (self.duration_from_ms..self.duration_until_ms).contains(&duration_ms)
            && self.columns.published_ms(doc) >= self.published_from_ms
            && self.wanted.iter().all(|(column, ord)| column.first(doc) == Some(*ord))
    }
}
