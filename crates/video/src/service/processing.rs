//! What each step of processing does, and what becomes of the video when it is done or given up.

use std::path::PathBuf;
use std::sync::Arc;

use proto::api::video::{JobKind, VideoState};
use proto::events::VideoEvent;
use proto::{Timestamp, VideoId};
use store::{Batch, Leased, RetryPolicy};

use super::Service;
use super::change::Change;
use super::known::Known;
use super::steps::{FIRST_RENDITION_STEP, RunGuard};
use crate::data::{Job, PROBES, STEPS, StepRecord, StepState};
use crate::error::{Error, Result};
use crate::media::poster::Poster;
use crate::media::remux::Remuxed;
use crate::media::{
    MediaError, Probe, Rendition, RenditionPlan, output, plan, playlist, poster, probe, remux, transcode,
};

/// The pause after the first failure of a step; it doubles.
const RETRY_DELAY_MS: i64 = 2_000;
const RETRY_DELAY_MAX_MS: i64 = 300_000;

/// What a step made.
enum Made {
    Probe(Probe),
    Rendition(Rendition),
    /// Repackaging was no good, and why.
    Unfit(String),
    Poster(Poster),
}

/// A step that is due.
struct Due {
    video: VideoId,
    step: u32,
    record: StepRecord,
    known: Arc<Known>,
}

impl Service {
    /// Does a step, and writes what came of it together with the end of the job.
    pub(crate) async fn run_step(
        self: &Arc<Self>,
        leased: &Leased<Job>,
        video: VideoId,
        step: u32,
        clock: fn() -> Timestamp,
    ) -> Result<()> {
        // Before anything is read: a removal that this does not see ends it.
        let guard = self.running.start(video, step);
        let record = self.store.get(STEPS, &(video.bytes(), step))?.filter(|record| record.state != StepState::Done);
        let (Some(record), Some(known)) = (record, self.known(video)?) else {
            // Deleted meanwhile, or done by a worker that was thought dead.
            self.store.write(Batch::new().complete(leased)).await?;
            return Ok(());
        };
        let due = Due { video, step, record, known };
        let made = tokio::select! {
            made = self.make(&due, &guard) => made,
            () = guard.cancelled.cancelled() => {
                self.store.write(Batch::new().complete(leased)).await?;
                return Ok(());
            }
        };
        let outcome = match made {
            Ok(made) => self.keep(leased, &due, made, clock()).await,
            Err(Error::Media(error)) => self.failed(leased, &due, &error, clock()).await,
            Err(error) => Err(error),
        };
        match outcome {
            // Deleted while it was being written.
            Err(Error::NotFound(_)) => {
                self.store.write(Batch::new().complete(leased)).await?;
                Ok(())
            }
            other => other,
        }
    }

    fn original(&self, due: &Due) -> PathBuf {
        self.folder(due.video).join(&due.known.record.original.file)
    }

    async fn make(&self, due: &Due, guard: &RunGuard) -> Result<Made> {
        let (input, folder) = (self.original(due), self.folder(due.video));
        if due.record.kind == JobKind::Probe {
            return Ok(Made::Probe(probe::probe(&self.tools, &input).await?));
        }
        let found = self.store.get(PROBES, &due.video.bytes())?.ok_or(Error::NotFound("probe"))?;
        if due.record.kind == JobKind::Poster {
            return Ok(Made::Poster(poster::poster(&self.tools, &input, &folder, &found).await?));
        }
        let plan = due.record.plan.as_ref().ok_or(Error::NotFound("plan"))?;
        let on_progress = guard.on_progress(found.duration_seconds);
        if due.record.kind == JobKind::Remux {
            let remuxed = remux::remux(&self.tools, &input, &folder, &found, plan, on_progress).await?;
            return Ok(match remuxed {
                Remuxed::Ready(rendition) => Made::Rendition(rendition),
                Remuxed::Unfit(reason) => Made::Unfit(reason),
            });
        }
        let urgent = due.known.record.renditions.is_empty();
        let made = transcode::transcode(&self.tools, &input, &folder, &found, plan, urgent, on_progress).await?;
        Ok(Made::Rendition(made))
    }

    /// Writes what a step made.
    async fn keep(&self, leased: &Leased<Job>, due: &Due, made: Made, now: Timestamp) -> Result<()> {
        let done = StepRecord { state: StepState::Done, error: None, ..due.record.clone() };
        let batch = || Batch::new().complete(leased).put(STEPS, &(due.video.bytes(), due.step), &done);
        match made {
            Made::Probe(found) => self.keep_probe(due, &found, batch, now).await,
            Made::Rendition(rendition) => self.keep_rendition(due, rendition, batch, now).await,
            Made::Unfit(reason) => self.keep_unfit(due, &reason, batch, now).await,
            Made::Poster(poster) => {
                self.change(due.video, now, |old| {
                    let mut change = Change::to(old.record.clone());
                    change.record.poster = Some(poster.clone());
                    change.also = batch();
                    Ok(change)
                })
                .await?;
                Ok(())
            }
        }
    }

    async fn keep_probe(
        &self,
        due: &Due,
        found: &Probe,
        batch: impl Fn() -> Batch + Send + Sync,
        now: Timestamp,
    ) -> Result<()> {
        let planned = plan::plan(found, &self.limits.ladder, true);
        let first = rendition_step(&planned.first);
        let poster = StepRecord { kind: JobKind::Poster, plan: None, state: StepState::Open, error: None };
        self.change(due.video, now, |old| {
            let mut change = Change::to(old.record.clone());
            change.record.duration = found.duration_seconds;
            let also = batch().put(PROBES, &due.video.bytes(), found);
            let also = add_step(also, due.video, FIRST_RENDITION_STEP, &first, now);
            change.also = add_step(also, due.video, FIRST_RENDITION_STEP + 1, &poster, now);
            Ok(change)
        })
        .await?;
        Ok(())
    }

