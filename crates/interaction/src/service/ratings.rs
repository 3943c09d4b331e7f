//! Ratings: answered when they are durable in the queue, counted by the consumer.

use kit::Caller;
use proto::api::interaction::{Rated, Rating};
use proto::api::video::VideoAndMe;
use proto::events::VideoProfile;
use proto::{CommentId, Id, Timestamp, UserId, VideoId};
use store::{Batch, Push, Scan, WriteError};

use super::Service;
use crate::data::{COMMENTS, GONE, Job, LANE_INTERACTIONS, PENDING, RATINGS, Rate, Target, gone, while_there};
use crate::error::{Error, Result};

impl Service {
    /// What the caller thinks of a video from now on.
    pub(crate) async fn rate_video(&self, caller: &Caller, id: VideoId, body: Rated, now: Timestamp) -> Result<Rated> {
        let user = caller.signed_in()?;
        let video = self.visible_video(caller, id).await?;
        self.rate(user, Target::Video(id), &video, body, now).await
    }

    /// What the caller thinks of a comment from now on.
    pub(crate) async fn rate_comment(
        &self,
        caller: &Caller,
        id: CommentId,
        body: Rated,
        now: Timestamp,
    ) -> Result<Rated> {
        let user = caller.signed_in()?;
        let (_, video) = self.visible_comment(caller, id).await?;
        self.rate(user, Target::Comment(id), &video, body, now).await
    }

    async fn rate(
        &self,
        user: UserId,
        target: Target,
        video: &VideoProfile,
        body: Rated,
        now: Timestamp,
    ) -> Result<Rated> {
        self.shared.interactions.check(user, now)?;
        if self.own_rating(user, target)? == body.rating {
            return Ok(body);
        }
        let token = Id::generate();
        let job = Job::Rate(Rate {
            user,
            target,
            rating: body.rating,
            token,
            at: now,
            video: video.id,
            owner: video.owner,
            title: video.title.clone(),
        });
        let (kind, id) = target.key();
        let mut batch = while_there(Batch::new(), user).at(now.ms()).assert_absent(GONE, &gone(video.id.bytes()));
        if let Target::Comment(comment) = target {
            batch = batch.assert_present(COMMENTS, &comment.bytes());
        }
        // The queue has one worker, which takes jobs in the order of their pushing: what one person says of one thing
        // is counted in the order in which they said it.
        let push = Push { job: &job, order_key: None, due_ms: 0, lane: LANE_INTERACTIONS };
        let batch =
            batch.put(PENDING, &(user.bytes(), kind, id, token.bytes()), &body.rating).push(self.intake(), push);
        match self.store.write(batch).await {
            Ok(_) => Ok(body),
            Err(WriteError::Assertion { .. }) => Err(Error::NotFound("video or comment")),
            Err(error) => Err(error.into()),
        }
    }

    /// The caller's rating of a video.
    pub(crate) async fn rating(&self, caller: &Caller, id: VideoId) -> Result<Rated> {
        let user = caller.signed_in()?;
        self.visible_video(caller, id).await?;
        Ok(Rated { rating: self.own_rating(user, Target::Video(id))? })
    }

    /// What somebody thinks of something: what they said last, counted or not.
    ///
    /// The consumer removes the pending row in the batch that writes the rating, so reading them in this order
    /// misses nothing.
    pub(super) fn own_rating(&self, user: UserId, target: Target) -> Result<Rating> {
        let (kind, id) = target.key();
        let pending = Scan::prefix(&(user.bytes(), kind, id)).reverse();
        if let Some(entry) = self.store.scan(PENDING, pending).next() {
            return Ok(entry?.1);
        }
        let record = self.store.get(RATINGS, &(user.bytes(), kind, id))?;
        Ok(record.map_or(Rating::None, |record| record.rating))
    }

    /// What the caller has to do with a video. Without the channel service there is no answer (503): half of it
    /// would say that one does not subscribe.
    pub(crate) async fn video_and_me(&self, caller: &Caller, id: VideoId) -> Result<VideoAndMe> {
        let user = caller.signed_in()?;
        let video = self.visible_video(caller, id).await?;
        let relations = self.peers.relations(user, video.channel, id).await?;
        Ok(VideoAndMe {
            rating: self.own_rating(user, Target::Video(id))?,
            resume_at: self.resume_at(user, &video)?,
            subscribed: relations.subscribed,
            playlists: relations.playlists,
        })
    }
}
