//! The tables of the recommender, in the video service's store: what it cannot learn again.
//!
//! A signal is the whole of what a person did with a video, not an increment: an event that is applied twice
//! changes nothing, and the model in memory is made of these records at start.

use proto::api::video::Verdict;
use proto::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::Table;

/// Somebody whose interest is known: an account, or a page of somebody who is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Person(pub(super) [u8; 16]);

impl From<UserId> for Person {
    fn from(user: UserId) -> Self {
        Self(user.bytes())
    }
}

impl Person {
    /// The page with this random id. Its bytes are no UUIDv7, so it is never taken for an account.
    pub(super) fn of_page(page: &str) -> Self {
        let hash = Sha256::digest(page.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash.iter()).for_each(|(byte, hashed)| *byte = *hashed);
        bytes[6] |= 0xf0;
        Self(bytes)
    }
}

/// What a person did with a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Signal {
    /// 1: likes it, -1: dislikes it.
    pub(super) rating: i8,
    /// The most that was watched in one sitting, in seconds.
    pub(super) watched_seconds: f64,
    /// The farthest place, in seconds.
    pub(super) position_seconds: f64,
    /// Whether they commented.
    pub(super) commented: bool,
    /// Whether they put it into a playlist.
    pub(super) saved: bool,
    /// Whether they are not signed in.
    pub(super) guest: bool,
    /// The last sign of interest, in milliseconds since 1970.
    pub(super) at_ms: i64,
}

impl Signal {
    /// Whether nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        self.rating == 0 && self.watched_seconds <= 0.0 && !self.commented && !self.saved
    }

    /// When the last sign was.
    pub(super) const fn at(&self) -> Timestamp {
        Timestamp::from_ms(self.at_ms)
    }
}

/// 'Less of that', 'never again'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opinion {
    /// How strongly.
    pub(super) verdict: Verdict,
    /// When it was said, in milliseconds since 1970.
    pub(super) at_ms: i64,
}

/// A subscription, as far as recommendations go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subscription {
    /// Since when, in milliseconds since 1970.
    pub(super) at_ms: i64,
}

/// Person and video.
pub(super) type SignalKey = ([u8; 16], [u8; 16]);

/// By person and video.
pub(super) const SIGNALS: Table<SignalKey, Signal> = Table::new("recommend-signals");
/// By account and channel.
pub(super) const SUBSCRIPTIONS: Table<([u8; 16], [u8; 16]), Subscription> = Table::new("recommend-subscriptions");
/// By account and video.
pub(super) const VIDEO_OPINIONS: Table<([u8; 16], [u8; 16]), Opinion> = Table::new("recommend-video-opinions");
/// By account and channel.
pub(super) const CHANNEL_OPINIONS: Table<([u8; 16], [u8; 16]), Opinion> = Table::new("recommend-channel-opinions");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_never_an_account() {
        let user = UserId::generate();
        for page in ["", "a", &user.to_string(), &"x".repeat(10_000)] {
            let person = Person::of_page(page);
            assert_eq!(person.0[6] >> 4, 0xf);
            assert_eq!(person, Person::of_page(page));
        }
        assert_eq!(Person::from(user).0[6] >> 4, 7);
    }
}
