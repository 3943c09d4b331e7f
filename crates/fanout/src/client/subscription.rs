//! What is subscribed, and by how many.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::mpsc;

/// A subscription to one channel. It ends when this is dropped; messages that are under way then
/// may still come.
#[derive(Debug)]
#[must_use = "a subscription ends when it is dropped"]
pub struct Subscription {
    channel: Bytes,
    ended: mpsc::UnboundedSender<Bytes>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A client that has ended has no subscriptions.
        let _ = self.ended.send(std::mem::take(&mut self.channel));
    }
}

/// The channels wanted, each with the number of its subscriptions.
#[derive(Debug)]
pub(crate) struct Wanted {
    counts: HashMap<Bytes, usize>,
    /// Each subscription says once that it ends: there are never more of these than of those.
    ended: mpsc::UnboundedReceiver<Bytes>,
    sender: mpsc::UnboundedSender<Bytes>,
}

impl Wanted {
    pub(crate) fn new() -> Self {
        let (sender, ended) = mpsc::unbounded_channel();
        Self { counts: HashMap::new(), ended, sender }
    }

    pub(crate) fn add(&mut self, channel: Bytes) -> Subscription {
        *self.counts.entry(channel.clone()).or_default() += 1;
        Subscription { channel, ended: self.sender.clone() }
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = &Bytes> {
        self.counts.keys()
    }

    /// Waits for the end of a channel's last subscription. Cancel safe.
    pub(crate) async fn next_unwanted(&mut self) -> Bytes {
        loop {
            // There is always a sender: this one's own.
            let Some(channel) = self.ended.recv().await else { std::future::pending().await };
            let Some(count) = self.counts.get_mut(&channel) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&channel);
                return channel;
            }
        }
    }
}
