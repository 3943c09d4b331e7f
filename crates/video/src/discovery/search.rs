//! `GET /api/search` and its suggestions.

use kit::Caller;
use kit::paging::PageQuery;
use proto::api::Page;
use proto::api::search::{SearchHit, Suggestions};
use proto::{Problem, Timestamp, VideoId, codes};
use serde::Deserialize;

use super::Discovery;
use super::snapshots::{Snapshots, fill};
use crate::search::{Filters, QUERY_CHARACTERS_MAX, Sort, Wanted, suggestions};

/// From this many videos on, a search leaves the threads that answer.
const SEARCHED_AT_ONCE_MAX: u64 = 5_000;
/// Titles looked at for suggestions.
const TITLES_MAX: usize = 40;
/// Up to here a video is `short`, in milliseconds.
const SHORT_MS: u64 = 4 * 60_000;
/// From here on it is `long`.
const LONG_MS: u64 = 20 * 60_000;
const DAY_MS: i64 = 86_400_000;

/// The query of `GET /api/search`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct SearchQuery {
    q: Option<String>,
    #[serde(default, rename = "type")]
    kind: Kind,
    #[serde(default)]
    sort: Order,
    duration: Option<Length>,
    uploaded: Option<Uploaded>,
    channel: Option<String>,
    category: Option<String>,
    language: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// The query of `GET /api/search/suggest`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct SuggestQuery {
    q: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Video,
    Channel,
    Playlist,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    #[default]
    Relevance,
    New,
    Old,
    Popular,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Length {
    Short,
    Medium,
    Long,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Uploaded {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl From<Order> for Sort {
    fn from(order: Order) -> Self {
        match order {
            Order::Relevance => Self::Relevance,
            Order::New => Self::New,
            Order::Old => Self::Old,
            Order::Popular => Self::Popular,
        }
    }
}

impl Uploaded {
    const fn ms(self) -> i64 {
        match self {
            Self::Hour => DAY_MS / 24,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 31 * DAY_MS,
            Self::Year => 366 * DAY_MS,
        }
    }
}

impl SearchQuery {
    fn filters(&self, now: Timestamp) -> Filters {
        let (duration_from_ms, duration_until_ms) = match self.duration {
            None => (0, None),
            Some(Length::Short) => (0, Some(SHORT_MS)),
            Some(Length::Medium) => (SHORT_MS, Some(LONG_MS)),
            Some(Length::Long) => (LONG_MS, None),
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Filters {
            duration_from_ms,
            duration_until_ms,
            published_from: self.uploaded.map(|uploaded| now.plus_ms(-uploaded.ms())),
            channel: given(&self.channel),
            category: given(&self.category),
            language: given(&self.language),
        }
    }
}

fn text(q: Option<&str>) -> Result<&str, Problem> {
    let q = q.ok_or_else(|| Problem::field("q", "Say what to look for."))?;
    if q.chars().count() > QUERY_CHARACTERS_MAX {
        return Err(Problem::field("q", format!("At most {QUERY_CHARACTERS_MAX} characters are looked for.")));
    }
    Ok(q)
}

impl Discovery {
    /// A page of hits.
    pub(crate) async fn search(
        &self,
        caller: Caller,
        query: SearchQuery,
        now: Timestamp,
    ) -> Result<Page<SearchHit>, Problem> {
        if query.kind != Kind::Video {
            let detail = "Only videos can be searched yet: leave `type` out.";
            return Err(Problem::new(codes::NOT_AVAILABLE_YET, detail));
        }
        self.away(move |this| this.search_page(&caller, &query, now)).await
    }

    fn search_page(&self, caller: &Caller, query: &SearchQuery, now: Timestamp) -> Result<Page<SearchHit>, Problem> {
        let limit = query.page.limit()?;
        let text = text(query.q.as_deref())?;
        let (number, snapshot, from) = match self.hits.find(&query.page, caller.user)? {
            Some(known) => known,
            None => Snapshots::fresh(caller.user, self.find(caller, text, query, now)?),
        };
        let wanted = self.search.wanted(text)?;
        let (items, next) = fill(&snapshot.list, from, limit, |id| self.hit(&wanted, *id, caller));
        let next_page_token = next.map(|next| self.hits.token(number, snapshot, next));
        Ok(Page { items, next_page_token })
    }

    fn find(&self, caller: &Caller, text: &str, query: &SearchQuery, now: Timestamp) -> Result<Vec<VideoId>, Problem> {
        let standing = self.recommender.standings(caller.user);
        Ok(self.search.find(text, &query.filters(now), query.sort.into(), standing, now)?)
    }

    fn hit(&self, wanted: &Wanted, id: VideoId, caller: &Caller) -> Option<SearchHit> {
        let video = self.listed_card(id, caller)?;
        let highlights = self.search.highlights(wanted, id).unwrap_or_else(|error| {
            tracing::warn!(%error, "a hit has no highlights");
            Vec::new()
        });
        Some(SearchHit { video, highlights, moments: Vec::new() })
    }

    /// Titles that go on with what was typed so far.
    pub(crate) async fn suggest(
        &self,
        caller: Caller,
        query: SuggestQuery,
        now: Timestamp,
    ) -> Result<Suggestions, Problem> {
        self.away(move |this| {
            let text = text(query.q.as_deref())?;
            let ids = this.search.complete(text, this.recommender.standings(caller.user), now)?;
            let cards: Vec<_> =
                ids.into_iter().take(TITLES_MAX).filter_map(|id| this.listed_card(id, &caller)).collect();
            Ok(Suggestions { items: suggestions(cards.iter().map(|card| card.title.as_str())) })
        })
        .await
    }

    /// Work that takes a processor for a moment: here while it is short, else where it holds nobody up.
    async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if self.search.len() <= SEARCHED_AT_ONCE_MAX {
            return work(self);
        }
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a search failed");
            Err(Problem::new(codes::INTERNAL, "The search failed."))
        })
    }
}