    /// The film cannot be taken over as it is: it is encoded after all.
    async fn keep_unfit(
        &self,
        due: &Due,
        reason: &str,
        batch: impl Fn() -> Batch + Send + Sync,
        now: Timestamp,
    ) -> Result<()> {
        tracing::info!(video = %due.video, reason, "a film cannot be repackaged and is encoded");
        let found = self.store.get(PROBES, &due.video.bytes())?.ok_or(Error::NotFound("probe"))?;
        let first = rendition_step(&plan::plan(&found, &self.limits.ladder, false).first);
        self.change(due.video, now, |old| {
            let mut change = Change::to(old.record.clone());
            // In the place of the step that was to make it playable: it is the same step, done otherwise.
            change.also = add_step(batch(), due.video, due.step, &first, now);
            Ok(change)
        })
        .await?;
        Ok(())
    }

    async fn keep_rendition(
        &self,
        due: &Due,
        rendition: Rendition,
        batch: impl Fn() -> Batch + Send + Sync,
        now: Timestamp,
    ) -> Result<()> {
        let base = self.known(due.video)?.ok_or(Error::NotFound("video"))?.record.renditions.clone();
        let mut renditions: Vec<Rendition> =
            base.iter().filter(|one| one.height != rendition.height).cloned().collect();
        renditions.push(rendition);
        renditions.sort_by_key(|one| one.height);
        // Under a new name: whoever reads the old one has all of it, and the record decides which one counts.
        let master = format!("{}.m3u8", output::random_name());
        let path = self.folder(due.video).join(&master);
        let text = playlist::master_text(&renditions);
        output::blocking(move || output::replace(&path, text.as_bytes())).await?;
        let later = if base.is_empty() { self.later_steps(due)? } else { Vec::new() };
        self.change(due.video, now, |old| {
            if old.record.renditions != base {
                return Err(Error::Conflict);
            }
            let mut change = Change::to(old.record.clone());
            change.record.renditions.clone_from(&renditions);
            change.record.master = Some(master.clone());
            change.also = batch();
            if matches!(old.record.state, VideoState::Processing | VideoState::Failed) {
                change.record.state = VideoState::Published;
                change.record.failure = None;
                change.events.push(VideoEvent::ProcessingDone { video: change.record.profile(due.video) });
            }
            for (number, step) in (FIRST_RENDITION_STEP + 2..).zip(&later) {
                change.also = add_step(std::mem::take(&mut change.also), due.video, number, step, now);
            }
            Ok(change)
        })
        .await?;
        Ok(())
    }

    /// What makes the video better, once it can be played.
    fn later_steps(&self, due: &Due) -> Result<Vec<StepRecord>> {
        let found = self.store.get(PROBES, &due.video.bytes())?.ok_or(Error::NotFound("probe"))?;
        let planned = plan::plan(&found, &self.limits.ladder, due.record.kind == JobKind::Remux);
        Ok(planned.later.iter().map(rendition_step).collect())
    }

    /// A step did not work: again later, or given up with a sentence.
    async fn failed(&self, leased: &Leased<Job>, due: &Due, error: &MediaError, now: Timestamp) -> Result<()> {
        tracing::warn!(video = %due.video, step = due.step, %error, "a step of processing failed");
        let policy = RetryPolicy {
            attempts: self.limits.job_attempts,
            first_delay_ms: RETRY_DELAY_MS,
            max_delay_ms: RETRY_DELAY_MAX_MS,
        };
        let key = (due.video.bytes(), due.step);
        let sentence = error.sentence();
        let given_up = error.is_final() || leased.attempt + 1 >= policy.attempts;
        let state = if given_up { StepState::Failed } else { StepState::Open };
        let record = StepRecord { state, error: Some(sentence.clone()), ..due.record.clone() };
        let batch = || {
            let batch = Batch::new().put(STEPS, &key, &record);
            // The file's own fault needs nobody's look; the other dead letters wait for one.
            match error.is_final() {
                true => batch.complete(leased),
                false => batch.retry(leased, &error.to_string(), policy, now.ms()),
            }
        };
        self.change(due.video, now, |old| {
            let mut change = Change::to(old.record.clone());
            change.also = batch();
            let needed = due.record.kind != JobKind::Poster && old.record.renditions.is_empty();
            if given_up && needed && old.record.state == VideoState::Processing {
                change.record.state = VideoState::Failed;
                change.record.failure = Some(sentence.clone());
                let video = change.record.profile(due.video);
                change.events.push(VideoEvent::ProcessingFailed { video, reason: sentence.clone() });
            }
            Ok(change)
        })
        .await?;
        Ok(())
    }
}

fn rendition_step(plan: &RenditionPlan) -> StepRecord {
    let kind = if plan.is_quick() { JobKind::Remux } else { JobKind::Rendition };
    StepRecord { kind, plan: Some(plan.clone()), state: StepState::Open, error: None }
}

fn add_step(batch: Batch, video: VideoId, step: u32, record: &StepRecord, now: Timestamp) -> Batch {
    Service::push_step(batch.put(STEPS, &(video.bytes(), step), record), video, step, record, now)
}
