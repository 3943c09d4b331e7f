//! One websocket: what waits for it, pings, and its end.

use std::time::Duration;

use fanout::Subscription;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use proto::NotificationId;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::outbox::Next;
use super::registry::Place;
use super::{Live, channel_of};
use crate::limits::{
    BACKLOG_PAUSE, PINGS_UNANSWERED_MAX, SOCKET_CLOSE_TIMEOUT, SOCKET_MESSAGE_MAX_BYTES, SOCKET_READ_BUFFER_BYTES,
    SOCKET_WRITE_TIMEOUT, SUBSCRIBE_GRACE,
};

/// Before everything.
const NOTHING_SEEN: NotificationId = NotificationId::from_bytes([0; 16]);

/// Why a websocket ends.
enum End {
    /// The client closed it, or is gone.
    Gone,
    /// It reads too slowly, or not at all.
    Slow,
    /// This process ends.
    Away,
    /// The fan-out takes no more subscriptions.
    Refused,
}

struct Socket<'a> {
    live: &'a Live,
    place: &'a Place,
    stream: WebSocketStream<TokioIo<Upgraded>>,
    /// The last id that went out; `None` until it is known from where on to send.
    last: Option<NotificationId>,
    /// When to ask for the backlog again, after it could not be had. Until then nothing is sent.
    retry: Option<Instant>,
    pings_unanswered: u32,
    /// Ends with the socket.
    subscription: Option<Subscription>,
}

/// Serves one websocket to its end.
pub(super) async fn run(live: &Live, upgraded: Upgraded, place: &Place, after: Option<NotificationId>) {
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config())).await;
    let mut socket = Socket { live, place, stream, last: after, retry: None, pings_unanswered: 0, subscription: None };
    let outbox = place.outbox();
    let end = tokio::select! {
        end = socket.talk() => end,
        () = outbox.cut() => End::Slow,
        () = live.context.shutdown.requested() => End::Away,
    };
    socket.close(end).await;
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(SOCKET_READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(SOCKET_MESSAGE_MAX_BYTES)
        .max_message_size(Some(SOCKET_MESSAGE_MAX_BYTES))
        .max_frame_size(Some(SOCKET_MESSAGE_MAX_BYTES))
}

impl Socket<'_> {
    async fn talk(&mut self) -> End {
        let (live, place) = (self.live, self.place);
        let outbox = place.outbox();
        // Boxed, like catching up: what is needed for a moment is not kept by every idle socket.
        let mut subscribing = Some(Box::pin(live.client.subscribe(channel_of(place.user()))));
        let mut grace = Some(Box::pin(tokio::time::sleep(SUBSCRIBE_GRACE)));
        let mut ping = tokio::time::interval(live.ping_interval());
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            let done = tokio::select! {
                subscribed = once(&mut subscribing) => match subscribed {
                    Ok(held) => {
                        self.subscription = Some(held);
                        grace = None;
                        // Subscribed first, backlog second.
                        outbox.catch_up();
                        Ok(())
                    }
                    Err(error) => {
                        tracing::error!(%error, "a websocket cannot be subscribed");
                        Err(End::Refused)
                    }
                },
                // Without the fan-out there is nothing live, but the inbox.
                () = once(&mut grace) => {
                    outbox.catch_up();
                    Ok(())
                }
                next = outbox.next(), if self.retry.is_none() => match next {
                    Next::Send(message) => self.send_new(message.id, message.text).await,
                    Next::CatchUp => Box::pin(self.catch_up()).await,
                },
                () = until(self.retry) => {
                    self.retry = None;
                    Box::pin(self.catch_up()).await
                }
                received = self.stream.next() => self.receive(received),
                _ = ping.tick() => self.ping().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Sends everything after the last id that went out, or finds out where to begin.
    async fn catch_up(&mut self) -> Result<(), End> {
        loop {
            let Ok(page) = self.live.backlog.page(self.place.user(), self.last).await else {
                self.retry = Some(Instant::now() + BACKLOG_PAUSE);
                return Ok(());
            };
            if self.last.is_none() {
                self.last = Some(page.items.last().map_or(NOTHING_SEEN, |newest| newest.id));
                return Ok(());
            }
            for notification in &page.items {
                let text = serde_json::to_string(notification).unwrap_or_default();
                self.send_new(notification.id, text.into()).await?;
            }
            if page.next_page_token.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends a notification unless it went out already.
    async fn send_new(&mut self, id: NotificationId, text: Utf8Bytes) -> Result<(), End> {
        if self.last.is_some_and(|last| id <= last) {
            return Ok(());
        }
        self.send(Message::Text(text), SOCKET_WRITE_TIMEOUT).await?;
        self.last = Some(id);
        Ok(())
    }

    async fn send(&mut self, message: Message, timeout: Duration) -> Result<(), End> {
        match tokio::time::timeout(timeout, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Slow),
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.pings_unanswered >= PINGS_UNANSWERED_MAX {
            return Err(End::Slow);
        }
        self.pings_unanswered += 1;
        self.send(Message::Ping(bytes::Bytes::new()), SOCKET_WRITE_TIMEOUT).await
    }

    /// Clients have nothing to say here; that they say something means that they are there.
    fn receive(&mut self, received: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Result<(), End> {
        match received {
            Some(Ok(Message::Close(_))) | Some(Err(_)) | None => Err(End::Gone),
            Some(Ok(_)) => {
                self.pings_unanswered = 0;
                Ok(())
            }
        }
    }

    /// Says good-bye where somebody may hear it.
    async fn close(&mut self, end: End) {
        let (code, reason) = match end {
            End::Slow => {
                tracing::debug!("a websocket that reads too slowly is cut");
                return;
            }
            End::Gone => (CloseCode::Normal, ""),
            End::Away => (CloseCode::Away, "restarting"),
            End::Refused => (CloseCode::Again, "try again later"),
        };
        let frame = CloseFrame { code, reason: reason.into() };
        // A client that is gone hears nothing.
        let _ = tokio::time::timeout(SOCKET_CLOSE_TIMEOUT, self.stream.close(Some(frame))).await;
    }
}

/// Waits for the future and takes it away; for ever when it is not there (any more).
async fn once<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(waiting) => {
            let output = waiting.await;
            *future = None;
            output
        }
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
