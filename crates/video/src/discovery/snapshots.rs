//! Ranked lists are paged through as they were when the first page was made, for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use kit::paging::{PageQuery, encode_token};
use moka::sync::Cache;
use proto::{Problem, UserId, codes};
use serde::{Deserialize, Serialize};

/// How long a list can be paged through.
const KEPT: Duration = Duration::from_secs(600);
/// Lists kept at once; each has at most 500 entries.
const LISTS_MAX: u64 = 1_000;

/// Lists of one kind, each with the one who asked for it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Snapshots<T>(Cache<u64, Arc<Snapshot<T>>>)
where
    T: Send + Sync + 'static;

/// A list.
pub(super) struct Snapshot<T> {
    viewer: Option<UserId>,
    pub(super) list: T,
}

/// Where somebody is in a list.
#[derive(Serialize, Deserialize)]
struct Place {
    list: u64,
    next: usize,
}

impl<T: Send + Sync + 'static> Snapshots<T> {
    pub(super) fn new() -> Self {
        Self(Cache::builder().time_to_live(KEPT).max_capacity(LISTS_MAX).build())
    }

    /// The list that the page token is of, and where in it to go on; `None` for a first page.
    ///
    /// # Errors
    /// `invalid-page-token` when it is not one of these lists, or too old, or somebody else's.
    pub(super) fn find(
        &self,
        page: &PageQuery,
        viewer: Option<UserId>,
    ) -> Result<Option<(u64, Arc<Snapshot<T>>, usize)>, Problem> {
        let Some(place) = page.position::<Place>()? else { return Ok(None) };
        let snapshot = self.0.get(&place.list).filter(|snapshot| snapshot.viewer == viewer);
        let expired =
            || Problem::new(codes::INVALID_PAGE_TOKEN, "This list is too old. Start again at the first page.");
        snapshot.map(|snapshot| Some((place.list, snapshot, place.next))).ok_or_else(expired)
    }

    /// Keeps nothing yet: most lists are never paged through.
    pub(super) fn fresh(viewer: Option<UserId>, list: T) -> (u64, Arc<Snapshot<T>>, usize) {
        (rand::random(), Arc::new(Snapshot { viewer, list }), 0)
    }

    /// Keeps the list and says how to ask for the page that begins at `next`.
    pub(super) fn token(&self, number: u64, snapshot: Arc<Snapshot<T>>, next: usize) -> String {
        self.0.insert(number, snapshot);
        encode_token(&Place { list: number, next })
    }
}

/// At most `limit` entries of a list from `from` on that `show` shows, and where to go on, if there is more.
pub(super) fn fill<E, R>(
    list: &[E],
    from: usize,
    limit: usize,
    show: impl Fn(&E) -> Option<R>,
) -> (Vec<R>, Option<usize>) {
    let mut items = Vec::with_capacity(limit);
    for (at, entry) in list.iter().enumerate().skip(from) {
        if items.len() == limit {
            return (items, Some(at));
        }
        items.extend(show(entry));
    }
    (items, None)
}
