//! How those who wait learn that something was written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::engine::Engine;
use crate::log::head_key;
use crate::queue::QueueShared;

/// Heads of logs and leases of queues, by name, for as long as the store is open.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    logs: Mutex<HashMap<&'static str, watch::Sender<u64>>>,
    queues: Mutex<HashMap<&'static str, Arc<QueueShared>>>,
}

impl Signals {
    /// The head of a log. Read under the lock that the writer takes to raise it: none is missed.
    pub(crate) fn log(&self, name: &'static str, engine: &Engine) -> watch::Receiver<u64> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = || match engine.get(&head_key(name)) {
            Ok(Some(value)) => value.try_into_u64().unwrap_or(0),
            Ok(None) => 0,
            Err(error) => {
                tracing::error!(log = name, %error, "the head of a log cannot be read");
                0
            }
        };
        logs.entry(name).or_insert_with(|| watch::Sender::new(stored())).subscribe()
    }

    /// Raises the head of a log and wakes who waits for it.
    pub(crate) fn appended(&self, name: &'static str, sequence: u64) {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = logs.get(name) {
            head.send_modify(|head| *head = sequence.max(*head));
        }
    }

    pub(crate) fn queue(&self, name: &'static str) -> Arc<QueueShared> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(name).or_insert_with(|| Arc::new(QueueShared::new())))
    }
}
