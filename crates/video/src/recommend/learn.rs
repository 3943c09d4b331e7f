//! How events become records, and records the model.

use std::sync::Arc;
use std::time::Duration;

use proto::api::interaction::Rating;
use proto::events::{ChannelEvent, InteractionEvent, VideoEvent, Viewer};
use proto::{ChannelId, Timestamp, UserId, VideoId};
use store::{Batch, LogReader, ReadError, Scan, WriteError};
use tokio_util::sync::CancellationToken;

use super::Recommender;
use super::data::{Person, SIGNALS, SUBSCRIPTIONS, Signal, SignalKey, Subscription};
use super::weights::GUEST_KEPT_MS;
use crate::search::Library;

/// The most records that one 'forget everything' changes; a batch holds 4096 operations.
const FORGOTTEN_AT_ONCE: usize = 4_000;
/// Records removed in one batch when what is old is thrown away.
const PRUNED_AT_ONCE: usize = 1_000;
/// Events of the own log taken at once.
const EVENTS_AT_ONCE: usize = 256;
/// How long one waits for the own log to grow before it is looked at again.
const LOG_WAIT: Duration = Duration::from_secs(30);
/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A signal for a video that is not there is kept for so long: its event may be on the way.
const ORPHAN_KEPT_MS: i64 = 24 * 3_600_000;

/// What an event teaches: the records to write, and the change of the model when they are durable.
#[derive(Debug)]
#[must_use = "a lesson is written and then learnt"]
pub(crate) struct Lesson {
    /// To be written in one batch with the consumer's cursor.
    pub batch: Batch,
    /// For [`Recommender::learn`], after that.
    pub change: Change,
}

/// A change of the model. Opaque.
#[derive(Debug, Default)]
pub(crate) struct Change(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Nothing,
    Signals(Person, Vec<(VideoId, Option<Signal>)>),
    Subscription(Person, ChannelId, bool),
    Counts(VideoId, [u64; 3]),
    Renamed(ChannelId, String),
}

impl Lesson {
    fn nothing() -> Self {
        Self::of(Batch::new(), Kind::Nothing)
    }

    fn of(batch: Batch, kind: Kind) -> Self {
        Self { batch, change: Change(kind) }
    }
}

impl Recommender {
    /// What an event of the interaction service teaches.
    pub(crate) fn lesson(&self, event: &InteractionEvent) -> Result<Lesson, ReadError> {
        match event {
            InteractionEvent::Counts { video, views, likes, dislikes, .. } => {
                Ok(Lesson::of(Batch::new(), Kind::Counts(*video, [*views, *likes, *dislikes])))
            }
            InteractionEvent::Rated { user, video, rating, at } => self.signal((*user).into(), *video, *at, |signal| {
                signal.rating = match rating {
                    Rating::Like => 1,
                    Rating::Dislike => -1,
                    Rating::None => 0,
                };
            }),
            InteractionEvent::Watched { viewer, video, watched_seconds, position_seconds, at } => {
                let (person, guest) = match viewer {
                    Viewer::User(user) => (Person::from(*user), false),
                    Viewer::Page(page) => (Person::of_page(page), true),
                };
                self.signal(person, *video, *at, |signal| {
                    signal.guest = guest;
                    signal.watched_seconds = signal.watched_seconds.max(finite(*watched_seconds));
                    signal.position_seconds = signal.position_seconds.max(finite(*position_seconds));
                })
            }
            InteractionEvent::Commented { user, video, at } => {
                self.signal((*user).into(), *video, *at, |signal| signal.commented = true)
            }
            InteractionEvent::Forgotten { user, video } => self.forgotten(*user, *video),
        }
    }

    /// What an event of the channel service teaches.
    pub(crate) fn channel_lesson(&self, event: &ChannelEvent) -> Result<Lesson, ReadError> {
        match event {
            ChannelEvent::Subscribed { user, channel, at, .. } => {
                let record = Subscription { at_ms: at.ms() };
                let batch = Batch::new().put(SUBSCRIPTIONS, &(user.bytes(), channel.bytes()), &record);
                Ok(Lesson::of(batch, Kind::Subscription((*user).into(), *channel, true)))
            }
            ChannelEvent::Unsubscribed { user, channel } => {
                let batch = Batch::new().delete(SUBSCRIPTIONS, &(user.bytes(), channel.bytes()));
                Ok(Lesson::of(batch, Kind::Subscription((*user).into(), *channel, false)))
            }
            ChannelEvent::Saved { user, video, at } => {
                self.signal((*user).into(), *video, *at, |signal| signal.saved = true)
            }
            ChannelEvent::ChannelChanged { channel } => {
                Ok(Lesson::of(Batch::new(), Kind::Renamed(channel.id, channel.name.clone())))
            }
            ChannelEvent::ChannelDeleted { .. } => Ok(Lesson::nothing()),
        }
    }

    fn signal(
        &self,
        person: Person,
        video: VideoId,
        at: Timestamp,
        change: impl FnOnce(&mut Signal),
    ) -> Result<Lesson, ReadError> {
        let key = (person.0, video.bytes());
        let known = self.store.get(SIGNALS, &key)?.unwrap_or_default();
        let mut signal = known;
        change(&mut signal);
        if signal.is_empty() {
            let batch = Batch::new().delete(SIGNALS, &key);
            return Ok(Lesson::of(batch, Kind::Signals(person, vec![(video, None)])));
        }
        signal.at_ms = known.at_ms.max(at.ms());
        let batch = Batch::new().put(SIGNALS, &key, &signal);
        Ok(Lesson::of(batch, Kind::Signals(person, vec![(video, Some(signal))])))
    }

