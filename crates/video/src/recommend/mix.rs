//! From scores to a list: the best first, not ten of one channel, and now and then something untried.

use proto::{ChannelId, Timestamp, UserId, VideoId};

use super::items::ItemAt;
use super::weights::{CANDIDATES_BEYOND, CHANNEL_IN_ROW_MAX, EXPLORE_EVERY, LOOK_AHEAD, ROW};

/// A video with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) item: ItemAt,
    pub(super) id: VideoId,
    pub(super) channel: Option<ChannelId>,
    pub(super) score: f32,
    /// New, and seen by few.
    pub(super) untried: bool,
}

/// The list in the order in which it is shown, at most `limit`.
pub(super) fn arrange(mut scored: Vec<Scored>, limit: usize) -> Vec<Scored> {
    let order = |left: &Scored, right: &Scored| right.score.total_cmp(&left.score).then(right.id.cmp(&left.id));
    let looked_at = limit.saturating_add(CANDIDATES_BEYOND);
    if scored.len() > looked_at {
        scored.select_nth_unstable_by(looked_at, order);
        scored.truncate(looked_at);
    }
    scored.sort_unstable_by(order);
    let mut waiting: Vec<Option<Scored>> = scored.into_iter().map(Some).collect();
    let mut shown: Vec<Scored> = Vec::with_capacity(limit.min(waiting.len()));
    let mut first = 0;
    while shown.len() < limit {
        while waiting.get(first).is_some_and(Option::is_none) {
            first += 1;
        }
        let Some(next) = next_place(&waiting[first..], &shown) else { break };
        shown.extend(waiting[first + next].take());
    }
    shown
}

/// Which of those that wait comes next: the best that fits into the row.
fn next_place(waiting: &[Option<Scored>], shown: &[Scored]) -> Option<usize> {
    let row = &shown[shown.len().saturating_sub(ROW - 1)..];
    let fits =
        |candidate: &Scored| row.iter().filter(|other| other.channel == candidate.channel).count() < CHANNEL_IN_ROW_MAX;
    let ahead = || waiting.iter().enumerate().filter_map(|(at, one)| Some((at, one.as_ref()?))).take(LOOK_AHEAD);
    let turn = shown.len() % EXPLORE_EVERY == EXPLORE_EVERY - 1;
    let tried = shown[shown.len().saturating_sub(EXPLORE_EVERY - 1)..].iter().any(|other| other.untried);
    let untried = if turn && !tried { ahead().find(|(_, one)| one.untried && fits(one)) } else { None };
    untried.or_else(|| ahead().find(|(_, one)| fits(one))).or_else(|| ahead().next()).map(|(at, _)| at)
}

/// A number from 0 to 1 that is the same all day for one viewer and video.
pub(super) fn chance(viewer: Option<UserId>, video: VideoId, now: Timestamp) -> f32 {
    let day = now.ms().div_euclid(86_400_000).to_be_bytes();
    let viewer = viewer.map_or([0; 16], UserId::bytes);
    let bytes = viewer.iter().chain(&video.bytes()).chain(&day).copied().collect::<Vec<u8>>();
    let mut hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    // The last bytes have hardly reached the upper bits yet.
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^= hash >> 32;
    (hash >> 40) as f32 / (1_u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(score: f32, channel: u8) -> Scored {
        let channel = Some(ChannelId::from_bytes([channel; 16]));
        Scored { item: 0, id: VideoId::generate(), channel, score, untried: false }
    }

    #[test]
    fn a_row_has_at_most_two_of_one_channel_while_there_are_others() {
        let loud = (0..30_u8).map(|at| scored(10.0 - f32::from(at) / 100.0, 1));
        let quiet = (0..40_u8).map(|at| scored(1.0, 2 + at / 2));
        let shown = arrange(loud.chain(quiet).collect(), 40);
        for row in shown.windows(ROW).take(30) {
            let loud = row.iter().filter(|one| one.channel == Some(ChannelId::from_bytes([1; 16]))).count();
            assert!(loud <= CHANNEL_IN_ROW_MAX, "{loud}");
        }
        assert!(shown.iter().all(|one| one.score > 0.0));
    }

    #[test]
    fn one_channel_alone_is_shown_whole() {
        assert_eq!(arrange((0..30).map(|_| scored(1.0, 1)).collect(), 500).len(), 30);
    }

    #[test]
    fn something_untried_comes_up_early() {
        let mut all: Vec<Scored> = (0..50_u8).map(|at| scored(2.0, at)).collect();
        all.push(Scored { untried: true, ..scored(0.1, 100) });
        let place = arrange(all, 500).iter().position(|one| one.untried);
        assert_eq!(place, Some(EXPLORE_EVERY - 1));
    }

    #[test]
    fn chances_are_spread_and_change_by_day_and_viewer() {
        let now = Timestamp::from_ms(1_800_000_000_000);
        let (viewer, video) = (Some(UserId::generate()), VideoId::generate());
        assert!((chance(viewer, video, now) - chance(viewer, video, now.plus_ms(1))).abs() < f32::EPSILON);
        assert!((chance(viewer, video, now) - chance(viewer, video, now.plus_ms(86_400_000))).abs() > f32::EPSILON);
        assert!((chance(viewer, video, now) - chance(None, video, now)).abs() > f32::EPSILON);
        let mean = (0..1_000).map(|_| chance(viewer, VideoId::generate(), now)).sum::<f32>() / 1_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
