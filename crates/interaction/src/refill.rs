//! What this service's snapshot says, and how its own projections are filled anew.

use kit::logs::{Kept, Projection, Rows};
use proto::api::interaction::Rating;
use proto::events::{GatewayEvent, InteractionEvent, VideoEvent, Viewer};
use proto::{ChannelId, UserId, VideoId};
use store::{Batch, ReadError, Store};

use crate::data::{
    COMMENT_COUNT, COMMENTS, COUNTED, DISLIKES, GONE, HISTORY, HISTORY_PAUSED, IdKey, LIKES, RATERS, RATINGS, THREADS,
    Target, USERNAMES, USERS, VIDEOS, VIEW_COUNT, WATCHERS, WRITTEN_BY, gone,
};

/// What is counted, what people think and say of videos, and what they watched. How much of a video somebody watched
/// is not kept; they came to where their history says.
pub(crate) fn snapshot() -> Rows<InteractionEvent> {
    Rows::new()
        .keys(VIDEOS, |store, id| Ok(Some(counts(store, id)?)))
        .keys(RATERS, |store, (kind, id, _)| match Target::of((kind, id)) {
            Target::Video(_) => unknown_counts(store, id),
            Target::Comment(_) => Ok(None),
        })
        .keys(THREADS, |store, (video, _)| unknown_counts(store, video))
        .table(RATINGS, |_, (user, kind, id), record| {
            let (Target::Video(video), Rating::Like | Rating::Dislike) = (Target::of((kind, id)), record.rating) else {
                return Ok(None);
            };
            let user = UserId::from_bytes(user);
            Ok(Some(InteractionEvent::Rated { user, video, rating: record.rating, at: record.at }))
        })
        .table(COMMENTS, |_, _, record| {
            let Some(user) = record.author.filter(|_| !record.deleted && !record.held) else { return Ok(None) };
            Ok(Some(InteractionEvent::Commented { user, video: record.video, at: record.created_at }))
        })
        .table(HISTORY, |_, (user, video), record| {
            Ok(Some(InteractionEvent::Watched {
                viewer: Viewer::User(UserId::from_bytes(user)),
                video: VideoId::from_bytes(video),
                watched_seconds: record.position_seconds,
                position_seconds: record.position_seconds,
                at: record.watched_at,
            }))
        })
}

fn counts(store: &Store, id: IdKey) -> Result<InteractionEvent, ReadError> {
    let video = VideoId::from_bytes(id);
    let target = Target::Video(video).key();
    let total = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(InteractionEvent::Counts {
        video,
        views: total(store.count(VIEW_COUNT, &id)?),
        likes: total(store.count(LIKES, &target)?),
        dislikes: total(store.count(DISLIKES, &target)?),
        comments: total(store.count(COMMENT_COUNT, &id)?),
    })
}

/// The counts of a video that the projection does not name.
fn unknown_counts(store: &Store, id: IdKey) -> Result<Option<InteractionEvent>, ReadError> {
    if store.contains(VIDEOS, &id)? || store.contains(GONE, &gone(id))? {
        Ok(None)
    } else {
        Ok(Some(counts(store, id)?))
    }
}

/// The accounts with their names, and what this service has of each.
pub(crate) fn users() -> Projection<GatewayEvent> {
    let rows = Rows::new()
        .keys(USERS, |_, id| Ok(Some(Kept::of_account(id))))
        .keys(RATINGS, |_, (user, _, _)| Ok(Some(Kept::of_account(user))))
        .keys(WRITTEN_BY, |_, (author, _)| Ok(Some(Kept::of_account(author))))
        .keys(HISTORY, |_, (user, _)| Ok(Some(Kept::of_account(user))))
        .keys(HISTORY_PAUSED, |_, user| Ok(Some(Kept::of_account(user))))
        .table(USERNAMES, |store, name, id| {
            let has = store.get(USERS, &id.bytes())?.is_some_and(|user| user.username == name);
            let stray = move || Batch::new().assert_equal(USERNAMES, &name, &id).delete(USERNAMES, &name);
            Ok((!has).then(|| Kept::stray(stray)))
        })
        .table(USERS, |store, key, user| {
            // Somebody has the name, this account or another one that says so too.
            let named = match store.get(USERNAMES, &user.username)? {
                Some(id) => store.get(USERS, &id.bytes())?.is_some_and(|other| other.username == user.username),
                None => false,
            };
            let lost = move || Batch::new().assert_equal(USERS, &key, &user).put(USERNAMES, &user.username, &user.id);
            Ok((!named).then(|| Kept::stray(lost)))
        });
    Projection::of_accounts(rows)
}

/// The videos, and what this service has of each.
pub(crate) fn videos() -> Projection<VideoEvent> {
    // Whose it was is known no longer; nobody asks.
    let of = |id: IdKey| Some(Kept::of_video(id, UserId::from_bytes([0; 16]), ChannelId::from_bytes([0; 16])));
    let rows = Rows::new()
        .table(VIDEOS, |_, id, video| Ok(Some(Kept::of_video(id, video.owner, video.channel))))
        .keys(THREADS, move |_, (video, _)| Ok(of(video)))
        .keys(RATERS, move |_, (kind, id, _)| {
            Ok(matches!(Target::of((kind, id)), Target::Video(_)).then(|| of(id)).flatten())
        })
        .keys(WATCHERS, move |_, (video, _)| Ok(of(video)))
        .keys(COUNTED, move |_, (video, _)| Ok(of(video)));
    Projection::of_videos(rows)
}
