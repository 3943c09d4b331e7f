//! Comments that most people like first: a list that is ranked once and kept for as long as somebody pages it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use kit::Caller;
use kit::paging::{PageQuery, encode_token};
use proto::api::Page;
use proto::events::VideoProfile;
use proto::{CommentId, Id, VideoId};
use serde::{Deserialize, Serialize};
use store::{ReadError, Scan, Store};

use super::Service;
use super::threads::visible;
use crate::data::{COMMENTS, CommentRecord, LIKES, REPLY_COUNT, THREADS, Target};
use crate::error::{Error, Result};

/// How long a ranking is kept.
const KEPT: Duration = Duration::from_secs(600);

/// Comments of a ranking.
const RANKED_MAX: usize = 500;

/// The newest threads that are looked at for it.
const CANDIDATES_MAX: usize = 2_000;

/// Rankings kept at once; the oldest go first. One takes up to 8 KiB.
const RANKINGS_MAX: u64 = 1_000;

/// The rankings that somebody may page on in.
pub(super) struct Rankings {
    kept: moka::sync::Cache<(VideoId, Id), Arc<[CommentId]>>,
}

impl Default for Rankings {
    fn default() -> Self {
        Self { kept: moka::sync::Cache::builder().max_capacity(RANKINGS_MAX).time_to_live(KEPT).build() }
    }
}

/// A place in a ranking.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    ranking: Id,
    next: usize,
}

impl Service {
    /// A page of a video's threads, ranked.
    pub(super) async fn top_comments(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        query: &PageQuery,
    ) -> Result<Page<(CommentId, CommentRecord)>> {
        let limit = query.limit()?;
        let (place, ranked) = match query.position::<Place>()? {
            Some(place) => {
                let kept = self.shared.rankings.kept.get(&(video.id, place.ranking));
                (place, kept.ok_or(Error::ListExpired)?)
            }
            None => {
                let (caller, video) = (caller.clone(), video.clone());
                let ranked: Arc<[CommentId]> =
                    self.blocking(move |store| ranking(store, &caller, &video)).await?.into();
                (Place { ranking: Id::generate(), next: 0 }, ranked)
            }
        };
        let next = place.next.saturating_add(limit);
        let next_page_token = (next < ranked.len()).then(|| {
            self.shared.rankings.kept.insert((video.id, place.ranking), ranked.clone());
            encode_token(&Place { ranking: place.ranking, next })
        });
        let mut items = Vec::with_capacity(limit);
        for id in ranked.iter().skip(place.next).take(limit) {
            if let Some(record) = self.store.get(COMMENTS, &id.bytes())? {
                items.push((*id, record));
            }
        }
        Ok(Page { items, next_page_token })
    }
}

fn ranking(store: &Store, caller: &Caller, video: &VideoProfile) -> Result<Vec<CommentId>, ReadError> {
    let keys = store.scan_keys(THREADS, Scan::prefix(&video.id.bytes()).reverse());
    let mut ranked = Vec::new();
    for (id, record) in visible(store, caller, video, keys, CANDIDATES_MAX)? {
        let likes = store.count(LIKES, &Target::Comment(id).key())?;
        let replies = store.count(REPLY_COUNT, &id.bytes())?;
        ranked.push((Reverse(likes), Reverse(replies), record.deleted, Reverse(id)));
    }
    ranked.sort_unstable();
    Ok(ranked.into_iter().take(RANKED_MAX).map(|(.., Reverse(id))| id).collect())
}
