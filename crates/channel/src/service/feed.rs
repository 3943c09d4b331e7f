//! The newest videos of the channels that one subscribes to.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use kit::caller::Caller;
use kit::paging::{PageQuery, encode_token};
use proto::api::Page;
use proto::api::video::VideoCard;
use proto::{UserId, VideoId};
use store::{Desc, ReadError, Scan, Store};

use super::Service;
use crate::data::{FEED, FeedKey, IdKey, SUBSCRIPTIONS};
use crate::error::Result;

/// How often a page is filled up with further videos when some may no longer be seen.
const REFILLS: usize = 5;

/// A place in the feed: when it was published, and which video it is.
type Place = (i64, VideoId);

impl Service {
    /// A page of the caller's feed. Its places do not move while videos come and go.
    pub(crate) async fn feed(&self, caller: &Caller, query: &PageQuery) -> Result<Page<VideoCard>> {
        let user = caller.signed_in()?;
        let limit = query.limit()?;
        let mut after = query.position::<Place>()?;
        let mut items = Vec::new();
        for _ in 0..REFILLS {
            let wanted = limit - items.len();
            let from = after;
            let places = self.blocking(move |store| newest(store, user, from, wanted + 1)).await?;
            let more = places.len() > wanted;
            let ids = places.iter().take(wanted).map(|(_, video)| *video).collect();
            items.extend(self.peers.cards(caller, ids).await?);
            if !more {
                return Ok(Page { items, next_page_token: None });
            }
            after = places.get(wanted - 1).copied();
            if items.len() >= limit {
                break;
            }
        }
        Ok(Page { items, next_page_token: after.map(|place| encode_token(&place)) })
    }

    /// Playlists' items and feeds name videos by id; this puts the cards to them.
    pub(super) async fn cards(&self, caller: &Caller, mut ids: Vec<VideoId>) -> Result<HashMap<VideoId, VideoCard>> {
        ids.sort_unstable();
        ids.dedup();
        let cards = self.peers.cards(caller, ids).await?;
        Ok(cards.into_iter().map(|card| (card.id, card)).collect())
    }
}

/// One channel's next video, with the rest of that channel behind it.
struct Next<I> {
    place: Place,
    channel: IdKey,
    rest: I,
}

impl<I> Ord for Next<I> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place).then(self.channel.cmp(&other.channel))
    }
}
impl<I> PartialOrd for Next<I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<I> PartialEq for Next<I> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<I> Eq for Next<I> {}

/// Merges the channels' lists, newest first.
fn newest(store: &Store, user: UserId, after: Option<Place>, limit: usize) -> Result<Vec<Place>, ReadError> {
    let mut heap = BinaryHeap::new();
    for key in store.scan_keys(SUBSCRIPTIONS, Scan::prefix(&user.bytes())) {
        let (_, channel) = key?;
        let mut scan = Scan::prefix(&channel);
        if let Some((time_ms, video)) = after {
            scan = scan.after(&(channel, Desc(time_ms), Desc(video.bytes())));
        }
        advance(&mut heap, channel, store.scan_keys(FEED, scan))?;
    }
    let mut places = Vec::with_capacity(limit);
    while places.len() < limit
        && let Some(Next { place, channel, rest }) = heap.pop()
    {
        places.push(place);
        advance(&mut heap, channel, rest)?;
    }
    Ok(places)
}

fn advance<I>(heap: &mut BinaryHeap<Next<I>>, channel: IdKey, mut rest: I) -> Result<(), ReadError>
where
    I: Iterator<Item = Result<FeedKey, ReadError>>,
{
    if let Some(key) = rest.next() {
        let (_, Desc(time_ms), Desc(video)) = key?;
        heap.push(Next { place: (time_ms, VideoId::from_bytes(video)), channel, rest });
    }
    Ok(())
}
