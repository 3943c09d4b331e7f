//! What is removed after a video, a comment or an account is gone: a bounded piece at a time.

use kit::idempotency;
use proto::api::interaction::Rating;
use proto::events::Viewer;
use proto::{CommentId, Id, Timestamp, UserId, VideoId};
use store::{Batch, Counter, Key, Leased, Push, Scan};

use super::Service;
use super::comments::{removal_job, without};
use crate::data::{
    COMMENT_COUNT, COMMENTS, COUNTED, COUNTED_BY_TIME, DISLIKES, HISTORY_PAUSED, IdKey, JOBS, Job, LANE_INTERACTIONS,
    LANE_REMOVALS, LIKES, PENDING, RATERS, RATINGS, REPLIES, REPLY_COUNT, Rate, THREAD_SIZE, THREADS, Target,
    TargetKey, VIEW_COUNT, WATCHERS, WRITTEN_BY, viewer_key,
};
use crate::error::Result;

/// How many rows of a kind one batch removes.
const PIECE: usize = 30;

/// Marks of counted views that one batch removes.
const MARKS_PIECE: usize = 500;

/// How long a removal waits that others have to come before, in milliseconds.
const AFTER_OTHERS_MS: i64 = 200;

impl Service {
    /// A piece of a removal. A job with more to do is pushed again in the batch that completes it.
    pub(crate) async fn remove(&self, leased: &Leased<Job>, now: Timestamp) -> Result<()> {
        let mut due_ms = 0;
        let (batch, more) = match &leased.job {
            Job::RemoveVideo(id) => self.some_of_video(*id)?,
            Job::RemoveRatings(id) => self.some_ratings(Target::Comment(*id))?,
            Job::RemoveUser(id) => {
                let (batch, more) = self.some_of_user(*id, now).await?;
                if more {
                    due_ms = now.ms() + AFTER_OTHERS_MS;
                }
                (batch, more)
            }
            Job::Rate(_) | Job::Comment(_) | Job::Uncomment { .. } | Job::View { .. } => (Batch::new(), false),
        };
        let batch = batch.at(now.ms()).complete(leased);
        let again = Push { job: &leased.job, order_key: None, due_ms, lane: LANE_REMOVALS };
        let batch = if more { batch.push(JOBS, again) } else { batch };
        self.store.write(batch).await?;
        Ok(())
    }

    /// Nothing new is written about a video that is gone, so its rows only become fewer.
    fn some_of_video(&self, video: VideoId) -> Result<(Batch, bool)> {
        let id = video.bytes();
        let (mut batch, mut more) = self.some_comments(video)?;
        let (ratings, left) = self.some_ratings(Target::Video(video))?;
        (batch, more) = (batch.merge(ratings), more || left);
        let watchers = self.store.scan_keys(WATCHERS, Scan::prefix(&id)).take(PIECE).collect::<Result<Vec<_>, _>>()?;
        more |= watchers.len() == PIECE;
        for (_, user) in watchers {
            batch = batch.merge(self.forgotten(user, video)?.unwrap_or_default());
        }
        let counted = self.store.scan(COUNTED, Scan::prefix(&id)).take(PIECE).collect::<Result<Vec<_>, _>>()?;
        more |= counted.len() == PIECE;
        for (key, at) in counted {
            batch = batch.delete(COUNTED, &key).delete(COUNTED_BY_TIME, &(at.ms(), key.0, key.1));
        }
        for counter in [COMMENT_COUNT, VIEW_COUNT] {
            batch = self.zero(batch, counter, &id)?;
        }
        Ok((batch, more))
    }

    /// Replies go before the first comment of their thread.
    fn some_comments(&self, video: VideoId) -> Result<(Batch, bool)> {
        let mut batch = Batch::new();
        let mut left = PIECE;
        for key in self.store.scan_keys(THREADS, Scan::prefix(&video.bytes())) {
            let (_, top) = key?;
            let replies = self.store.scan_keys(REPLIES, Scan::prefix(&top)).take(left);
            let replies = replies.collect::<Result<Vec<_>, _>>()?;
            left -= replies.len();
            for (_, reply) in replies {
                batch = self.comment_gone(batch, reply)?.delete(REPLIES, &(top, reply));
            }
            if left == 0 {
                return Ok((batch, true));
            }
            batch = self.comment_gone(batch, top)?.delete(THREADS, &(video.bytes(), top));
            batch = self.zero(batch, THREAD_SIZE, &top)?;
            batch = self.zero(batch, REPLY_COUNT, &top)?;
            left -= 1;
            if left == 0 {
                return Ok((batch, true));
            }
        }
        Ok((batch, false))
    }

    fn comment_gone(&self, batch: Batch, id: IdKey) -> Result<Batch> {
        let Some(record) = self.store.get(COMMENTS, &id)? else { return Ok(batch) };
        let comment = CommentId::from_bytes(id);
        let batch = without(batch, comment, &record).push(JOBS, removal_job(&Job::RemoveRatings(comment)));
        Ok(match record.author {
            Some(author) => batch.delete(WRITTEN_BY, &(author.bytes(), id)),
            None => batch,
        })
    }

