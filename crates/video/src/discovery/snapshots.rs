//! Ranked lists are paged through as they were when the first page was made, for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use kit::paging::{PageQuery, encode_token};
use moka::sync::Cache;
use proto::{Problem, UserId, codes};
use serde::{Deserialize, Serialize};

/// How long a list can be paged through.
const KEPT: Duration = Duration::from_secs(600);
/// Entries of all lists that are kept, each of some 50 bytes.
const ENTRIES_MAX: u64 = 100_000;

/// Lists of one kind, each with the one who asked for it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Snapshots<E>(Cache<u64, Arc<Snapshot<E>>>)
where
    E: Send + Sync + 'static;

/// A list.
pub(super) struct Snapshot<E> {
    viewer: Option<UserId>,
    pub(super) list: Vec<E>,
}

/// A list with its number, and where in it to go on.
pub(super) type Reading<E> = (u64, Arc<Snapshot<E>>, usize);

/// Where somebody is in a list.
#[derive(Serialize, Deserialize)]
struct Place {
    list: u64,
    next: usize,
}

impl<E: Send + Sync + 'static> Snapshots<E> {
    pub(super) fn new() -> Self {
        let weigh = |_: &u64, snapshot: &Arc<Snapshot<E>>| u32::try_from(snapshot.list.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().time_to_live(KEPT).weigher(weigh).max_capacity(ENTRIES_MAX).build())
    }

    /// The list that the page token is of, and where in it to go on; `None` for a first page.
    ///
    /// # Errors
    /// `invalid-page-token` when it is not one of these lists, or too old, or somebody else's.
    pub(super) fn find(&self, page: &PageQuery, viewer: Option<UserId>) -> Result<Option<Reading<E>>, Problem> {
        let Some(place) = page.position::<Place>()? else { return Ok(None) };
        let snapshot = self.0.get(&place.list).filter(|snapshot| snapshot.viewer == viewer);
        let expired =
            || Problem::new(codes::INVALID_PAGE_TOKEN, "This list is too old. Start again at the first page.");
        snapshot.map(|snapshot| Some((place.list, snapshot, place.next))).ok_or_else(expired)
    }

    /// Keeps nothing yet: most lists are never paged through.
    pub(super) fn fresh(viewer: Option<UserId>, list: Vec<E>) -> Reading<E> {
        (rand::random(), Arc::new(Snapshot { viewer, list }), 0)
    }

    /// Keeps the list and says how to ask for the page that begins at `next`.
    pub(super) fn token(&self, number: u64, snapshot: Arc<Snapshot<E>>, next: usize) -> String {
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
