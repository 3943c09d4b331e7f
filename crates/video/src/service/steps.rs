//! The steps of processing as their owner sees them: what waits, what runs and how far it is, what failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kit::Caller;
use proto::api::Page;
use proto::api::account::Role;
use proto::api::video::{Job as PublicJob, JobKind, JobState, Processing, VideoState};
use proto::{Timestamp, VideoId};
use store::{Batch, Push, Scan};
use tokio_util::sync::CancellationToken;

use super::Service;
use super::change::Change;
use super::known::Known;
use crate::data::{JOBS, Job, LANE_QUICK, LANE_SLOW, STEPS, StepRecord, StepState};
use crate::error::{Error, Result};

/// Steps shown to an admin.
const ADMIN_STEPS_MAX: usize = 500;
/// Dead letters among which a step is looked for.
const DEAD_LOOKED_AT_MAX: usize = 10_000;

/// The steps that run now.
#[derive(Default)]
pub(super) struct Running(Arc<Mutex<HashMap<(VideoId, u32), Run>>>);

struct Run {
    cancelled: CancellationToken,
    progress: f64,
}

/// A step at work; it runs no more once this is dropped.
pub(super) struct RunGuard {
    pub(super) cancelled: CancellationToken,
    key: (VideoId, u32),
    runs: Arc<Mutex<HashMap<(VideoId, u32), Run>>>,
}

fn lock(runs: &Mutex<HashMap<(VideoId, u32), Run>>) -> MutexGuard<'_, HashMap<(VideoId, u32), Run>> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    pub(super) fn start(&self, video: VideoId, step: u32) -> RunGuard {
        let cancelled = CancellationToken::new();
        let key = (video, step);
        lock(&self.0).insert(key, Run { cancelled: cancelled.clone(), progress: 0.0 });
        RunGuard { cancelled, key, runs: Arc::clone(&self.0) }
    }

    /// Ends whatever runs for a video.
    pub(super) fn cancel(&self, video: VideoId) {
        lock(&self.0).iter().filter(|((of, _), _)| *of == video).for_each(|(_, run)| run.cancelled.cancel());
    }

    /// How far a step is, if it runs.
    fn progress(&self, video: VideoId, step: u32) -> Option<f64> {
        lock(&self.0).get(&(video, step)).map(|run| run.progress)
    }
}

impl RunGuard {
    /// Notes how far it is: 0–1.
    pub(super) fn on_progress(&self, duration_seconds: f64) -> crate::media::tool::OnProgress {
        let (runs, key) = (Arc::clone(&self.runs), self.key);
        Arc::new(move |progress| {
            if let Some(run) = lock(&runs).get_mut(&key) {
                run.progress = (progress.seconds / duration_seconds.max(0.1)).clamp(0.0, 0.99);
            }
        })
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        lock(&self.runs).remove(&self.key);
    }
}

/// The public name of a step.
fn step_name(video: VideoId, step: u32) -> String {
    format!("{video}.{step}")
}

fn parse_step_name(name: &str) -> Option<(VideoId, u32)> {
    let (video, step) = name.split_once('.')?;
    Some((video.parse().ok()?, step.parse().ok()?))
}

impl Service {
    /// Puts a step into the queue. Steps that make renditions of one video come one after the other, since
    /// each of them writes the master playlist.
    pub(super) fn push_step(batch: Batch, video: VideoId, step: u32, record: &StepRecord, now: Timestamp) -> Batch {
        let makes_rendition = matches!(record.kind, JobKind::Remux | JobKind::Rendition);
        let lane = if record.kind == JobKind::Rendition { LANE_SLOW } else { LANE_QUICK };
        // What makes a film playable goes before all that only makes it better.
        let urgent = record.kind == JobKind::Probe || step == FIRST_RENDITION_STEP;
        let job = Job::Step { video, step };
        let push = Push {
            order_key: makes_rendition.then(|| video.bytes().to_vec()),
            due_ms: if urgent { 0 } else { now.ms() },
            lane,
            ..Push::new(&job)
        };
        batch.push(JOBS, push)
    }

    pub(super) fn steps(&self, video: VideoId) -> Result<Vec<(u32, StepRecord)>> {
        let entries = self.store.scan(STEPS, Scan::prefix(&video.bytes()));
        Ok(entries.map(|entry| entry.map(|((_, step), record)| (step, record))).collect::<Result<_, _>>()?)
    }

    /// `GET /api/videos/{id}/processing`
    pub(crate) fn processing(&self, caller: &Caller, id: VideoId) -> Result<Processing> {
        let known = self.own(id, caller)?;
        let steps = self.steps(id)?;
        let jobs = steps.iter().map(|(step, record)| self.public_job(id, *step, record)).collect();
        Ok(Processing { state: known.record.state, jobs })
    }

