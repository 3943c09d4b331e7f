//! Many interactions as one batch: ratings, exact counts, what others are told, and the end of the jobs.

use std::collections::BTreeMap;

use proto::api::interaction::Rating;
use proto::api::notification::NotificationKind;
use proto::events::{InteractionEvent, Notify};
use proto::{Timestamp, VideoId};
use store::{Batch, Leased, ReadError, RetryPolicy, Store};

use crate::data::{
    COMMENT_COUNT, COMMENTS, Commented, DISLIKES, GONE, IdKey, Job, LIKES, LOG, NOTIFY_LOG, PENDING, RATERS, RATINGS,
    Rate, RatingRecord, Target, TargetKey, VIEW_COUNT, gone,
};

/// What changes in the counts of a video.
#[derive(Debug, Default)]
struct Change {
    views: i64,
    comments: i64,
}

/// What changes in the ratings of a video or a comment.
#[derive(Debug, Default)]
struct Opinions {
    likes: i64,
    dislikes: i64,
}

/// What one person thinks of one thing: before this batch, and after the jobs so far.
struct Opinion<'a> {
    before: Option<RatingRecord>,
    after: RatingRecord,
    /// The last job about it.
    rate: &'a Rate,
}

/// A batch in the making.
struct Counting<'a> {
    store: &'a Store,
    batch: Batch,
    videos: BTreeMap<VideoId, Change>,
    opinions: BTreeMap<TargetKey, Opinions>,
    ratings: BTreeMap<(IdKey, u8, IdKey), Opinion<'a>>,
}

/// Operations after which no further job is taken: with the counts of all its videos and comments a batch stays below
/// the store's limits for operations and bytes, even if every job names ten people.
const OPERATIONS_MAX: usize = 2_000;

/// The batch for the first of these jobs, as many as go into one, and how many those are. It is refused when one of
/// the videos or comments goes meanwhile: then it is built anew.
///
/// The jobs are in the order in which they were pushed, and nobody else works on such. So of several ratings of one
/// person and thing the last one holds, and only that one is told.
pub(super) fn batch(store: &Store, leased: &[Leased<Job>], now: Timestamp) -> Result<(Batch, usize), ReadError> {
    let batch = Batch::new().at(now.ms());
    let mut counting =
        Counting { store, batch, videos: BTreeMap::new(), opinions: BTreeMap::new(), ratings: BTreeMap::new() };
    let mut taken = 0;
    for leased in leased {
        if counting.batch.len() > OPERATIONS_MAX {
            break;
        }
        taken += 1;
        match counting.take(leased) {
            Ok(()) => counting.change(|batch| batch.complete(leased)),
            Err(error) => {
                tracing::error!(%error, id = leased.id, "an interaction cannot be counted");
                let policy = RetryPolicy::default();
                counting.change(|batch| batch.retry(leased, &error.to_string(), policy, now.ms()));
            }
        }
    }
    Ok((counting.finish()?, taken))
}

impl<'a> Counting<'a> {
    fn change(&mut self, change: impl FnOnce(Batch) -> Batch) {
        self.batch = change(std::mem::take(&mut self.batch));
    }

    fn take(&mut self, leased: &'a Leased<Job>) -> Result<(), ReadError> {
        match &leased.job {
            Job::Rate(rate) => self.rate(rate, leased.attempt > 0),
            Job::Comment(comment) => self.comment(comment),
            Job::Uncomment { video } => self.count(*video, |change| change.comments -= 1),
            Job::View { video } => self.count(*video, |change| change.views += 1),
            Job::RemoveVideo(_) | Job::RemoveRatings(_) | Job::RemoveUser(_) => Ok(()),
        }
    }

    /// Adds to the counts of a video, unless it is gone.
    fn count(&mut self, video: VideoId, add: impl FnOnce(&mut Change)) -> Result<(), ReadError> {
        if !self.store.contains(GONE, &gone(video.bytes()))? {
            add(self.videos.entry(video).or_default());
        }
        Ok(())
    }

    /// Takes note of a rating. One that is tried `again` may be older than what was counted meanwhile.
    fn rate(&mut self, rate: &'a Rate, again: bool) -> Result<(), ReadError> {
        let (kind, id) = rate.target.key();
        let key = (rate.user.bytes(), kind, id);
        let there = self.is_there(rate)?;
        let mut opinion = match self.ratings.remove(&key) {
            Some(opinion) => opinion,
            None => Opinion::new(self.store.get(RATINGS, &key)?, rate),
        };
        self.change(|batch| batch.delete(PENDING, &(key.0, kind, id, rate.token.bytes())));
        let is_late = again && opinion.after.at > rate.at;
        let changes = there && !is_late && opinion.after.rating != rate.rating;
        if changes && opinion.becomes(rate) {
            self.tell_of_like(rate);
        }
        self.ratings.insert(key, opinion);
        Ok(())
    }

    fn is_there(&self, rate: &Rate) -> Result<bool, ReadError> {
        let comment = match rate.target {
            Target::Comment(comment) => self.store.contains(COMMENTS, &comment.bytes())?,
            Target::Video(_) => true,
        };
        Ok(comment && !self.store.contains(GONE, &gone(rate.video.bytes()))?)
    }

