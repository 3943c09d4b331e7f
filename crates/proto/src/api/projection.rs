//! Projections: what a service keeps of what another one tells it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// An item of `GET /api/admin/projections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Projection {
    /// Who keeps it.
    pub service: String,
    /// Whose log it follows.
    pub owner: String,
    /// Which one.
    pub log: String,
    /// What it is called there.
    pub consumer: String,
    /// The last event that it has dealt with.
    pub cursor: u64,
    /// How many events were behind that when it looked last.
    pub behind: u64,
    /// Events that it could not deal with.
    pub dead: u64,
    /// What it is doing.
    pub state: ProjectionState,
    /// What there is to say about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a projection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectionState {
    /// It follows the log.
    Following,
    /// It is filled anew from the owner's snapshot, and readable meanwhile.
    Refilling,
    /// Something is in the way: the note says what. It goes on by itself.
    Waiting,
    /// It follows, but much of what it has is gone at the owner: only a rebuild that is asked for removes that.
    Held,
}

/// `POST /api/admin/projections/{service}/rebuild`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rebuild {
    /// Whose log; all of the service's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// An item of `GET /api/admin/projections/{service}/dead`: an event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Who could not deal with it.
    pub service: String,
    /// Whose event it is.
    pub owner: String,
    /// Its place in the log; from 2⁶³ on it came with a snapshot.
    pub sequence: u64,
    /// The event, as JSON.
    pub event: String,
    /// The last failure.
    pub reason: String,
    /// When it was set aside.
    pub time: Timestamp,
}

/// `POST /api/admin/projections/{service}/dead/retry` and `…/dead/drop`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetterName {
    /// Whose event.
    pub owner: String,
    /// Its place in the log.
    pub sequence: u64,
}
