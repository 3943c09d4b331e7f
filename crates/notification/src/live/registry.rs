//! Which websockets this process has, by person.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kit::config::Config;
use proto::{NotificationId, UserId};
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::outbox::{Message, Outbox};
use crate::error::Error;

/// The websockets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry {
    people: Arc<Mutex<HashMap<UserId, Vec<Arc<Outbox>>>>>,
    buffer_bytes: usize,
    sockets_per_person: u32,
}

/// One websocket's place; given back when it is dropped.
pub(crate) struct Place {
    registry: Registry,
    user: UserId,
    outbox: Arc<Outbox>,
}

impl Registry {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            people: Arc::default(),
            buffer_bytes: config.notification.socket_buffer_bytes,
            sockets_per_person: config.limits.sockets,
        }
    }

    pub(crate) fn admit(&self, user: UserId) -> Result<Place, Error> {
        let mut people = self.lock();
        let sockets = people.entry(user).or_default();
        if sockets.len() >= self.sockets_per_person as usize {
            return Err(Error::TooManySockets { limit: self.sockets_per_person });
        }
        let outbox = Arc::new(Outbox::new(self.buffer_bytes));
        sockets.push(Arc::clone(&outbox));
        Ok(Place { registry: self.clone(), user, outbox })
    }

    /// Gives a published notification to a person's websockets.
    pub(crate) fn give(&self, user: UserId, payload: Bytes) {
        let Some(message) = read(payload) else {
            tracing::warn!("a message that is no notification");
            return;
        };
        for outbox in self.lock().get(&user).into_iter().flatten() {
            outbox.give(message.clone());
        }
    }

    /// All websockets may have missed something.
    pub(crate) fn resync_all(&self) {
        for outbox in self.lock().values().flatten() {
            outbox.catch_up();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Vec<Arc<Outbox>>>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn user(&self) -> UserId {
        self.user
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.registry.lock().entry(self.user) {
            entry.get_mut().retain(|outbox| !Arc::ptr_eq(outbox, &self.outbox));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}

/// A published notification: its JSON goes on as it is, only the id is looked at.
fn read(payload: Bytes) -> Option<Message> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: NotificationId,
    }
    let OnlyId { id } = serde_json::from_slice(&payload).ok()?;
    Some(Message { id, text: Utf8Bytes::try_from(payload).ok()? })
}
