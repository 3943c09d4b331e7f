//! Writes into an index: opened with the first change, put away when nothing changes any more, since its
//! threads and buffers are most of what search takes at rest.

use std::sync::Arc;

use proto::{ChannelId, VideoId};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, IndexWriter, TERMINATED, Term};

use super::Document;
use super::error::SearchError;
use super::generation::{Generation, Progress};
use super::schema::document;

/// Segments of about the same size that are merged into one: few, since each query reads all of them.
const SEGMENTS_TO_MERGE: usize = 4;

/// The one writer of an index.
pub(super) struct Indexer {
    pub(super) generation: Arc<Generation>,
    memory_bytes: usize,
    writer: Option<IndexWriter>,
    /// Segments may hold videos that were taken out. So at first, since nobody knows how the process before ended.
    has_remains: bool,
}

impl Indexer {
    pub(super) fn new(generation: Arc<Generation>, memory_bytes: usize) -> Self {
        Self { generation, memory_bytes, writer: None, has_remains: true }
    }

    fn writer(&mut self) -> tantivy::Result<&mut IndexWriter> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .memory_budget_per_thread(self.memory_bytes)
                .num_worker_threads(1)
                .num_merge_threads(1)
                .build();
            let writer: IndexWriter = self.generation.index.writer_with_options(options)?;
            let mut policy = LogMergePolicy::default();
            policy.set_min_num_segments(SEGMENTS_TO_MERGE);
            writer.set_merge_policy(Box::new(policy));
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| tantivy::TantivyError::InternalError("no writer".to_owned()))
    }

    /// Puts a video in, in the place of what was known of it.
    pub(super) fn put(&mut self, video: &Document) -> Result<(), SearchError> {
        let fields = self.generation.fields;
        let writer = self.writer()?;
        writer.delete_term(Term::from_field_bytes(fields.id, &video.profile.id.bytes()));
        writer.add_document(document(&fields, video))?;
        Ok(())
    }

    /// Takes a video out.
    pub(super) fn remove(&mut self, id: VideoId) -> Result<(), SearchError> {
        let field = self.generation.fields.id;
        self.writer()?.delete_term(Term::from_field_bytes(field, &id.bytes()));
        self.has_remains = true;
        Ok(())
    }

    /// Makes all of it durable and visible.
    pub(super) fn commit(&mut self, progress: Progress) -> Result<(), SearchError> {
        let payload = serde_json::to_string(&progress).map_err(|error| SearchError::Index(error.to_string()))?;
        let writer = self.writer()?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        self.generation.reload()?;
        Ok(())
    }

    /// Writes those segments anew that still hold what was taken out: until then its words are on the disk.
    fn purge(&mut self) -> Result<(), SearchError> {
        if !std::mem::take(&mut self.has_remains) {
            return Ok(());
        }
        let view = self.generation.view();
        let segments = view.searcher.segment_readers().iter().filter(|segment| segment.has_deletes());
        let segments: Vec<_> = segments.map(|segment| segment.segment_id()).collect();
        drop(view);
        if segments.is_empty() {
            return Ok(());
        }
        for segment in segments {
            // One that is being merged anyway is as good; it is looked at once more at the next rest.
            self.has_remains |= self.writer()?.merge(&[segment]).wait().is_err();
        }
        self.generation.reload()?;
        self.writer()?.garbage_collect_files().wait()?;
        Ok(())
    }

    /// Lets threads and memory go. Waits for merges, and shows what they made.
    pub(super) fn rest(&mut self) -> Result<(), SearchError> {
        self.purge()?;
        if let Some(writer) = self.writer.take() {
            writer.wait_merging_threads()?;
            self.generation.reload()?;
            give_memory_back();
        }
        Ok(())
    }

    /// Drops what was not committed, after an error.
    pub(super) fn forget(&mut self) {
        self.writer = None;
    }

    /// The videos of a channel that are in the index.
    pub(super) fn videos_of(&self, channel: ChannelId) -> Result<Vec<VideoId>, SearchError> {
        let view = self.generation.view();
        let term = Term::from_field_bytes(view.fields.channel_id, &channel.bytes());
        let mut ids = Vec::new();
        for (reader, columns) in view.searcher.segment_readers().iter().zip(&view.columns) {
            let index = reader.inverted_index(view.fields.channel_id)?;
            let postings = index.read_postings(&term, IndexRecordOption::Basic);
            let Some(mut postings) = postings.map_err(tantivy::TantivyError::from)? else { continue };
            while postings.doc() != TERMINATED {
                ids.extend(columns.id(postings.doc()).filter(|_| !reader.is_deleted(postings.doc())));
                postings.advance();
            }
        }
        Ok(ids)
    }
}

/// The writer's buffers lie in arenas of threads that are gone; without this the allocator keeps them.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and locks what it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}