    /// What was watched is forgotten; ratings and playlists are things that one did on purpose.
    fn forgotten(&self, user: UserId, video: Option<VideoId>) -> Result<Lesson, ReadError> {
        let person = Person::from(user);
        let scan = match video {
            Some(video) => Scan::prefix(&(person.0, video.bytes())),
            None => Scan::prefix(&person.0),
        };
        let (mut batch, mut changes) = (Batch::new(), Vec::new());
        for entry in self.store.scan(SIGNALS, scan).take(FORGOTTEN_AT_ONCE) {
            let (key, signal) = entry?;
            let kept = Signal { watched_seconds: 0.0, position_seconds: 0.0, ..signal };
            let kept = (!kept.is_empty()).then_some(kept);
            batch = match &kept {
                Some(kept) => batch.put(SIGNALS, &key, kept),
                None => batch.delete(SIGNALS, &key),
            };
            changes.push((VideoId::from_bytes(key.1), kept));
        }
        Ok(Lesson::of(batch, Kind::Signals(person, changes)))
    }

    /// Changes the model, after the lesson's batch has become durable.
    pub(crate) fn learn(&self, change: Change) {
        let mut model = self.write();
        match change.0 {
            Kind::Nothing => {}
            Kind::Signals(person, signals) => {
                for (video, signal) in signals {
                    model.set_signal(person, video, signal);
                }
            }
            Kind::Subscription(person, channel, true) => {
                model.profile_mut(person).subscriptions.insert(channel);
            }
            Kind::Subscription(person, channel, false) => {
                model.profile_mut(person).subscriptions.remove(&channel);
            }
            Kind::Counts(video, [views, likes, dislikes]) => model.items.count(video, views, likes, dislikes),
            Kind::Renamed(channel, name) => model.rename_channel(channel, &name),
        }
    }

    /// Looks a video up again after it changed. Blocking.
    pub(crate) fn refresh(&self, id: VideoId, library: &dyn Library) -> Result<(), ReadError> {
        let document = library.document(id)?;
        let mut model = self.write();
        match document {
            Some(document) => {
                model.items.put(&document);
            }
            None => model.items.remove(id),
        }
        Ok(())
    }

    /// Keeps the videos of the model as the service's own log says, from sequence `after` on: the head of the
    /// log before [`Recommender::load`]. It needs no place among the log's consumers, since the model is made
    /// anew at each start. Throws old signals away, once.
    pub(crate) async fn follow(
        self,
        log: LogReader<VideoEvent>,
        mut after: u64,
        library: Arc<dyn Library>,
        now: Timestamp,
        stop: CancellationToken,
    ) {
        if let Err(error) = self.prune(now).await {
            tracing::warn!(%error, "old signs of interest could not be thrown away");
        }
        while !stop.is_cancelled() {
            let caught_up = self.catch_up(&log, after, library.as_ref());
            match caught_up {
                Ok(Some(sequence)) => after = sequence,
                Ok(None) => {
                    tokio::select! {
                        _ = log.wait(after, LOG_WAIT) => {}
                        () = stop.cancelled() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "recommendations miss a change of a video; it is tried again");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn catch_up(
        &self,
        log: &LogReader<VideoEvent>,
        after: u64,
        library: &dyn Library,
    ) -> Result<Option<u64>, ReadError> {
        let events = log.read(after, EVENTS_AT_ONCE)?;
        let last = events.last().map(|(sequence, ..)| *sequence);
        for (_, _, event) in events {
            let id = match event {
                VideoEvent::VideoChanged { video } | VideoEvent::VideoPublished { video } => video.id,
                VideoEvent::VideoDeleted { id, .. } => id,
                VideoEvent::ProcessingDone { .. } | VideoEvent::ProcessingFailed { .. } => continue,
            };
            self.refresh(id, library)?;
        }
        Ok(last)
    }

    /// Removes what guests did long ago, and what is about videos that are gone.
    async fn prune(&self, now: Timestamp) -> Result<(), WriteError> {
        let recommender = self.clone();
        let old = move || -> Result<Vec<SignalKey>, ReadError> {
            let mut keys = Vec::new();
            for entry in recommender.store.scan(SIGNALS, Scan::all()) {
                let (key, signal) = entry?;
                let age_ms = now.since(signal.at());
                let is_gone = |video| {
                    let model = recommender.read();
                    model.items.find(video).is_none_or(|at| model.items.get(at).known.is_none())
                };
                let old_guest = signal.guest && age_ms as f64 > GUEST_KEPT_MS;
                if old_guest || (age_ms > ORPHAN_KEPT_MS && is_gone(VideoId::from_bytes(key.1))) {
                    keys.push(key);
                }
            }
            Ok(keys)
        };
        let keys = tokio::task::spawn_blocking(old).await.map_err(|error| WriteError::Read(error.to_string()))??;
        for keys in keys.chunks(PRUNED_AT_ONCE) {
            let batch = keys.iter().fold(Batch::new(), |batch, key| batch.delete(SIGNALS, key));
            self.store.write(batch).await?;
        }
        Ok(())
    }
}

fn finite(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
}
