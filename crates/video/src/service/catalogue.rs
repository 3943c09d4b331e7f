//! The videos that lists may name, in memory: filtered and ranked without touching the store.
//!
//! A line costs some hundred bytes. It is filled from the store at the start, and follows each change.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use proto::{ChannelId, Timestamp, VideoId};

use crate::data::{Counts, ListedRecord};

/// Newest first.
type Place = (Reverse<i64>, Reverse<VideoId>);

/// What a list is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct ListFilter {
    pub channel: Option<ChannelId>,
    pub category: Option<String>,
    /// Lower case.
    pub tag: Option<String>,
    /// Whether the viewer is signed in, and so sees internal videos.
    pub signed_in: bool,
}

impl ListFilter {
    fn admits(&self, listed: &ListedRecord) -> bool {
        (self.signed_in || !listed.internal)
            && self.category.as_ref().is_none_or(|category| *category == listed.category)
            && self.tag.as_ref().is_none_or(|tag| listed.tags.contains(tag))
    }
}

/// How a ranked list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ranking {
    /// Most views first.
    Popular,
    /// Much attention in little time first.
    Trending,
}

#[derive(Debug, Default)]
struct Lines {
    by_place: BTreeMap<Place, ListedRecord>,
    by_channel: BTreeSet<(ChannelId, Place)>,
    places: HashMap<VideoId, Place>,
    counts: HashMap<VideoId, Counts>,
}

/// All lists. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue(Arc<RwLock<Lines>>);

impl Catalogue {
    fn read(&self) -> RwLockReadGuard<'_, Lines> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lines> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a video, or takes it out of the lists.
    pub(crate) fn set(&self, id: VideoId, listed: Option<(Timestamp, ListedRecord)>) {
        let mut lines = self.write();
        if let Some(place) = lines.places.remove(&id)
            && let Some(old) = lines.by_place.remove(&place)
        {
            lines.by_channel.remove(&(old.channel, place));
        }
        if let Some((published_at, record)) = listed {
            let place = (Reverse(published_at.ms()), Reverse(id));
            lines.places.insert(id, place);
            lines.by_channel.insert((record.channel, place));
            lines.by_place.insert(place, record);
        }
    }

    /// What people did with a video from now on; `None` when it is gone.
    pub(crate) fn set_counts(&self, id: VideoId, counts: Option<Counts>) {
        let mut lines = self.write();
        match counts {
            Some(counts) => drop(lines.counts.insert(id, counts)),
            None => drop(lines.counts.remove(&id)),
        }
    }

    /// What people did with a video.
    pub(crate) fn counts(&self, id: VideoId) -> Counts {
        self.read().counts.get(&id).copied().unwrap_or_default()
    }

    /// The newest after `after`, at most `limit`, each with its time.
    pub(crate) fn newest(
        &self,
        filter: &ListFilter,
        after: Option<(i64, VideoId)>,
        limit: usize,
    ) -> Vec<(i64, VideoId)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let lines = self.read();
        let after = after.map(|(ms, id)| (Reverse(ms), Reverse(id)));
        if let Some(channel) = filter.channel {
            let start = after.map_or((channel, (Reverse(i64::MAX), Reverse(last_id()))), |place| (channel, place));
            return lines
                .by_channel
                .range((Excluded(start), Unbounded))
                .take_while(|(owner, _)| *owner == channel)
                .filter(|(_, place)| lines.by_place.get(place).is_some_and(|listed| filter.admits(listed)))
                .map(|(_, place)| (place.0.0, place.1.0))
                .take(limit)
                .collect();
        }
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        lines
            .by_place
            .range(range)
            .filter(|(_, listed)| filter.admits(listed))
            .map(|(place, _)| (place.0.0, place.1.0))
            .take(limit)
            .collect()
    }

    /// The best by `ranking`, at most `limit`.
    pub(crate) fn ranked(&self, filter: &ListFilter, ranking: Ranking, limit: usize, now: Timestamp) -> Vec<VideoId> {
        let lines = self.read();
        let mut scored: Vec<(f64, Place)> = lines
            .by_place
            .iter()
            .filter(|(_, listed)| filter.channel.is_none_or(|channel| channel == listed.channel))
            .filter(|(_, listed)| filter.admits(listed))
            .map(|(place, _)| {
                let counts = lines.counts.get(&place.1.0).copied().unwrap_or_default();
                (score(ranking, counts, now.ms() - place.0.0), *place)
            })
            .collect();
        scored.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        scored.into_iter().take(limit).map(|(_, place)| place.1.0).collect()
    }
}

