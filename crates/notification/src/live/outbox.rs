//! What waits for one websocket: bounded, and in order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::NotificationId;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use crate::limits::MESSAGE_OVERHEAD_BYTES;

/// A notification on its way to a websocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub id: NotificationId,
    /// As JSON, shared by all sockets that it goes to.
    pub text: Utf8Bytes,
}

/// What a websocket has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Send(Message),
    /// Something may have been missed: read the backlog.
    CatchUp,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
    limit_bytes: usize,
    cut: CancellationToken,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    catch_up: bool,
}

impl Outbox {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { queue: Mutex::default(), changed: Notify::new(), limit_bytes, cut: CancellationToken::new() }
    }

    /// Adds a message; when too much waits already, the socket is cut instead.
    pub(crate) fn give(&self, message: Message) {
        let mut queue = self.lock();
        queue.bytes += weight(&message);
        if queue.bytes > self.limit_bytes {
            *queue = Queue::default();
            drop(queue);
            self.cut.cancel();
            return;
        }
        queue.messages.push_back(message);
        drop(queue);
        self.changed.notify_one();
    }

    /// Something may have been missed. What waits is in the backlog, too.
    pub(crate) fn catch_up(&self) {
        *self.lock() = Queue { catch_up: true, ..Queue::default() };
        self.changed.notify_one();
    }

    /// What is next. Cancel safe.
    pub(crate) async fn next(&self) -> Next {
        loop {
            {
                let mut queue = self.lock();
                if std::mem::take(&mut queue.catch_up) {
                    return Next::CatchUp;
                }
                if let Some(message) = queue.messages.pop_front() {
                    queue.bytes -= weight(&message);
                    return Next::Send(message);
                }
            }
            self.changed.notified().await;
        }
    }

    /// Returns when the socket has to be cut.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(message: &Message) -> usize {
    message.text.len() + MESSAGE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message { id: NotificationId::generate(), text: text.into() }
    }

    #[tokio::test]
    async fn what_waits_too_long_cuts_the_socket_and_frees_the_memory() {
        let outbox = Outbox::new(1_000);
        let text = "x".repeat(400);
        outbox.give(message(&text));
        outbox.give(message(&text));
        assert!(!outbox.cut.is_cancelled());
        outbox.give(message(&text));
        outbox.cut().await;
        assert_eq!(outbox.lock().messages.len(), 0);
    }

    #[tokio::test]
    async fn catching_up_comes_before_what_follows_it() {
        let outbox = Outbox::new(1_000);
        outbox.give(message("before"));
        outbox.catch_up();
        let after = message("after");
        outbox.give(after.clone());
        assert_eq!(outbox.next().await, Next::CatchUp);
        assert_eq!(outbox.next().await, Next::Send(after));
    }
}
