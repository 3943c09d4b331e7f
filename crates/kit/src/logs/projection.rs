//! What a consumer has made of another service's events, so that it can be filled anew.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::Serialize;
use serde_json::Value;
use store::Batch;

use super::rows::Rows;

/// What an event is about. Events whose ids differ change different rows of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    kind: u8,
    id: Vec<u8>,
}

impl Subject {
    /// The subject with these ids, among those of a kind. Two kinds may have the same ids.
    pub fn new(kind: u8, ids: &[[u8; 16]]) -> Self {
        Self { kind, id: ids.concat() }
    }

    /// The ids alone.
    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }
}

/// A row of a projection, as a refill looks at it.
pub struct Kept(pub(super) Row);

pub(super) enum Row {
    Of(Subject, Value),
    Stray(Box<dyn Fn() -> Batch + Send>),
}

impl fmt::Debug for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Row::Of(subject, gone) => write!(out, "{subject:?}, else {gone}"),
            Row::Stray(_) => write!(out, "a stray row"),
        }
    }
}

impl Kept {
    /// A row about `subject`. When the owner's snapshot does not name it, `gone` is applied.
    pub fn of(subject: Subject, gone: &impl Serialize) -> Self {
        Self(Row::Of(subject, serde_json::to_value(gone).unwrap_or_default()))
    }

    /// A row that does not fit to the others, such as a place in an index that nothing is at: the batch puts it
    /// right. Others may write meanwhile, so it has to assert what it was made of.
    pub fn stray(mend: impl Fn() -> Batch + Send + 'static) -> Self {
        Self(Row::Stray(Box::new(mend)))
    }
}

/// How a projection is filled anew: what its owner's events are about, and what it has.
pub struct Projection<E> {
    pub(super) subject: fn(&E) -> Option<Subject>,
    pub(super) rows: Rows<Kept>,
}

impl<E> Clone for Projection<E> {
    fn clone(&self) -> Self {
        Self { subject: self.subject, rows: self.rows.clone() }
    }
}

impl<E> fmt::Debug for Projection<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Projection").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<E> Projection<E> {
    /// `subject` says what an event is about; `None`: of more than one subject, or of none that can vanish. `rows`
    /// names every subject that this service has anything of, its own rows about it included.
    pub fn new(subject: fn(&E) -> Option<Subject>, rows: Rows<Kept>) -> Self {
        Self { subject, rows }
    }
}

/// Subjects by their hashes: eight bytes each. When two of them have the same hash, one that is gone may be missed,
/// never the other way round.
#[derive(Default)]
pub(super) struct Subjects {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Subjects {
    pub(super) fn insert(&mut self, subject: &Subject) {
        self.hashes.insert(self.hasher.hash_one(subject));
    }

    /// Whether it was among them.
    pub(super) fn remove(&mut self, subject: &Subject) -> bool {
        self.hashes.remove(&self.hasher.hash_one(subject))
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }
}