/// Sorts before every video of a channel.
fn last_id() -> VideoId {
    VideoId::from_bytes([0xFF; 16])
}

#[allow(clippy::cast_precision_loss)]
fn score(ranking: Ranking, counts: Counts, age_ms: i64) -> f64 {
    match ranking {
        Ranking::Popular => counts.views as f64,
        Ranking::Trending => {
            let attention = counts.views as f64 + 5.0 * counts.likes as f64 + 3.0 * counts.comments as f64 + 1.0;
            let age_hours = age_ms.max(0) as f64 / 3_600_000.0;
            attention / (age_hours + 2.0).powf(1.5)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listed(channel: ChannelId, internal: bool, tags: &[&str]) -> ListedRecord {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        ListedRecord { channel, internal, category: "films".into(), tags }
    }

    fn filled() -> (Catalogue, ChannelId, ChannelId, Vec<VideoId>) {
        let (catalogue, ours, theirs) = (Catalogue::default(), ChannelId::generate(), ChannelId::generate());
        let ids: Vec<VideoId> = (0..6).map(|_| VideoId::generate()).collect();
        for (index, id) in (0_i64..).zip(&ids) {
            let channel = if index % 2 == 0 { ours } else { theirs };
            let record = listed(channel, index == 4, if index < 3 { &["old"] } else { &[] });
            catalogue.set(*id, Some((Timestamp::from_ms(index * 1000), record)));
        }
        (catalogue, ours, theirs, ids)
    }

    fn ids(found: &[(i64, VideoId)]) -> Vec<VideoId> {
        found.iter().map(|(_, id)| *id).collect()
    }

    #[test]
    fn newest_first_in_pages_that_follow_each_other() {
        let (catalogue, _, _, all) = filled();
        let filter = ListFilter { signed_in: true, ..ListFilter::default() };
        let first = catalogue.newest(&filter, None, 4);
        assert_eq!(ids(&first), [all[5], all[4], all[3], all[2]]);
        let second = catalogue.newest(&filter, first.last().copied(), 4);
        assert_eq!(ids(&second), [all[1], all[0]]);
    }

    #[test]
    fn filters_narrow_and_guests_see_nothing_internal() {
        let (catalogue, ours, theirs, all) = filled();
        let guest = ListFilter::default();
        assert!(!ids(&catalogue.newest(&guest, None, 10)).contains(&all[4]));
        let of = |channel, signed_in| ListFilter { channel: Some(channel), signed_in, ..ListFilter::default() };
        assert_eq!(ids(&catalogue.newest(&of(ours, true), None, 10)), [all[4], all[2], all[0]]);
        assert_eq!(ids(&catalogue.newest(&of(ours, false), None, 10)), [all[2], all[0]]);
        assert_eq!(ids(&catalogue.newest(&of(theirs, false), Some((3000, all[3])), 10)), [all[1]]);
        let tagged = ListFilter { tag: Some("old".into()), ..ListFilter::default() };
        assert_eq!(ids(&catalogue.newest(&tagged, None, 10)), [all[2], all[1], all[0]]);
    }

    #[test]
    fn what_leaves_the_lists_is_gone_from_all_of_them() {
        let (catalogue, ours, _, all) = filled();
        catalogue.set(all[2], None);
        let of = ListFilter { channel: Some(ours), signed_in: true, ..ListFilter::default() };
        assert_eq!(ids(&catalogue.newest(&of, None, 10)), [all[4], all[0]]);
        assert_eq!(catalogue.newest(&ListFilter::default(), None, 10).len(), 4);
    }

    #[test]
    fn ranked_by_views_or_by_attention_in_little_time() {
        let (catalogue, _, _, all) = filled();
        let hour = 3_600_000;
        let now = Timestamp::from_ms(1000 * hour);
        let young = VideoId::generate();
        catalogue.set(young, Some((now.plus_ms(-hour), listed(ChannelId::generate(), false, &[]))));
        catalogue.set_counts(all[0], Some(Counts { views: 1000, ..Counts::default() }));
        catalogue.set_counts(young, Some(Counts { views: 50, ..Counts::default() }));
        let filter = ListFilter::default();
        assert_eq!(catalogue.ranked(&filter, Ranking::Popular, 2, now), [all[0], young]);
        assert_eq!(catalogue.ranked(&filter, Ranking::Trending, 2, now), [young, all[0]]);
    }
}
