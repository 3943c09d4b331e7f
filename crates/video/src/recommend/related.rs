//! What stands beside a video.

use proto::api::video::ReasonKind;
use proto::{Timestamp, UserId, VideoId};
use rustc_hash::FxHashMap;

use super::home::{factor, is_refused};
use super::items::ItemAt;
use super::mix::{Scored, arrange};
use super::model::Model;
use super::reason::Pick;
use super::weights::{
    PICKS_MAX, RELATED_CHANNEL, RELATED_CONTENT, RELATED_NEIGHBOURS, RELATED_POPULAR, RELATED_SEEN_FACTOR, TELLING,
};

impl Model {
    /// What stands beside `video` for `viewer`.
    pub(super) fn related(&self, video: VideoId, viewer: Option<UserId>, now: Timestamp) -> Vec<Pick> {
        let Some(origin) = self.items.find(video) else {
            return self.home(viewer, now).into_iter().filter(|pick| pick.id != video).collect();
        };
        let profile = self.profile(viewer);
        let most = self.most(viewer, now);
        let neighbours: FxHashMap<ItemAt, f32> = self.neighbours.of(origin, now).collect();
        let content = self.items.similar(origin);
        let channel = self.items.get(origin).channel();
        let mut reasons: FxHashMap<ItemAt, ReasonKind> = FxHashMap::default();
        let mut scored = Vec::new();
        for (at, item) in self.items.all() {
            if at == origin || !item.is_listed_for(viewer) || is_refused(profile, at, item) {
                continue;
            }
            let likeness = |map: &FxHashMap<ItemAt, f32>| map.get(&at).copied().unwrap_or(0.0);
            let same_channel = channel.is_some() && item.channel() == channel;
            let (popular, trending) = most.heat(item);
            let parts = [
                (RELATED_NEIGHBOURS * likeness(&neighbours), ReasonKind::BecauseYouWatched),
                (RELATED_CONTENT * likeness(&content), ReasonKind::Similar),
                (if same_channel { RELATED_CHANNEL } else { 0.0 }, ReasonKind::SameChannel),
            ];
            let seen = profile.watches.get(&at).is_some_and(|watch| watch.finished);
            let seen = if seen { RELATED_SEEN_FACTOR } else { 1.0 };
            let sum: f32 = parts.iter().map(|(value, _)| value).sum();
            let score = (sum + RELATED_POPULAR * popular.max(trending)) * factor(profile, at, item) * seen;
            let best = parts.into_iter().max_by(|left, right| left.0.total_cmp(&right.0));
            let general = if popular > 0.0 { ReasonKind::Popular } else { ReasonKind::New };
            reasons.insert(at, best.filter(|(value, _)| *value >= TELLING).map_or(general, |(_, kind)| kind));
            scored.push(Scored { item: at, id: item.id, channel: item.channel(), score, untried: false });
        }
        let shown = arrange(scored, PICKS_MAX);
        let pick = |scored: Scored| {
            let kind = reasons.get(&scored.item).copied().unwrap_or(ReasonKind::Popular);
            Pick { about: Some(video), beside: true, ..Pick::plain(scored.id, kind) }
        };
        shown.into_iter().map(pick).collect()
    }
}
