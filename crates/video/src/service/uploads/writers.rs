//! Who writes to which upload. A newer request always wins: the connection that it replaces is often one
//! that broke without anybody noticing, and waiting for its time-out would be waiting for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::UploadId;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::error::UploadError;

/// How long an older request may take to write down what it has.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);

/// The uploads that somebody writes to, or is about to.
#[derive(Default)]
pub(in crate::service) struct Writers(Arc<Mutex<HashMap<UploadId, Slot>>>);

#[derive(Default)]
struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    current: CancellationToken,
    /// Requests that write or wait to.
    users: usize,
}

/// The right to write to one upload, until it is dropped or somebody newer comes.
pub(super) struct Turn {
    pub(super) cancelled: CancellationToken,
    guard: Option<OwnedMutexGuard<()>>,
    id: UploadId,
    slots: Arc<Mutex<HashMap<UploadId, Slot>>>,
}

fn lock(slots: &Mutex<HashMap<UploadId, Slot>>) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writers {
    /// Tells whoever writes to stop, and takes over once it has.
    pub(super) async fn take(&self, id: UploadId) -> Result<Turn, UploadError> {
        let cancelled = CancellationToken::new();
        let turn = {
            let mut slots = lock(&self.0);
            let slot = slots.entry(id).or_default();
            std::mem::replace(&mut slot.current, cancelled.clone()).cancel();
            slot.users += 1;
            Arc::clone(&slot.turn)
        };
        // Counted down when it is dropped, even if that is while waiting.
        let mut mine = Turn { cancelled, guard: None, id, slots: Arc::clone(&self.0) };
        match tokio::time::timeout(HANDOVER_TIMEOUT, turn.lock_owned()).await {
            Ok(guard) if !mine.cancelled.is_cancelled() => {
                mine.guard = Some(guard);
                Ok(mine)
            }
            _ => Err(UploadError::Locked),
        }
    }

    /// Tells whoever writes to stop.
    pub(in crate::service) fn cancel(&self, id: UploadId) {
        if let Some(slot) = lock(&self.0).get(&id) {
            slot.current.cancel();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get_mut(&self.id) {
            slot.users -= 1;
            if slot.users == 0 {
                slots.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_newer_request_wins_and_nothing_is_left_behind() {
        let writers = Arc::new(Writers::default());
        let id = UploadId::generate();
        let first = writers.take(id).await.unwrap();
        assert!(!first.cancelled.is_cancelled());
        let other = Arc::clone(&writers);
        let second = tokio::spawn(async move { other.take(id).await });
        first.cancelled.cancelled().await;
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert!(!second.cancelled.is_cancelled());
        writers.cancel(id);
        assert!(second.cancelled.is_cancelled());
        drop(second);
        assert!(lock(&writers.0).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_let_go_is_reported() {
        let writers = Writers::default();
        let id = UploadId::generate();
        let _first = writers.take(id).await.unwrap();
        assert!(matches!(writers.take(id).await, Err(UploadError::Locked)));
    }
}
