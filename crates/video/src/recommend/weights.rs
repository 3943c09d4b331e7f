//! All weights and limits of the recommender, with their units.

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 24.0 * HOUR_MS;

// What a sign of interest weighs.
/// Having begun to watch.
pub(super) const BEGUN: f32 = 0.2;
/// Having watched all of it, besides.
pub(super) const WATCHED: f32 = 0.8;
pub(super) const LIKED: f32 = 1.0;
pub(super) const DISLIKED: f32 = -1.0;
pub(super) const SAVED: f32 = 0.5;
pub(super) const COMMENTED: f32 = 0.3;
/// 'Less of that'.
pub(super) const LESS: f32 = -0.6;
/// 'Never again': the video itself is gone from the lists, what is like it comes less often.
pub(super) const NEVER: f32 = -0.8;
/// Watched for less than this, in seconds, and less than [`BEGUN_SHARE`]: a sign of nothing.
pub(super) const BEGUN_SECONDS: f64 = 10.0;
pub(super) const BEGUN_SHARE: f64 = 0.5;
/// Watched to this part, a video is not recommended again.
pub(super) const FINISHED_SHARE: f64 = 0.7;
/// Somebody who is at this part of a video has seen its end.
pub(super) const END_SHARE: f64 = 0.9;

// How fast things are forgotten.
/// A person's interest in what they watched halves in this time.
pub(super) const TASTE_HALF_LIFE_MS: f64 = 30.0 * DAY_MS;
/// What two videos have in common halves in this time.
pub(super) const NEIGHBOUR_HALF_LIFE_MS: f64 = 180.0 * DAY_MS;
/// A viewer counts half after this time, for what is popular.
pub(super) const POPULAR_HALF_LIFE_MS: f64 = 60.0 * DAY_MS;
/// The same for what is trending.
pub(super) const TRENDING_HALF_LIFE_MS: f64 = 2.0 * DAY_MS;
/// How new a video is halves in this time.
pub(super) const NEW_HALF_LIFE_MS: f64 = 14.0 * DAY_MS;
/// How new a video of a subscribed channel is halves in this time.
pub(super) const SUBSCRIBED_HALF_LIFE_MS: f64 = 7.0 * DAY_MS;
/// Pages of people who are not signed in are forgotten after this time.
pub(super) const GUEST_KEPT_MS: f64 = 30.0 * DAY_MS;

// The mix of a home page.
pub(super) const NEIGHBOURS: f32 = 1.0;
pub(super) const CONTENT: f32 = 0.6;
/// Sums of likeness that count half of the most.
pub(super) const NEIGHBOURS_HALF: f32 = 0.5;
pub(super) const CONTENT_HALF: f32 = 0.25;
pub(super) const SUBSCRIBED: f32 = 0.5;
pub(super) const POPULAR: f32 = 0.25;
pub(super) const TRENDING: f32 = 0.15;
pub(super) const NEW: f32 = 0.12;
/// A chance for what few have seen.
pub(super) const EXPLORE: f32 = 0.12;
/// From this part of the score on, a personal reason is told.
pub(super) const TELLING: f32 = 0.06;
/// A factor for what was begun and not finished.
pub(super) const BEGUN_FACTOR: f32 = 0.6;
/// A factor for 'less of that'.
pub(super) const LESS_FACTOR: f32 = 0.2;

// What stands beside a video.
pub(super) const RELATED_NEIGHBOURS: f32 = 1.0;
pub(super) const RELATED_CONTENT: f32 = 0.8;
pub(super) const RELATED_CHANNEL: f32 = 0.3;
pub(super) const RELATED_POPULAR: f32 = 0.12;
/// A factor for what the viewer has seen.
pub(super) const RELATED_SEEN_FACTOR: f32 = 0.4;

/// So many people who watched both must there be, for their number to count half.
pub(super) const SHRINKAGE_PEOPLE: f64 = 1.0;
/// Fewer viewers than this (decayed): few have seen it.
pub(super) const FEW_VIEWERS: f64 = 5.0;
/// A viewer who is not signed in counts as this part of one who is.
pub(super) const GUEST_VIEWER: f64 = 0.5;
/// Likes and dislikes that every video is thought to have, so that one vote decides nothing.
pub(super) const PRIOR_LIKES: f64 = 3.0;
pub(super) const PRIOR_DISLIKES: f64 = 1.0;

// Diversity.
/// In a row of this many …
pub(super) const ROW: usize = 10;
/// … at most this many are of one channel, as long as there are others.
pub(super) const CHANNEL_IN_ROW_MAX: usize = 2;
/// How far ahead another channel is looked for.
pub(super) const LOOK_AHEAD: usize = 100;
/// So many more than are shown are put in order, for diversity to choose from.
pub(super) const CANDIDATES_BEYOND: usize = 1_000;
/// Every so many places, one is for what few have seen.
pub(super) const EXPLORE_EVERY: usize = 6;
/// With fewer unseen videos than this, those seen already follow.
pub(super) const FILL_TO: usize = 12;

// Memory.
/// Recommendations that one can page through.
pub(super) const PICKS_MAX: usize = 500;
/// The last so many videos of a person make their profile.
pub(super) const TASTES_MAX: usize = 60;
/// The last so many of those are compared with other videos when a page is made.
pub(super) const TASTES_USED: usize = 30;
/// Neighbours kept of a video.
pub(super) const NEIGHBOURS_MAX: usize = 200;
/// Words of a video that it is compared by.
pub(super) const TOPICS_MAX: usize = 32;
/// Words of a description that count for that.
pub(super) const DESCRIPTION_WORDS_MAX: usize = 120;
/// A word in more videos than this part of them tells nothing.
pub(super) const COMMON_TOPIC_SHARE: f32 = 0.4;
/// … unless it is in at most this many.
pub(super) const COMMON_TOPIC_LEAST: usize = 5;
/// A word that is in more videos than this is not followed.
pub(super) const TOPIC_VIDEOS_MAX: usize = 1_000;
