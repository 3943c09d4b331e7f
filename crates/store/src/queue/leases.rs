//! Who has what: in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::record::{Head, Spot};

/// One lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub token: u64,
    lease_ms: i64,
    expires_ms: i64,
    /// Where the job is in line.
    pub(super) taken: Taken,
}

/// Where a job was found: its entry in line, and the chunk that it is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub spot: Spot,
    pub chunk: Option<ChunkRef>,
}

/// The chunk of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkRef {
    pub first_id: u64,
    pub count: u8,
}

/// What a group of batches does to a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueEffects {
    /// The jobs whose leases ended.
    pub(crate) ended: BTreeSet<u64>,
    /// The first entry of each lane that came into line.
    pub(super) queued: BTreeMap<u8, Spot>,
    /// The head as it is then, if it changed.
    pub(crate) head: Option<Head>,
}

impl QueueEffects {
    pub(super) fn queued(&mut self, spot: Spot) {
        let first = self.queued.entry(spot.lane).or_insert(spot);
        *first = spot.min(*first);
    }

    /// Adds what a later batch of the group does.
    pub(crate) fn extend(&mut self, later: Self) {
        self.ended.extend(later.ended);
        self.head = later.head.or(self.head);
        later.queued.into_values().for_each(|spot| self.queued(spot));
    }
}

/// What all handles of a queue and the writer share.
///
/// The lock orders leasing against ending. Whoever leases holds it from reading the index until the
/// lease is noted; the writer takes it, after applying, to forget the leases of ended jobs. So a
/// job seen in the index before it ended is still noted as leased when that is looked up.
#[derive(Debug)]
pub(crate) struct QueueShared {
    leases: Mutex<Leases>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct Leases {
    by_id: HashMap<u64, Lease>,
    /// Leases by the time when they run out. One that ran out and was noticed is not among them.
    by_expiry: BTreeSet<(i64, u64)>,
    /// For each lane a place with nothing before it that may be leased: who leases need not walk over
    /// all that is leased already.
    fronts: BTreeMap<u8, Spot>,
    last_token: u64,
}

impl Default for Leases {
    fn default() -> Self {
        // A lease of an earlier opening is none of this one.
        let last_token = rand::random::<u64>() >> 1;
        Self { by_id: HashMap::new(), by_expiry: BTreeSet::new(), fronts: BTreeMap::new(), last_token }
    }
}

impl Leases {
    pub(super) fn grant(&mut self, id: u64, lease_ms: i64, now_ms: i64, taken: Taken) -> u64 {
        self.last_token += 1;
        let token = self.last_token;
        let expires_ms = now_ms.saturating_add(lease_ms);
        if let Some(before) = self.by_id.insert(id, Lease { token, lease_ms, expires_ms, taken }) {
            self.by_expiry.remove(&(before.expires_ms, id));
        }
        self.by_expiry.insert((expires_ms, id));
        token
    }

    /// The lease, if it is this one.
    pub(crate) fn held(&self, id: u64, token: u64) -> Option<Lease> {
        self.by_id.get(&id).filter(|lease| lease.token == token).copied()
    }

    /// Whether somebody has the job at that time.
    pub(super) fn is_taken(&mut self, id: u64, now_ms: i64) -> bool {
        match self.by_id.get(&id) {
            Some(lease) if lease.expires_ms > now_ms => {
                // It had been noticed as run out, if the clock went back.
                self.by_expiry.insert((lease.expires_ms, id));
                true
            }
            _ => false,
        }
    }

    /// Whether there is a lease, run out or not.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The leased jobs after an id, in order.
    pub(super) fn ids_after(&self, after: u64) -> Vec<u64> {
        let mut ids: Vec<u64> = self.by_id.keys().copied().filter(|id| *id > after).collect();
        ids.sort_unstable();
        ids
    }

    /// Lets a lease run for its full time again.
    pub(super) fn extend(&mut self, id: u64, token: u64, now_ms: i64) -> bool {
        let Some(lease) = self.by_id.get_mut(&id).filter(|lease| lease.token == token) else { return false };
        self.by_expiry.remove(&(lease.expires_ms, id));
        lease.expires_ms = now_ms.saturating_add(lease.lease_ms);
        self.by_expiry.insert((lease.expires_ms, id));
        true
    }

    /// Makes a job free again.
    pub(super) fn release(&mut self, id: u64, token: u64) {
        if let Some(lease) = self.held(id, token) {
            self.end(id);
            self.lower(lease.taken.spot);
        }
    }

    pub(super) fn release_all(&mut self) {
        self.by_id.clear();
        self.by_expiry.clear();
        self.fronts.clear();
    }

    fn end(&mut self, id: u64) {
        if let Some(lease) = self.by_id.remove(&id) {
            self.by_expiry.remove(&(lease.expires_ms, id));
        }
    }

    /// Whoever leases next has to look at those whose leases ran out.
    pub(super) fn notice_expired(&mut self, now_ms: i64) {
        while let Some(&(expires_ms, id)) = self.by_expiry.first().filter(|first| first.0 <= now_ms) {
            self.by_expiry.remove(&(expires_ms, id));
            if let Some(lease) = self.by_id.get(&id) {
                self.lower(lease.taken.spot);
            }
        }
    }

    /// Where to begin in a lane.
    pub(super) fn front(&self, lane: u8) -> Spot {
        self.fronts.get(&lane).copied().unwrap_or(Spot { lane, due_ms: i64::MIN, position: 0 })
    }

    /// Nothing before this place may be leased.
    pub(super) fn advance(&mut self, front: Spot) {
        self.fronts.insert(front.lane, front);
    }

    /// Something at this place may be leased.
    fn lower(&mut self, spot: Spot) {
        if let Some(front) = self.fronts.get_mut(&spot.lane) {
            *front = spot.min(*front);
        }
    }
}

impl QueueShared {
    pub(crate) fn new() -> Self {
        Self { leases: Mutex::default(), changes: watch::Sender::new(0) }
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the writer when jobs came, became due again or ended.
    pub(crate) fn applied(&self, effects: &QueueEffects) {
        {
            let mut leases = self.leases();
            effects.ended.iter().for_each(|id| leases.end(*id));
            effects.queued.values().for_each(|spot| leases.lower(*spot));
        }
        self.changed();
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
