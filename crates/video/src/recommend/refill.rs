//! What is known of people's interest, as a refill looks at it: opinions that were taken back and what was
//! forgotten meanwhile must not stay. What a guest watched, and that somebody commented or kept a video, stays.

use kit::logs::{Kept, Rows, Subject};
use proto::api::interaction::Rating;
use proto::events::{ChannelEvent, InteractionEvent, Viewer};
use proto::{ChannelId, UserId, VideoId};
use store::ReadError;

use super::Recommender;
use super::data::{CHANNEL_OPINIONS, Person, SIGNALS, SUBSCRIPTIONS, VIDEO_OPINIONS};

const COUNTS: u8 = 0;
const RATED: u8 = 1;
const WATCHED: u8 = 2;
const COMMENTED: u8 = 3;

/// What an event of the interaction service is about.
pub(crate) fn subject(event: &InteractionEvent) -> Option<Subject> {
    let of = |kind, user: &UserId, video: &VideoId| Some(Subject::new(kind, &[user.bytes(), video.bytes()]));
    match event {
        InteractionEvent::Counts { video, .. } => Some(Subject::new(COUNTS, &[video.bytes()])),
        InteractionEvent::Rated { user, video, .. } => of(RATED, user, video),
        InteractionEvent::Watched { viewer: Viewer::User(user), video, .. } => of(WATCHED, user, video),
        InteractionEvent::Watched { viewer: Viewer::Page(page), video, .. } => {
            Some(Subject::new(WATCHED, &[Person::of_page(page).0, video.bytes()]))
        }
        InteractionEvent::Commented { user, video, .. } => of(COMMENTED, user, video),
        InteractionEvent::Forgotten { user, video } => video.as_ref().and_then(|video| of(WATCHED, user, video)),
    }
}

/// What is known of people, with what would take it back.
pub(crate) fn kept_signals() -> Rows<Kept> {
    Rows::new()
        .table(SIGNALS, |_, (person, video), signal| {
            let gone = InteractionEvent::Rated {
                user: UserId::from_bytes(person),
                video: VideoId::from_bytes(video),
                rating: Rating::None,
                at: signal.at(),
            };
            Ok((signal.rating != 0).then(|| Kept::of(Subject::new(RATED, &[person, video]), &gone)))
        })
        .table(SIGNALS, |_, (person, video), signal| {
            let watched = !signal.guest && (signal.watched_seconds > 0.0 || signal.position_seconds > 0.0);
            let (user, of) = (UserId::from_bytes(person), Some(VideoId::from_bytes(video)));
            let gone = InteractionEvent::Forgotten { user, video: of };
            Ok(watched.then(|| Kept::of(Subject::new(WATCHED, &[person, video]), &gone)))
        })
}

/// The subscriptions, with what would end them.
pub(crate) fn kept_subscriptions(rows: Rows<Kept>) -> Rows<Kept> {
    rows.keys(SUBSCRIPTIONS, |_, (user, channel)| {
        let (who, of) = (UserId::from_bytes(user), ChannelId::from_bytes(channel));
        let gone = ChannelEvent::Unsubscribed { user: who, channel: of };
        Ok(Some(Kept::of(Subject::new(1, &[channel, user]), &gone)))
    })
}

/// The accounts that something is known of, as `kept` makes of them.
pub(crate) fn kept_person(rows: Rows<Kept>, kept: fn([u8; 16]) -> Kept) -> Rows<Kept> {
    rows.table(SIGNALS, move |_, (person, _), signal| Ok((!signal.guest).then(|| kept(person))))
        .keys(SUBSCRIPTIONS, move |_, (user, _)| Ok(Some(kept(user))))
        .keys(VIDEO_OPINIONS, move |_, (user, _)| Ok(Some(kept(user))))
        .keys(CHANNEL_OPINIONS, move |_, (user, _)| Ok(Some(kept(user))))
}

impl Recommender {
    /// An event of a snapshot, without what is known better here: how much of a video somebody watched.
    pub(crate) fn of_snapshot(&self, event: InteractionEvent) -> Result<InteractionEvent, ReadError> {
        let InteractionEvent::Watched { viewer: Viewer::User(user), video, position_seconds, at, .. } = &event else {
            return Ok(event);
        };
        let known = self.store.get(SIGNALS, &(user.bytes(), video.bytes()))?;
        if known.is_none_or(|known| known.watched_seconds <= 0.0) {
            return Ok(event);
        }
        let (viewer, video) = (Viewer::User(*user), *video);
        let (position_seconds, at) = (*position_seconds, *at);
        Ok(InteractionEvent::Watched { viewer, video, watched_seconds: 0.0, position_seconds, at })
    }
}
