//! Events that wait for the client's user: bounded, and never in the way of the connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Event;

/// Bytes of messages that may wait; one more and all of them are given up for [`Event::Lagged`].
const MAXIMAL_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// What a waiting message takes beside its bytes, about.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    /// Nobody reads any more.
    abandoned: bool,
    /// Nothing comes any more.
    ended: bool,
}

impl Mailbox {
    pub(crate) fn message(&self, channel: Bytes, payload: Bytes) {
        let mut queue = self.lock();
        if queue.abandoned {
            return;
        }
        // Copies: slices would each keep a whole read buffer alive, uncounted.
        let event =
            Event::Message { channel: Bytes::copy_from_slice(&channel), payload: Bytes::copy_from_slice(&payload) };
        let bytes = weight(&event);
        if queue.bytes + bytes > MAXIMAL_WAITING_BYTES {
            queue.events.retain(|event| matches!(event, Event::Connected | Event::Disconnected));
            queue.events.push_back(Event::Lagged);
            queue.bytes = 0;
        } else {
            queue.events.push_back(event);
            queue.bytes += bytes;
        }
        drop(queue);
        self.changed.notify_one();
    }

    pub(crate) fn connected(&self) {
        self.lock().events.push_back(Event::Connected);
        self.changed.notify_one();
    }

    /// A reconnection that nobody has seen yet is as good as none: so a connection that comes and
    /// goes while nobody reads does not fill the memory.
    pub(crate) fn disconnected(&self) {
        let mut queue = self.lock();
        if queue.events.back() == Some(&Event::Connected) {
            queue.events.pop_back();
        }
        if queue.events.back() != Some(&Event::Disconnected) {
            queue.events.push_back(Event::Disconnected);
        }
        drop(queue);
        self.changed.notify_one();
    }

    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    pub(crate) fn abandon(&self) {
        let mut queue = self.lock();
        queue.abandoned = true;
        queue.events.clear();
        queue.bytes = 0;
    }

    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(event) = queue.events.pop_front() {
                    queue.bytes -= weight(&event);
                    return Some(event);
                }
                if queue.ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Message { channel, payload } => channel.len() + payload.len() + MESSAGE_OVERHEAD_BYTES,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(mailbox: &Mailbox) -> Vec<Event> {
        mailbox.lock().events.iter().cloned().collect()
    }

    #[test]
    fn messages_that_nobody_takes_become_one_lagged() {
        let mailbox = Mailbox::default();
        mailbox.connected();
        let payload = Bytes::from(vec![0; 64 * 1024]);
        for _ in 0..64 {
            mailbox.message(Bytes::from_static(b"a"), payload.clone());
        }
        assert_eq!(waiting(&mailbox)[..2], [Event::Connected, Event::Lagged]);
        assert!(mailbox.lock().bytes <= MAXIMAL_WAITING_BYTES);
    }

    #[test]
    fn a_flapping_connection_does_not_fill_the_memory() {
        let mailbox = Mailbox::default();
        for _ in 0..1000 {
            mailbox.connected();
            mailbox.disconnected();
        }
        mailbox.connected();
        assert_eq!(waiting(&mailbox), [Event::Disconnected, Event::Connected]);
    }
}
