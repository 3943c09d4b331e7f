//! What is said on one connection: RESP3, commands and messages on the same one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior};

use super::driver::{Driver, Ending, Published, Request, Stream, Subscribed};
use super::subscription::Subscription;
use super::url::Address;
use super::{PublishError, SubscribeError};
use crate::frame::encode::write_command;
use crate::frame::{Frame, FrameDecoder};
use crate::limits::Limits;

/// Channels in one `SUBSCRIBE` after a reconnection.
const CHANNELS_PER_COMMAND: usize = 512;

/// Bytes of commands that may wait to be written before no more requests are taken.
const MAXIMAL_UNWRITTEN_BYTES: usize = 256 * 1024;

/// Commands that may wait for their reply before no more requests are taken.
const MAXIMAL_UNANSWERED: usize = 4096;

/// How often the connection is looked at; a `PING` is sent when nothing came for that long.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Silence after which the connection is given up.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// A command whose reply is still to come. Replies come in the order of the commands; that a
/// subscription holds is said by a push message, that it does not by a reply.
enum Pending {
    /// So many channels of those subscribed at the start.
    Resubscribe(usize),
    Subscribe(Subscription, Subscribed),
    Unsubscribe,
    Publish(Published),
    Ping,
}

pub(crate) struct Conversation<'a> {
    driver: &'a mut Driver,
    decoder: FrameDecoder,
    input: BytesMut,
    output: BytesMut,
    pending: VecDeque<Pending>,
    /// Channels of the start that are not confirmed yet.
    unconfirmed: usize,
    last_received: Instant,
}

/// Says hello, and logs in. Gives back what was received beyond the answer.
pub(crate) async fn greet(stream: &mut Box<dyn Stream>, address: &Address) -> Result<BytesMut, Ending> {
    let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Address::Tcp { login: Some(login), .. } = address {
        hello.extend([&b"AUTH"[..], &login.user, &login.password]);
    }
    let mut output = BytesMut::new();
    write_command(hello.into_iter(), &mut output);
    stream.write_all(&output).await?;
    let mut decoder = decoder();
    let mut input = BytesMut::with_capacity(4096);
    loop {
        match decoder.decode(&mut input) {
            Ok(Some(Frame::Map(_))) => return Ok(input),
            Ok(Some(Frame::Error(line))) => return Err(Ending::Refused(text(&line))),
            Ok(Some(_)) => return Err(Ending::Protocol("an odd answer to HELLO".into())),
            Ok(None) => receive(stream, &mut input).await?,
            Err(error) => return Err(Ending::Protocol(error.to_string())),
        }
    }
}

fn decoder() -> FrameDecoder {
    let limits = Limits::default();
    FrameDecoder::new(limits.frame_bytes, limits.frame_elements)
}

