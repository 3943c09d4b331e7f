//! Keeps the index true: follows the service's own event log, at most one commit per interval.
//!
//! The last applied event stands in the commit itself, so that index and position never differ: after a
//! crash it goes on where the last commit was. Events only say which video to look at; what is indexed is
//! what the library says at that moment, so an event that is applied twice changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proto::VideoId;
use proto::events::VideoEvent;
use store::LogReader;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::document::Library;
use super::error::SearchError;
use super::generation::{self, Generation, Progress};
use super::indexer::Indexer;
use super::limits::{EVENTS_AT_ONCE, REBUILD_DOCUMENTS_AT_ONCE, RETRY_AFTER, WRITER_IDLE};
use super::schema::VERSION;
use super::{CONSUMER, Search, lock};

impl Search {
    /// Follows the log until `stop`. The only one to write the index: call it once.
    pub(crate) async fn follow(
        self,
        log: LogReader<VideoEvent>,
        library: Arc<dyn Library>,
        commit_interval: Duration,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let follower = Follower::new(self.clone(), log.clone(), library.clone(), commit_interval, stop.clone());
            // A thread of its own: writing an index blocks, and is rare.
            let handle = Handle::current();
            if let Err(error) = tokio::task::spawn_blocking(move || follower.run(&handle)).await {
                tracing::error!(%error, "the search index's writer failed; it starts again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

struct Follower {
    search: Search,
    log: LogReader<VideoEvent>,
    library: Arc<dyn Library>,
    commit_interval: Duration,
    stop: CancellationToken,
    indexer: Indexer,
    committed: Option<Instant>,
}

impl Follower {
    fn new(
        search: Search,
        log: LogReader<VideoEvent>,
        library: Arc<dyn Library>,
        commit_interval: Duration,
        stop: CancellationToken,
    ) -> Self {
        let indexer = Indexer::new(search.current(), search.0.writer_memory_bytes);
        Self { search, log, library, commit_interval, stop, indexer, committed: None }
    }

    fn run(mut self, handle: &Handle) {
        while !self.stop.is_cancelled() {
            let step = self.start(handle).and_then(|mut progress| self.keep_up(&mut progress, handle));
            if let Err(error) = step {
                tracing::error!(%error, "the search index cannot be written; it is tried again");
                self.indexer.forget();
                self.pause(RETRY_AFTER, handle);
            }
        }
        if let Err(error) = self.indexer.rest() {
            tracing::warn!(%error, "the search index's writer did not end cleanly");
        }
    }

    fn pause(&self, duration: Duration, handle: &Handle) {
        handle.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                () = self.stop.cancelled() => {}
            }
        });
    }

    /// Where to go on: where the opened index was, or at the end of a rebuild.
    fn start(&mut self, handle: &Handle) -> Result<Progress, SearchError> {
        let opened = *lock(&self.search.0.opened_at);
        // Also when a rebuild did not come to its end: the writer has left the old index.
        let wanted = self.search.0.rebuild.load(Ordering::SeqCst);
        if let Some(progress) = opened.filter(|_| !wanted) {
            let epoch_is_the_same = progress.epoch == self.log.epoch();
            let nothing_is_missed = (self.log.trimmed()?..=self.log.head()).contains(&progress.sequence);
            if epoch_is_the_same && nothing_is_missed && self.indexer.generation.is_sound()? {
                return Ok(progress);
            }
            tracing::warn!("the search index is damaged or does not belong to these data: it is made anew");
        }
        self.search.0.rebuild.store(true, Ordering::SeqCst);
        self.rebuild(opened.is_some(), handle)
    }

    /// Applies events as they come, until `stop`, or until the index is to be made anew.
    fn keep_up(&mut self, progress: &mut Progress, handle: &Handle) -> Result<(), SearchError> {
        while !self.stop.is_cancelled() && !self.search.0.rebuild.load(Ordering::SeqCst) {
            let events = self.log.read(progress.sequence, EVENTS_AT_ONCE)?;
            let renamed = std::mem::take(&mut *lock(&self.search.0.renamed));
            let Some(last) = events.last().map(|(sequence, ..)| *sequence).or((!renamed.is_empty()).then_some(0))
            else {
                self.wait(progress.sequence, handle)?;
                continue;
            };
            let mut ids: BTreeSet<VideoId> = events.iter().map(|(_, _, event)| event.video_id()).collect();
            for channel in &renamed {
                ids.extend(self.indexer.videos_of(*channel)?);
            }
            let next = Progress { sequence: progress.sequence.max(last), ..*progress };
            if let Err(error) = self.apply(&ids, next) {
                lock(&self.search.0.renamed).extend(renamed);
                return Err(error);
            }
            *progress = next;
            *lock(&self.search.0.opened_at) = Some(next);
            self.acknowledge(next.sequence, handle);
            self.pause(self.commit_interval.saturating_sub(self.since_commit()), handle);
        }
        Ok(())
    }

    fn since_commit(&self) -> Duration {
        self.committed.map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Waits for something to do; lets the writer go when there is nothing for a while.
    fn wait(&mut self, after: u64, handle: &Handle) -> Result<(), SearchError> {
        let idle = handle.block_on(async {
            tokio::select! {
                grown = self.log.wait(after, WRITER_IDLE) => !grown,
                () = self.search.0.wake.notified() => false,
                () = self.stop.cancelled() => false,
            }
        });
        if idle { self.indexer.rest() } else { Ok(()) }
    }

    fn apply(&mut self, ids: &BTreeSet<VideoId>, progress: Progress) -> Result<(), SearchError> {
        for id in ids {
            match self.library.document(*id)? {
                Some(video) => self.indexer.put(&video)?,
                None => self.indexer.remove(*id)?,
            }
        }
        self.committed = Some(Instant::now());
        self.indexer.commit(progress)
    }

    fn acknowledge(&self, sequence: u64, handle: &Handle) {
        if let Err(error) = handle.block_on(self.log.acknowledge(CONSUMER, sequence)) {
            // The next acknowledgement says it too.
            tracing::warn!(%error, "the event log does not know how far search is");
        }
    }

    /// Makes a new index of everything; the old one answers meanwhile, if there is one.
    fn rebuild(&mut self, old_is_usable: bool, handle: &Handle) -> Result<Progress, SearchError> {
        let began = Instant::now();
        let old = self.search.current();
        let folder = self.search.0.folder.clone();
        // One that was begun and not ended may stand in the way.
        let last = generation::numbers(&folder)?.first().copied().unwrap_or(0).max(old.number);
        let new = Arc::new(Generation::create(&folder, last + 1)?);
        if !old_is_usable {
            self.search.replace(new.clone());
        }
        self.indexer = Indexer::new(new.clone(), self.search.0.writer_memory_bytes);
        let mut progress =
            Progress { version: VERSION, epoch: self.log.epoch(), sequence: self.log.head(), complete: false };
        let (mut after, mut videos) = (None, 0_usize);
        loop {
            let documents = self.library.documents(after, REBUILD_DOCUMENTS_AT_ONCE)?;
            let Some(last) = documents.last() else { break };
            after = Some(last.profile.id);
            videos += documents.len();
            documents.iter().try_for_each(|video| self.indexer.put(video))?;
            if self.since_commit() > self.commit_interval {
                self.committed = Some(Instant::now());
                self.indexer.commit(progress)?;
            }
            if self.stop.is_cancelled() {
                return Ok(progress);
            }
        }
        progress.complete = true;
        self.indexer.commit(progress)?;
        let number = new.number;
        self.search.replace(new);
        *lock(&self.search.0.opened_at) = Some(progress);
        self.search.0.rebuild.store(false, Ordering::SeqCst);
        generation::numbers(&folder)?.into_iter().filter(|old| *old != number).for_each(|old| {
            generation::remove(&folder, old);
        });
        self.acknowledge(progress.sequence, handle);
        tracing::info!(videos, took_ms = began.elapsed().as_millis(), "the search index was made anew");
        Ok(progress)
    }
}
