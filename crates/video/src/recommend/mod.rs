//! Recommendations that differ by viewer and say why.
//!
//! Owns the model of who is interested in what: in memory, made at start of its tables (`data`) and of the
//! library of videos, and kept up to date by events. Nothing of it leaves this instance.
//!
//! - `items`: the videos, and what their texts have in common, which is all there is to go by for new ones;
//! - `neighbours`: what the same people watch, item to item, with time decay and shrinkage;
//! - `model`: people, their tastes, and how popular each video is by distinct viewers;
//! - `home`, `related`, `mix`, `reason`: lists made of these, with diversity, something untried, and reasons.
//!
//! Events of other services arrive in two steps, so that they count once: [`Recommender::lesson`] says what is
//! to be written (in the batch of the consumer's cursor), [`Recommender::learn`] changes the model when that is
//! durable. Deliberately absent: any clock and any chance. Time is a parameter, what looks like chance is made
//! of viewer, video and day; so the same state gives the same answer.

mod data;
mod decay;
mod forget;
mod home;
mod items;
mod learn;
mod mix;
mod model;
mod neighbours;
mod reason;
mod refill;
mod related;
#[cfg(test)]
mod tests;
mod weights;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use proto::api::video::{Reason, Verdict};
use proto::{ChannelId, Timestamp, UserId, VideoId};
use store::{Batch, Scan, Store};

use crate::search::{Library, Standing};
use data::{CHANNEL_OPINIONS, Opinion, Person, SIGNALS, SUBSCRIPTIONS, VIDEO_OPINIONS};
use model::Model;

pub(crate) use reason::Pick;
pub(crate) use refill::{kept_person, kept_signals, kept_subscriptions, subject};

/// How many videos are read from the library at once.
const DOCUMENTS_AT_ONCE: usize = 500;

/// The recommender. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recommender {
    store: Store,
    model: Arc<RwLock<Model>>,
}

/// What feedback is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// One video, and what is like it.
    Video(VideoId),
    /// All videos of a channel.
    Channel(ChannelId),
}

impl Recommender {
    /// Makes the model of what is stored. Blocking: reads all videos and signals.
    pub(crate) fn load(store: &Store, library: &dyn Library, now: Timestamp) -> Result<Self, store::ReadError> {
        let mut model = Model::new(now);
        let mut after = None;
        loop {
            let documents = library.documents(after, DOCUMENTS_AT_ONCE)?;
            let Some(last) = documents.last() else { break };
            after = Some(last.profile.id);
            for document in &documents {
                model.items.put(document);
            }
        }
        model.items.measure();
        load_people(store, &mut model)?;
        Ok(Self { store: store.clone(), model: Arc::new(RwLock::new(model)) })
    }

    fn read(&self) -> RwLockReadGuard<'_, Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Model> {
        self.model.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The home page of `viewer`, or of nobody in particular: at most 500, the best first.
    pub(crate) fn home(&self, viewer: Option<UserId>, now: Timestamp) -> Vec<Pick> {
        self.read().home(viewer, now)
    }

    /// What stands beside `video`.
    pub(crate) fn related(&self, video: VideoId, viewer: Option<UserId>, now: Timestamp) -> Vec<Pick> {
        self.read().related(video, viewer, now)
    }

    /// What search mixes in for `viewer`; `None` for a video that it must not show them. Events wait while
    /// this is kept.
    pub(crate) fn standings(&self, viewer: Option<UserId>) -> impl Fn(VideoId) -> Option<Standing> {
        let model = self.read();
        move |video| {
            let item = model.items.get(model.items.find(video)?);
            let known = item.known.as_ref()?;
            let profile = &known.profile;
            let shown = profile.listed_for(viewer) || Some(profile.owner) == viewer;
            let subscribed = || model.profile(viewer).subscriptions.contains(&profile.channel);
            shown.then(|| Standing { views: known.views, published_at: profile.published_at, subscribed: subscribed() })
        }
    }

    /// Why a video is recommended, in words, as far as `viewer` may be told.
    pub(crate) fn reason(&self, pick: &Pick, viewer: Option<UserId>) -> Reason {
        self.read().reason(pick, viewer)
    }

    /// Whether `viewer` has said that they do not want to see this video, or its channel.
    pub(crate) fn is_refused(&self, video: VideoId, viewer: Option<UserId>) -> bool {
        let model = self.read();
        let found = model.items.find(video);
        found.is_some_and(|at| home::is_refused(model.profile(viewer), at, model.items.get(at)))
    }

    /// Keeps what somebody thinks of a recommendation; it counts from the next page on. `guard` says, in the same
    /// batch, on what condition.
    pub(crate) async fn feedback(
        &self,
        user: UserId,
        subject: Subject,
        verdict: Verdict,
        now: Timestamp,
        guard: Batch,
    ) -> Result<(), store::WriteError> {
        let opinion = Opinion { verdict, at_ms: now.ms() };
        let batch = match subject {
            Subject::Video(video) => guard.put(VIDEO_OPINIONS, &(user.bytes(), video.bytes()), &opinion),
            Subject::Channel(channel) => guard.put(CHANNEL_OPINIONS, &(user.bytes(), channel.bytes()), &opinion),
        };
        self.store.write(batch).await?;
        let mut model = self.write();
        match subject {
            Subject::Video(video) => {
                let item = model.items.place(video);
                model.profile_mut(Person::from(user)).videos.insert(item, (verdict, now));
            }
            Subject::Channel(channel) => {
                model.profile_mut(Person::from(user)).channels.insert(channel, verdict);
            }
        }
        Ok(())
    }
}

/// Reads the tables into the model.
fn load_people(store: &Store, model: &mut Model) -> Result<(), store::ReadError> {
    for entry in store.scan(SIGNALS, Scan::all()) {
        let ((person, video), signal) = entry?;
        model.set_signal(Person(person), VideoId::from_bytes(video), Some(signal));
    }
    for entry in store.scan(SUBSCRIPTIONS, Scan::all()) {
        let ((user, channel), _) = entry?;
        model.profile_mut(Person(user)).subscriptions.insert(ChannelId::from_bytes(channel));
    }
    for entry in store.scan(VIDEO_OPINIONS, Scan::all()) {
        let ((user, video), opinion) = entry?;
        let item = model.items.place(VideoId::from_bytes(video));
        let said = (opinion.verdict, Timestamp::from_ms(opinion.at_ms));
        model.profile_mut(Person(user)).videos.insert(item, said);
    }
    for entry in store.scan(CHANNEL_OPINIONS, Scan::all()) {
        let ((user, channel), opinion) = entry?;
        model.profile_mut(Person(user)).channels.insert(ChannelId::from_bytes(channel), opinion.verdict);
    }
    Ok(())
}
