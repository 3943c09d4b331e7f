//! One connection as the commands see it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::hub::Kind;
use super::outbox::Outbox;
use crate::frame::{Frame, Protocol};

pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) name: Bytes,
    pub(crate) authenticated: bool,
    outbox: Arc<Outbox>,
    channels: HashSet<Bytes>,
    patterns: HashSet<Bytes>,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, id: u64) -> Self {
        let outbox = Arc::new(Outbox::new(shared.limits.buffered_bytes_per_connection));
        Self {
            authenticated: shared.password.is_none(),
            shared,
            id,
            name: Bytes::new(),
            outbox,
            channels: HashSet::new(),
            patterns: HashSet::new(),
        }
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.outbox.protocol()
    }

    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.outbox.set_protocol(protocol);
    }

    pub(crate) fn reply(&self, frame: &Frame) {
        self.outbox.reply(frame.to_bytes(self.protocol()));
    }

    /// Channels and patterns together, as the confirmations count them.
    pub(crate) fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub(crate) fn subscribed(&self, kind: Kind) -> &HashSet<Bytes> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    /// Subscribes, and queues the confirmation that `confirm` makes of the new count.
    pub(crate) fn subscribe(&mut self, kind: Kind, name: &[u8], confirm: impl FnOnce(&Bytes, usize) -> Frame) {
        // A copy of its own: a slice would keep the whole read buffer alive.
        let name = Bytes::copy_from_slice(name);
        self.names(kind).insert(name.clone());
        let confirmation = confirm(&name, self.subscriptions()).to_bytes(self.protocol());
        self.shared.hub.subscribe(kind, &name, self.id, &self.outbox, confirmation);
    }

    pub(crate) fn unsubscribe(&mut self, kind: Kind, name: &Bytes) {
        if self.names(kind).remove(name) {
            self.shared.hub.unsubscribe(kind, name, self.id);
        }
    }

    pub(crate) fn unsubscribe_all(&mut self) {
        for kind in [Kind::Channel, Kind::Pattern] {
            for name in std::mem::take(self.names(kind)) {
                self.shared.hub.unsubscribe(kind, &name, self.id);
            }
        }
    }

    /// Whether this is the password; takes as long for any wrong one of the same length.
    pub(crate) fn is_password(&self, candidate: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        match &self.shared.password {
            Some(password) => password.as_slice().ct_eq(candidate).into(),
            None => false,
        }
    }

    fn names(&mut self, kind: Kind) -> &mut HashSet<Bytes> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.unsubscribe_all();
    }
}
