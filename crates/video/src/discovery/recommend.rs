//! `GET /api/recommendations`, what stands beside a video, and what people think of it.

use std::sync::PoisonError;

use kit::Caller;
use kit::paging::PageQuery;
use proto::api::Page;
use proto::api::video::{Recommendation, RecommendationFeedback};
use proto::{Problem, Timestamp, VideoId};
use store::Batch;

use super::Discovery;
use super::snapshots::{Reading, Snapshots, fill};
use crate::data::{VIDEOS, while_there};
use crate::error::Error;
use crate::recommend::{Pick, Subject};

/// How long the home page of those who are not signed in stays the same.
const GUESTS_HOME_MS: i64 = 2_000;

/// The home page of those who are not signed in, and when it was made.
pub(super) type GuestsHome = (Timestamp, Reading<Pick>);

impl Discovery {
    /// A page of what is recommended to the caller.
    pub(crate) fn recommendations(
        &self,
        caller: &Caller,
        page: &PageQuery,
        now: Timestamp,
    ) -> Result<Page<Recommendation>, Problem> {
        let limit = page.limit()?;
        let list = match self.picks.find(page, caller.user)? {
            Some(known) => known,
            None => self.home(caller, now),
        };
        Ok(self.picks_page(list, limit, caller))
    }

    /// What is recommended now. All who are not signed in get the same for some seconds.
    fn home(&self, caller: &Caller, now: Timestamp) -> Reading<Pick> {
        let make = || Snapshots::fresh(caller.user, self.recommender.home(caller.user, now));
        if caller.user.is_some() {
            return make();
        }
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        match guests.as_ref().filter(|(made_at, _)| (0..GUESTS_HOME_MS).contains(&now.since(*made_at))) {
            Some((_, known)) => known.clone(),
            None => guests.insert((now, make())).1.clone(),
        }
    }

    /// A page of what stands beside a video; 404 for one that the caller may not know of.
    pub(crate) fn related(
        &self,
        caller: &Caller,
        video: VideoId,
        page: &PageQuery,
        now: Timestamp,
    ) -> Result<Page<Recommendation>, Problem> {
        let limit = page.limit()?;
        self.service.visible(video, caller)?;
        let list = match self.picks.find(page, caller.user)? {
            Some(known) => known,
            None => Snapshots::fresh(caller.user, self.recommender.related(video, caller.user, now)),
        };
        Ok(self.picks_page(list, limit, caller))
    }

    fn picks_page(
        &self,
        (number, snapshot, from): Reading<Pick>,
        limit: usize,
        caller: &Caller,
    ) -> Page<Recommendation> {
        let (items, next) = fill(&snapshot.list, from, limit, |pick: &Pick| {
            // What was refused since the list was made is gone from its next pages too.
            if self.recommender.is_refused(pick.id, caller.user) {
                return None;
            }
            let video = self.listed_card(pick.id, caller)?;
            Some(Recommendation { video, reason: self.recommender.reason(pick, caller.user) })
        });
        let next_page_token = next.map(|next| self.picks.token(number, snapshot, next));
        Page { items, next_page_token }
    }

    /// Keeps what the caller thinks of a video or a channel.
    pub(crate) async fn feedback(
        &self,
        caller: &Caller,
        feedback: RecommendationFeedback,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let user = caller.signed_in()?;
        let subject = match (feedback.video_id, feedback.channel) {
            (Some(video), None) => {
                self.service.visible(video, caller)?;
                Subject::Video(video)
            }
            (None, Some(handle)) => Subject::Channel(self.service.channel_by_handle(&handle).await?.id),
            _ => return Err(Problem::field("videoId", "Give either `videoId` or `channel`.")),
        };
        let guard = match subject {
            Subject::Video(video) => while_there(Batch::new(), user).assert_present(VIDEOS, &video.bytes()),
            Subject::Channel(_) => while_there(Batch::new(), user),
        };
        let kept = self.recommender.feedback(user, subject, feedback.verdict, now, guard).await;
        kept.map_err(|error| Error::from(error).into())
    }
}