    fn public_job(&self, video: VideoId, step: u32, record: &StepRecord) -> PublicJob {
        let running = self.running.progress(video, step);
        let (state, progress) = match (record.state, running) {
            (StepState::Done, _) => (JobState::Done, 1.0),
            (StepState::Failed, _) => (JobState::Failed, 0.0),
            (StepState::Open, Some(progress)) => (JobState::Running, progress),
            (StepState::Open, None) => (JobState::Waiting, 0.0),
        };
        PublicJob {
            id: step_name(video, step),
            video_id: video,
            kind: record.kind,
            height: record.plan.as_ref().map(|plan| plan.height),
            state,
            progress,
            error: record.error.clone(),
        }
    }

    /// How far processing is, 0–1; `None` when nothing is to be done.
    pub(super) fn progress(&self, id: VideoId, known: &Known) -> Result<Option<f64>> {
        if known.record.state == VideoState::Uploading {
            return Ok(None);
        }
        let steps = self.steps(id)?;
        if !steps.iter().any(|(_, record)| record.state == StepState::Open) {
            return Ok(None);
        }
        let done: f64 = steps.iter().map(|(step, record)| self.public_job(id, *step, record).progress).sum();
        #[allow(clippy::cast_precision_loss)]
        Ok(Some(done / steps.len() as f64))
    }

    /// `GET /api/admin/jobs`: what waits, runs or was given up.
    pub(crate) async fn all_jobs(self: &Arc<Self>, caller: &Caller) -> Result<Page<PublicJob>> {
        caller.at_least(Role::Admin)?;
        self.blocking(|service| {
            let queue = service.store.queue(JOBS);
            let views = queue.list(ADMIN_STEPS_MAX)?;
            let mut items = Vec::new();
            for view in views {
                let Some(Job::Step { video, step }) = view.job else { continue };
                if let Some(record) = service.store.get(STEPS, &(video.bytes(), step))? {
                    items.push(service.public_job(video, step, &record));
                }
            }
            Ok(Page { items, next_page_token: None })
        })
        .await
    }

    /// Tries a step again that failed; by its owner (with the video's id) or an admin.
    pub(crate) async fn retry(
        &self,
        caller: &Caller,
        video: Option<VideoId>,
        name: &str,
        now: Timestamp,
    ) -> Result<PublicJob> {
        let (id, step) = parse_step_name(name).ok_or(Error::NotFound("step"))?;
        match video {
            Some(video) if video != id => return Err(Error::NotFound("step")),
            Some(video) => drop(self.own(video, caller)?),
            None => drop(caller.at_least(Role::Admin)?),
        }
        let record = self.store.get(STEPS, &(id.bytes(), step))?.ok_or(Error::NotFound("step"))?;
        if record.state != StepState::Failed {
            return Err(Error::NotFailed);
        }
        let again = StepRecord { state: StepState::Open, error: None, ..record.clone() };
        let letter = self.dead_letter(id, step)?;
        self.change(id, now, |old| {
            let mut change = Change::to(old.record.clone());
            if change.record.state == VideoState::Failed {
                change.record.state = VideoState::Processing;
                change.record.failure = None;
            }
            let batch =
                Batch::new().assert_equal(STEPS, &(id.bytes(), step), &record).put(STEPS, &(id.bytes(), step), &again);
            // A step that was refused at once left no dead letter: it starts afresh.
            change.also = if letter.is_some() { batch } else { Self::push_step(batch, id, step, &again, now) };
            Ok(change)
        })
        .await?;
        if let Some(letter) = letter {
            self.store.queue(JOBS).revive(letter, now.ms()).await?;
        }
        Ok(self.public_job(id, step, &again))
    }

    fn dead_letter(&self, video: VideoId, step: u32) -> Result<Option<u64>> {
        let letters = self.store.queue(JOBS).dead(DEAD_LOOKED_AT_MAX)?;
        let wanted = Job::Step { video, step };
        Ok(letters.into_iter().find(|letter| letter.job == Some(wanted)).map(|letter| letter.id))
    }
}

/// Step 0 looks at the file, step 1 makes it playable.
pub(super) const FIRST_RENDITION_STEP: u32 = 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_steps_read_back() {
        let id = VideoId::generate();
        assert_eq!(parse_step_name(&step_name(id, 7)), Some((id, 7)));
        for name in ["", "7", "x.7", &format!("{id}"), &format!("{id}.x"), &format!("{id}.7.8")] {
            assert_eq!(parse_step_name(name), None, "{name}");
        }
    }

    #[test]
    fn what_runs_says_how_far_it_is_until_it_ends() {
        let running = Running::default();
        let (id, other) = (VideoId::generate(), VideoId::generate());
        let guard = running.start(id, 1);
        let _other = running.start(other, 1);
        guard.on_progress(10.0)(crate::media::Progress { seconds: 5.0 });
        assert_eq!(running.progress(id, 1), Some(0.5));
        running.cancel(id);
        assert!(guard.cancelled.is_cancelled());
        assert!(!lock(&running.0)[&(other, 1)].cancelled.is_cancelled());
        drop(guard);
        assert_eq!(running.progress(id, 1), None);
    }
}
