//! Who has what: in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// One lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub token: u64,
    pub lease_ms: i64,
    pub expires_ms: i64,
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
    pub by_id: HashMap<u64, Lease>,
    last_token: u64,
}

impl Default for Leases {
    fn default() -> Self {
        // A lease of an earlier opening is none of this one.
        Self { by_id: HashMap::new(), last_token: rand::random::<u64>() >> 1 }
    }
}

impl Leases {
    pub(crate) fn grant(&mut self, id: u64, lease_ms: i64, now_ms: i64) -> u64 {
        self.last_token += 1;
        let token = self.last_token;
        let expires_ms = now_ms.saturating_add(lease_ms);
        self.by_id.insert(id, Lease { token, lease_ms, expires_ms });
        token
    }

    pub(crate) fn is_held(&self, id: u64, token: u64) -> bool {
        self.by_id.get(&id).is_some_and(|lease| lease.token == token)
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
    pub(crate) fn applied(&self, ended: &std::collections::BTreeSet<u64>) {
        if !ended.is_empty() {
            let mut leases = self.leases();
            for id in ended {
                leases.by_id.remove(id);
            }
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
