//! Who is subscribed to what.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::outbox::Outbox;
use crate::frame::{Frame, Protocol};
use crate::glob;

type Subscribers = HashMap<u64, Arc<Outbox>>;

#[derive(Default)]
pub(crate) struct Hub {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    channels: HashMap<Bytes, Subscribers>,
    patterns: HashMap<Bytes, Subscribers>,
}

/// A channel's name, or a pattern that names many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
}

impl State {
    fn of(&mut self, kind: Kind) -> &mut HashMap<Bytes, Subscribers> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

impl Hub {
    /// Adds a subscriber and gives it the confirmation, both before any later message: whoever has
    /// read the confirmation misses nothing that is published afterwards.
    pub(crate) fn subscribe(&self, kind: Kind, name: &Bytes, id: u64, outbox: &Arc<Outbox>, confirmation: Bytes) {
        let mut state = self.write();
        outbox.reply(confirmation);
        state.of(kind).entry(name.clone()).or_default().insert(id, Arc::clone(outbox));
    }

    /// Removes a subscriber; nothing is published to it afterwards.
    pub(crate) fn unsubscribe(&self, kind: Kind, name: &Bytes, id: u64) {
        let mut state = self.write();
        if let Entry::Occupied(mut entry) = state.of(kind).entry(name.clone()) {
            entry.get_mut().remove(&id);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// Gives a message to everyone subscribed; says how often it was given.
    pub(crate) fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        let state = self.read();
        let mut receivers = 0;
        if let Some(subscribers) = state.channels.get(channel) {
            receivers += deliver(subscribers, || message(channel, payload));
        }
        for (pattern, subscribers) in &state.patterns {
            if glob::matches(pattern, channel) {
                receivers += deliver(subscribers, || pattern_message(pattern, channel, payload));
            }
        }
        receivers
    }

    /// Channels with a subscriber, patterns left aside.
    pub(crate) fn channels(&self, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let state = self.read();
        let fits = |name: &&Bytes| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        state.channels.keys().filter(fits).cloned().collect()
    }

    /// Subscribers of one channel, patterns left aside.
    pub(crate) fn subscribers(&self, channel: &[u8]) -> usize {
        self.read().channels.get(channel).map_or(0, HashMap::len)
    }

    pub(crate) fn channel_count(&self) -> usize {
        self.read().channels.len()
    }

    /// Different patterns that someone is subscribed to.
    pub(crate) fn pattern_count(&self) -> usize {
        self.read().patterns.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the message once for each protocol that a subscriber speaks, and shares the bytes.
fn deliver(subscribers: &Subscribers, frame: impl Fn() -> Frame) -> usize {
    let mut resp2: Option<Bytes> = None;
    let mut resp3: Option<Bytes> = None;
    let give = |outbox: &Arc<Outbox>| {
        let protocol = outbox.protocol();
        let bytes = match protocol {
            Protocol::Resp2 => &mut resp2,
            Protocol::Resp3 => &mut resp3,
        };
        outbox.deliver(bytes.get_or_insert_with(|| frame().to_bytes(protocol)).clone())
    };
    subscribers.values().map(give).filter(|given| *given).count()
}

fn message(channel: &[u8], payload: &[u8]) -> Frame {
    Frame::Push(vec![
        Frame::text("message"),
        Frame::Bulk(Bytes::copy_from_slice(channel)),
        Frame::Bulk(Bytes::copy_from_slice(payload)),
    ])
}

fn pattern_message(pattern: &Bytes, channel: &[u8], payload: &[u8]) -> Frame {
    Frame::Push(vec![
        Frame::text("pmessage"),
        Frame::Bulk(pattern.clone()),
        Frame::Bulk(Bytes::copy_from_slice(channel)),
        Frame::Bulk(Bytes::copy_from_slice(payload)),
    ])
}