async fn receive(stream: &mut (impl tokio::io::AsyncRead + Unpin), input: &mut BytesMut) -> Result<(), Ending> {
    match stream.read_buf(input).await? {
        0 => Err(Ending::Io(std::io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(driver: &'a mut Driver, input: BytesMut) -> Self {
        Self {
            driver,
            decoder: decoder(),
            input,
            output: BytesMut::new(),
            pending: VecDeque::new(),
            unconfirmed: 0,
            last_received: Instant::now(),
        }
    }

    /// Talks until the connection ends, and says why it did.
    pub(crate) async fn run(mut self, stream: Box<dyn Stream>) -> Ending {
        self.resubscribe();
        let ending = match self.talk(stream).await {
            Ok(()) => Ending::Dropped,
            Err(ending) => ending,
        };
        for pending in self.pending.drain(..) {
            match pending {
                // It is still wanted: the next connection brings it.
                Pending::Subscribe(subscription, done) => self.driver.waiting.push((subscription, done)),
                Pending::Publish(done) => {
                    let _ = done.send(Err(PublishError::Interrupted));
                }
                Pending::Resubscribe(_) | Pending::Unsubscribe | Pending::Ping => {}
            }
        }
        ending
    }

    async fn talk(&mut self, stream: Box<dyn Stream>) -> Result<(), Ending> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut tick = tokio::time::interval(PING_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.confirm_start();
        loop {
            while let Some(frame) =
                self.decoder.decode(&mut self.input).map_err(|error| Ending::Protocol(error.to_string()))?
            {
                self.receive_frame(frame)?;
            }
            self.input.reserve(4096);
            let has_room = self.output.len() < MAXIMAL_UNWRITTEN_BYTES && self.pending.len() < MAXIMAL_UNANSWERED;
            tokio::select! {
                received = receive(&mut reader, &mut self.input) => {
                    received?;
                    self.last_received = Instant::now();
                }
                written = writer.write_buf(&mut self.output), if !self.output.is_empty() => {
                    written?;
                }
                request = self.driver.requests.recv(), if has_room => match request {
                    Some(request) => self.send(request),
                    None => return Ok(()),
                },
                channel = self.driver.wanted.next_unwanted() => {
                    self.command(&[b"UNSUBSCRIBE", &channel], Pending::Unsubscribe);
                }
                _ = tick.tick() => self.look()?,
            }
        }
    }

    fn look(&mut self) -> Result<(), Ending> {
        let silence = self.last_received.elapsed();
        if silence >= SILENCE_LIMIT {
            return Err(Ending::Silence);
        }
        if silence >= PING_INTERVAL / 2 {
            self.command(&[b"PING"], Pending::Ping);
        }
        Ok(())
    }

    fn resubscribe(&mut self) {
        let wanted: Vec<&Bytes> = self.driver.wanted.channels().collect();
        for channels in wanted.chunks(CHANNELS_PER_COMMAND) {
            let mut command: Vec<&[u8]> = vec![b"SUBSCRIBE"];
            command.extend(channels.iter().map(|channel| &channel[..]));
            write_command(command.into_iter(), &mut self.output);
            self.pending.push_back(Pending::Resubscribe(channels.len()));
        }
        self.unconfirmed = wanted.len();
    }

    /// Tells everyone, once, when all that is wanted is subscribed.
    fn confirm_start(&mut self) {
        if self.unconfirmed > 0 || self.driver.was_connected {
            return;
        }
        self.driver.was_connected = true;
        self.driver.mailbox.connected();
        for (subscription, done) in self.driver.waiting.drain(..) {
            // Whoever has stopped waiting has no subscription: it ends here.
            let _ = done.send(Ok(subscription));
        }
    }

    fn command(&mut self, arguments: &[&[u8]], pending: Pending) {
        write_command(arguments.iter().copied(), &mut self.output);
        self.pending.push_back(pending);
    }

    fn send(&mut self, request: Request) {
        match request {
            Request::Subscribe { channel, done } => {
                let pending = Pending::Subscribe(self.driver.wanted.add(channel.clone()), done);
                self.command(&[b"SUBSCRIBE", &channel], pending);
            }
            Request::Publish { channel, payload, done } => {
                self.command(&[b"PUBLISH", &channel, &payload], Pending::Publish(done));
            }
        }
    }

    fn receive_frame(&mut self, frame: Frame) -> Result<(), Ending> {
        match frame {
            Frame::Push(items) => self.receive_push(items),
            Frame::Error(line) => self.receive_error(&text(&line)),
            reply => self.receive_reply(&reply),
        }
    }

    fn receive_push(&mut self, items: Vec<Frame>) -> Result<(), Ending> {
        let mut items = items.into_iter();
        let kind = items.next();
        match kind.as_ref().and_then(Frame::as_bytes).map(|kind| &kind[..]) {
            Some(b"message") => {
                let (Some(Frame::Bulk(channel)), Some(Frame::Bulk(payload))) = (items.next(), items.next()) else {
                    return Err(Ending::Protocol("an odd message".into()));
                };
                self.driver.mailbox.message(channel, payload);
                Ok(())
            }
            Some(b"subscribe") => self.receive_confirmation(),
            Some(b"unsubscribe") => match self.pending.pop_front() {
                Some(Pending::Unsubscribe) => Ok(()),
                _ => Err(Ending::Protocol("unsubscribed unasked".into())),
            },
            // Redis has more kinds, none of which was asked for.
            _ => Ok(()),
        }
    }

    fn receive_confirmation(&mut self) -> Result<(), Ending> {
        match self.pending.pop_front() {
            Some(Pending::Resubscribe(left)) => {
                if left > 1 {
                    self.pending.push_front(Pending::Resubscribe(left - 1));
                }
                self.unconfirmed -= 1;
                self.confirm_start();
                Ok(())
            }
            Some(Pending::Subscribe(subscription, done)) => {
                let _ = done.send(Ok(subscription));
                Ok(())
            }
            _ => Err(Ending::Protocol("subscribed unasked".into())),
        }
    }

    fn receive_error(&mut self, line: &str) -> Result<(), Ending> {
        match self.pending.pop_front() {
            Some(Pending::Subscribe(_, done)) => {
                let _ = done.send(Err(SubscribeError::Refused(line.to_owned())));
                Ok(())
            }
            Some(Pending::Publish(done)) => {
                let _ = done.send(Err(PublishError::Refused(line.to_owned())));
                Ok(())
            }
            _ => Err(Ending::Refused(line.to_owned())),
        }
    }

    fn receive_reply(&mut self, reply: &Frame) -> Result<(), Ending> {
        match (self.pending.pop_front(), reply) {
            (Some(Pending::Publish(done)), Frame::Integer(receivers)) => {
                let _ = done.send(Ok(u64::try_from(*receivers).unwrap_or(0)));
                Ok(())
            }
            (Some(Pending::Ping), Frame::Simple(_)) => Ok(()),
            _ => Err(Ending::Protocol("an answer to another question".into())),
        }
    }
}