    /// Tells the owner of a video of somebody's first like.
    fn tell_of_like(&mut self, rate: &Rate) {
        let notify = Notify {
            recipient: rate.owner,
            kind: NotificationKind::Like,
            actor: rate.user,
            video: rate.video,
            video_title: rate.title.clone(),
            comment: None,
            text: None,
            at: rate.at,
        };
        self.change(|batch| batch.append(NOTIFY_LOG, &notify));
    }

    fn comment(&mut self, comment: &Commented) -> Result<(), ReadError> {
        let record = self.store.get(COMMENTS, &comment.comment.bytes())?;
        let is_gone = self.store.contains(GONE, &gone(comment.video.bytes()))?;
        if comment.counted {
            self.count(comment.video, |change| change.comments += 1)?;
        }
        // Of what was deleted before it was told, nobody is told.
        if is_gone || record.is_none_or(|record| record.deleted) {
            return Ok(());
        }
        let Commented { author: user, video, at, .. } = *comment;
        if comment.counted {
            self.change(|batch| batch.append(LOG, &InteractionEvent::Commented { user, video, at }));
        }
        for (recipient, kind) in comment.tell.iter().filter(|(recipient, _)| *recipient != user) {
            let notify = Notify {
                recipient: *recipient,
                kind: *kind,
                actor: user,
                video,
                video_title: comment.title.clone(),
                comment: Some(comment.comment),
                text: Some(comment.excerpt.clone()),
                at,
            };
            self.change(|batch| batch.append(NOTIFY_LOG, &notify));
        }
        Ok(())
    }

    /// Writes what somebody thinks of something now.
    fn rated(&mut self, opinion: &Opinion<'_>) {
        let Opinion { before, after, rate } = opinion;
        let (kind, id) = rate.target.key();
        let key = (rate.user.bytes(), kind, id);
        let was = before.as_ref().map_or(Rating::None, |before| before.rating);
        let opinions = self.opinions.entry((kind, id)).or_default();
        let one = |rating, which| i64::from(rating == which);
        opinions.likes += one(after.rating, Rating::Like) - one(was, Rating::Like);
        opinions.dislikes += one(after.rating, Rating::Dislike) - one(was, Rating::Dislike);
        if let Target::Comment(comment) = rate.target {
            self.change(|batch| batch.assert_present(COMMENTS, &comment.bytes()));
        }
        self.change(|batch| match (after.rating, after.told) {
            // Nothing to remember.
            (Rating::None, false) => batch.delete(RATINGS, &key).delete(RATERS, &(kind, id, key.0)),
            _ => batch.put(RATINGS, &key, after).put(RATERS, &(kind, id, key.0), &()),
        });
        if matches!(rate.target, Target::Video(_)) {
            self.videos.entry(rate.video).or_default();
            let (user, video, rating, at) = (rate.user, rate.video, after.rating, after.at);
            self.change(|batch| batch.append(LOG, &InteractionEvent::Rated { user, video, rating, at }));
        }
    }

    /// Adds the counts and says what they are now.
    fn finish(mut self) -> Result<Batch, ReadError> {
        for opinion in std::mem::take(&mut self.ratings).values().filter(|opinion| opinion.is_new()) {
            self.rated(opinion);
        }
        let mut batch = self.batch;
        for (video, change) in std::mem::take(&mut self.videos) {
            let id = video.bytes();
            let target = Target::Video(video).key();
            let opinions = self.opinions.get(&target);
            let total = |counted: i64, added: i64| u64::try_from(counted + added).unwrap_or(0);
            let event = InteractionEvent::Counts {
                video,
                views: total(self.store.count(VIEW_COUNT, &id)?, change.views),
                likes: total(self.store.count(LIKES, &target)?, opinions.map_or(0, |it| it.likes)),
                dislikes: total(self.store.count(DISLIKES, &target)?, opinions.map_or(0, |it| it.dislikes)),
                comments: total(self.store.count(COMMENT_COUNT, &id)?, change.comments),
            };
            batch = batch.assert_absent(GONE, &gone(id));
            batch = add(batch, VIEW_COUNT, &id, change.views);
            batch = add(batch, COMMENT_COUNT, &id, change.comments);
            batch = batch.append(LOG, &event);
        }
        for (target, opinions) in self.opinions {
            batch = add(batch, LIKES, &target, opinions.likes);
            batch = add(batch, DISLIKES, &target, opinions.dislikes);
        }
        Ok(batch)
    }
}

impl<'a> Opinion<'a> {
    fn new(before: Option<RatingRecord>, rate: &'a Rate) -> Self {
        let nothing = RatingRecord { rating: Rating::None, at: rate.at, told: false };
        Self { after: before.clone().unwrap_or(nothing), before, rate }
    }

    /// Changes it, and says whether the owner of the video is to be told: of the first like of somebody else only.
    fn becomes(&mut self, rate: &'a Rate) -> bool {
        let is_like = rate.rating == Rating::Like && matches!(rate.target, Target::Video(_));
        let tell = is_like && !self.after.told && rate.user != rate.owner;
        self.after = RatingRecord { rating: rate.rating, at: rate.at, told: self.after.told || tell };
        self.rate = rate;
        tell
    }

    /// Whether anything is to be written.
    fn is_new(&self) -> bool {
        let before = self.before.as_ref().map_or((Rating::None, false), |before| (before.rating, before.told));
        before != (self.after.rating, self.after.told)
    }
}

fn add<K: store::Key>(batch: Batch, counter: store::Counter<K>, key: &K, delta: i64) -> Batch {
    if delta == 0 { batch } else { batch.add(counter, key, delta) }
}
