//! Public lists, and the list of one's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit::Caller;
use kit::paging::{self, PageQuery};
use moka::sync::Cache as Moka;
use proto::api::Page;
use proto::api::video::{OwnVideo, VideoCard, VideoState};
use proto::{Timestamp, VideoId};
use serde::{Deserialize, Serialize};
use store::{Desc, Scan};

use super::Service;
use super::catalogue::{ListFilter, Ranking};
use super::known::Known;
use crate::data::OWNED;
use crate::error::{Error, Result};

/// Entries of a ranked list.
const RANKED_MAX: usize = 500;
/// How old a ranking may be before it is made anew.
const RANKING_AGE_MAX: Duration = Duration::from_secs(5);
/// How long one can page through a ranking.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(600);
/// Rankings kept for paging.
const SNAPSHOTS_MAX: u64 = 1_000;
/// Own videos looked at in one call with a filter.
const OWN_LOOKED_AT_MAX: usize = 5_000;

/// `GET /api/videos`
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    sort: Sort,
    category: Option<String>,
    tag: Option<String>,
    channel: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sort {
    #[default]
    New,
    Popular,
    Trending,
}

/// `GET /api/me/videos`
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct OwnQuery {
    state: Option<VideoState>,
    q: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// A ranking that was made, for everyone who asked the same.
#[derive(Debug)]
struct Snapshot {
    number: u64,
    ids: Vec<VideoId>,
}

/// Where somebody is in a ranking.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Place {
    snapshot: u64,
    next: usize,
}

/// Rankings made lately.
pub(super) struct Rankings {
    fresh: Moka<(Ranking, ListFilter), Arc<Snapshot>>,
    kept: Moka<u64, Arc<Snapshot>>,
    next: AtomicU64,
}

impl Rankings {
    pub(super) fn new() -> Self {
        Self {
            fresh: Moka::builder().time_to_live(RANKING_AGE_MAX).max_capacity(SNAPSHOTS_MAX).build(),
            kept: Moka::builder().time_to_live(SNAPSHOT_AGE_MAX).max_capacity(SNAPSHOTS_MAX).build(),
            // A number from before a restart must not be found again.
            next: AtomicU64::new(rand::random::<u32>().into()),
        }
    }
}

impl Service {
    /// A public list.
    pub(crate) async fn list(&self, caller: &Caller, query: &ListQuery, now: Timestamp) -> Result<Page<VideoCard>> {
        let channel = match query.channel.as_deref() {
            Some(handle) => match self.channel_by_handle(handle).await {
                Ok(channel) => Some(channel.id),
                Err(Error::NotFound(_)) => return Ok(Page { items: Vec::new(), next_page_token: None }),
                Err(error) => return Err(error),
            },
            None => None,
        };
        let filter = ListFilter {
            channel,
            category: query.category.clone().filter(|category| !category.is_empty()),
            tag: query.tag.as_deref().filter(|tag| !tag.is_empty()).map(str::to_lowercase),
            signed_in: caller.user.is_some(),
        };
        self.list_by(caller, &filter, query.sort, &query.page, now)
    }

    /// The videos of a channel that lists may name; 404 without such a channel.
    pub(crate) async fn channel_videos(
        &self,
        caller: &Caller,
        handle: &str,
        query: &ListQuery,
        now: Timestamp,
    ) -> Result<Page<VideoCard>> {
        let channel = self.channel_by_handle(handle).await?;
        let filter =
            ListFilter { channel: Some(channel.id), signed_in: caller.user.is_some(), ..ListFilter::default() };
        self.list_by(caller, &filter, query.sort, &query.page, now)
    }

    fn list_by(
        &self,
        caller: &Caller,
        filter: &ListFilter,
        sort: Sort,
        page: &PageQuery,
        now: Timestamp,
    ) -> Result<Page<VideoCard>> {
        match sort {
            Sort::New => self.newest(caller, filter, page),
            Sort::Popular => self.ranked(caller, filter, Ranking::Popular, page, now),
            Sort::Trending => self.ranked(caller, filter, Ranking::Trending, page, now),
        }
    }