    /// Ratings of something that is gone, with their counts.
    fn some_ratings(&self, target: Target) -> Result<(Batch, bool)> {
        let (kind, id) = target.key();
        let raters = self.store.scan_keys(RATERS, Scan::prefix(&(kind, id))).take(PIECE);
        let raters = raters.collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch::new();
        for (_, _, user) in &raters {
            batch = batch.delete(RATINGS, &(*user, kind, id)).delete(RATERS, &(kind, id, *user));
        }
        batch = self.zero::<TargetKey>(batch, LIKES, &(kind, id))?;
        batch = self.zero::<TargetKey>(batch, DISLIKES, &(kind, id))?;
        Ok((batch, raters.len() == PIECE))
    }

    fn zero<K: Key>(&self, batch: Batch, counter: Counter<K>, key: &K) -> Result<Batch> {
        let count = self.store.count(counter, key)?;
        // Somebody may be about to take one away: then it is looked at anew.
        Ok(if count == 0 { batch } else { batch.add_bounded(counter, key, -count, 0..=0) })
    }

    /// Takes back what somebody has rated, removes what they wrote, and forgets what they watched.
    async fn some_of_user(&self, user: UserId, now: Timestamp) -> Result<(Batch, bool)> {
        self.clear_history_of(user, now).await?;
        let written = self.store.scan_keys(WRITTEN_BY, Scan::prefix(&user.bytes())).take(PIECE);
        let written = written.collect::<Result<Vec<_>, _>>()?;
        for (_, comment) in &written {
            self.remove_comment(CommentId::from_bytes(*comment), now).await?;
        }
        self.forget_views(user, now).await?;
        let (batch, rated) = self.some_opinions(user, now)?;
        let (answers, remembered) = idempotency::forget_user(&self.store, user, PIECE)?;
        // What they said last may wait to be counted: it is taken back afterwards.
        let waits = self.store.scan_keys(PENDING, Scan::prefix(&user.bytes())).next().transpose()?.is_some();
        let batch = batch.merge(answers).delete(HISTORY_PAUSED, &user.bytes());
        Ok((batch, rated || remembered || waits || !written.is_empty()))
    }

    /// Forgets whose views were counted; the counts stay. These rows are by video, and only of a day or so.
    async fn forget_views(&self, user: UserId, now: Timestamp) -> Result<()> {
        let viewer = viewer_key(&Viewer::User(user));
        let marks = self
            .blocking(move |store| {
                let mut marks = Vec::new();
                for entry in store.scan(COUNTED, Scan::all()) {
                    let (key, at) = entry?;
                    if key.1 == viewer {
                        marks.push((key, at));
                    }
                }
                Ok(marks)
            })
            .await?;
        for marks in marks.chunks(MARKS_PIECE) {
            let batch = marks.iter().fold(Batch::new().at(now.ms()), |batch, (key, at)| {
                batch.delete(COUNTED, key).delete(COUNTED_BY_TIME, &(at.ms(), key.0, key.1.clone()))
            });
            self.store.write(batch).await?;
        }
        Ok(())
    }

    /// An opinion is taken back through the queue, as its owner would; the next piece removes what it leaves.
    fn some_opinions(&self, user: UserId, now: Timestamp) -> Result<(Batch, bool)> {
        let ratings = self.store.scan(RATINGS, Scan::prefix(&user.bytes())).take(PIECE);
        let ratings = ratings.collect::<Result<Vec<_>, _>>()?;
        let mut batch = Batch::new();
        for ((_, kind, id), record) in &ratings {
            if record.rating == Rating::None {
                batch = batch.delete(RATINGS, &(user.bytes(), *kind, *id)).delete(RATERS, &(*kind, *id, user.bytes()));
                continue;
            }
            let target = Target::of((*kind, *id));
            let Some(video) = self.video_of(target)? else {
                batch = batch.delete(RATINGS, &(user.bytes(), *kind, *id)).delete(RATERS, &(*kind, *id, user.bytes()));
                continue;
            };
            let title = String::new();
            let token = Id::generate();
            let rate = Rate { user, target, rating: Rating::None, token, at: now, video, owner: user, title };
            let job = Job::Rate(rate);
            batch = batch.push(JOBS, Push { job: &job, order_key: None, due_ms: 0, lane: LANE_INTERACTIONS });
        }
        Ok((batch, !ratings.is_empty()))
    }

    fn video_of(&self, target: Target) -> Result<Option<VideoId>> {
        match target {
            Target::Video(id) => Ok(Some(id)),
            Target::Comment(id) => Ok(self.store.get(COMMENTS, &id.bytes())?.map(|record| record.video)),
        }
    }
}
