//! The instance as a whole: what it is called, how it is, and what runs in it.

use serde::{Deserialize, Serialize};

/// How people join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationPolicy {
    /// Anybody may register.
    Open,
    /// With an invitation only.
    Invite,
    /// An admin approves each account.
    #[default]
    Approval,
    /// Nobody; the admin makes accounts.
    Closed,
}

/// `GET /api/instance`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// What the site is called.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// The accent colour, `#rrggbb`.
    pub accent: String,
    /// How people join.
    pub registration: RegistrationPolicy,
    /// True until the first account was made.
    pub needs_setup: bool,
    /// DjStream's version.
    pub version: String,
    /// The largest file that can be uploaded, in bytes.
    pub upload_max_bytes: u64,
    /// The fewest characters of a password.
    pub password_length_min: u32,
}

/// `GET /api/health`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok` when every service answers, else `degraded`.
    pub status: HealthStatus,
    /// Each service process.
    pub services: Vec<ServiceHealth>,
}

/// Whether something answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// Answers.
    Ok,
    /// Some parts do not answer.
    Degraded,
    /// Does not answer.
    Down,
}

/// One service process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHealth {
    /// `gateway`, `channel`, `video`, `interaction`, `notification-0` …
    pub name: String,
    /// Whether it answers.
    pub status: HealthStatus,
    /// What the admin should know of it, in sentences; for nobody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An item of `GET /api/admin/queues`, and of `djstreamctl queue list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// `service/queue`, e.g. `interaction/interactions`.
    pub name: String,
    /// Can be taken now.
    pub ready: u64,
    /// Waits for its time.
    pub delayed: u64,
    /// Is being worked on.
    pub leased: u64,
    /// Failed, and waits for somebody to try it again or to drop it. Nothing of it is dropped by itself.
    pub dead: u64,
    /// With so many jobs, dead ones aside, whoever asks for more is told to come back later; absent without such a
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}