    fn newest(&self, caller: &Caller, filter: &ListFilter, page: &PageQuery) -> Result<Page<VideoCard>> {
        let limit = page.limit()?;
        let mut places = self.catalogue.newest(filter, page.position()?, limit + 1);
        let more = places.len() > limit;
        places.truncate(limit);
        let next_page_token = places.last().filter(|_| more).map(paging::encode_token);
        let ids: Vec<VideoId> = places.into_iter().map(|(_, id)| id).collect();
        Ok(Page { items: self.cards(&ids, caller), next_page_token })
    }

    fn ranked(
        &self,
        caller: &Caller,
        filter: &ListFilter,
        ranking: Ranking,
        page: &PageQuery,
        now: Timestamp,
    ) -> Result<Page<VideoCard>> {
        let limit = page.limit()?;
        let (snapshot, from) = match page.position::<Place>()? {
            Some(place) => (self.rankings.kept.get(&place.snapshot).ok_or(Error::PageToken)?, place.next),
            None => (self.ranking(filter, ranking, now), 0),
        };
        let ids = snapshot.ids.get(from..).unwrap_or_default();
        let next = from + limit;
        let next_page_token =
            (ids.len() > limit).then(|| paging::encode_token(&Place { snapshot: snapshot.number, next }));
        Ok(Page { items: self.cards(&ids[..ids.len().min(limit)], caller), next_page_token })
    }

    fn ranking(&self, filter: &ListFilter, ranking: Ranking, now: Timestamp) -> Arc<Snapshot> {
        self.rankings.fresh.get_with((ranking, filter.clone()), || {
            let ids = self.catalogue.ranked(filter, ranking, RANKED_MAX, now);
            let number = self.rankings.next.fetch_add(1, Ordering::Relaxed);
            let snapshot = Arc::new(Snapshot { number, ids });
            self.rankings.kept.insert(number, Arc::clone(&snapshot));
            snapshot
        })
    }

    /// All of one's own, in every state, newest first.
    pub(crate) async fn own_videos(self: &Arc<Self>, caller: &Caller, query: OwnQuery) -> Result<Page<OwnVideo>> {
        let owner = caller.signed_in()?;
        let limit = query.page.limit()?;
        let after: Option<VideoId> = query.page.position()?;
        self.blocking(move |service| {
            let mut scan = Scan::prefix(&owner.bytes());
            if let Some(after) = after {
                scan = scan.after(&(owner.bytes(), Desc(after.bytes())));
            }
            let words = query.q.as_deref().unwrap_or_default().to_lowercase();
            let mut found = Vec::new();
            for key in service.store.scan_keys(OWNED, scan).take(OWN_LOOKED_AT_MAX) {
                let id = VideoId::from_bytes(key?.1.0);
                let Some(known) = service.known(id)? else { continue };
                if query.state.is_none_or(|state| state == known.record.state)
                    && (words.is_empty() || known.record.title.to_lowercase().contains(&words))
                    && let Some(own) = service.own_video(id, &known)?
                {
                    found.push((id, own));
                }
                if found.len() > limit {
                    break;
                }
            }
            Ok(paging::page(found, limit))
        })
        .await
    }

    fn own_video(&self, id: VideoId, known: &Known) -> Result<Option<OwnVideo>> {
        let Some(card) = self.card_of(id, known) else { return Ok(None) };
        let counts = self.catalogue.counts(id);
        Ok(Some(OwnVideo {
            card,
            created_at: known.record.created_at,
            failure: known.record.failure.clone(),
            bytes: known.record.bytes(),
            progress: self.progress(id, known)?,
            likes: counts.likes,
            comments: counts.comments,
        }))
    }
}
