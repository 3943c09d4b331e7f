//! What each service tells the others, in its event log.
//!
//! An event carries the whole state that its readers keep, not a difference: applied twice it changes
//! nothing, and a reader that starts late is right after the last one. Long texts stay with the owner.
//! Every event fits into one record of the store (7 KiB).

use serde::{Deserialize, Serialize};

use crate::api::Person;
use crate::api::account::Role;
use crate::api::channel::{ChannelCard, NotifyLevel};
use crate::api::interaction::Rating;
use crate::api::notification::NotificationKind;
use crate::api::video::{CommentPolicy, Privacy, VideoState};
use crate::{ChannelId, CommentId, Timestamp, UserId, VideoId};

/// The name of the log that every service has.
pub const EVENTS: &str = "events";

/// The name of interaction's log for the notification service.
pub const NOTIFICATIONS: &str = "notifications";

/// A person as the services know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserProfile {
    /// The account's id.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Where the avatar is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Whether it may sign in.
    pub active: bool,
}

impl UserProfile {
    /// As other people see them.
    pub fn person(&self) -> Person {
        Person {
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            avatar_url: self.avatar_url.clone(),
        }
    }
}

/// What the gateway tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum GatewayEvent {
    /// An account is new or was changed.
    UserChanged {
        /// The account from now on.
        user: UserProfile,
    },
    /// An account is gone, with all that hangs on it.
    UserDeleted {
        /// Which.
        id: UserId,
    },
}

impl GatewayEvent {
    /// The account that it is about.
    pub fn user_id(&self) -> UserId {
        match self {
            Self::UserChanged { user } => user.id,
            Self::UserDeleted { id } => *id,
        }
    }
}

/// A channel as the services know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelProfile {
    /// The channel's id.
    pub id: ChannelId,
    /// Who owns it.
    pub owner: UserId,
    /// Its name in addresses.
    pub handle: String,
    /// The name to show.
    pub name: String,
    /// Where the avatar is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// How many people subscribe.
    pub subscribers: u64,
}

impl ChannelProfile {
    /// As lists show it.
    pub fn card(&self) -> ChannelCard {
        ChannelCard {
            id: self.id,
            handle: self.handle.clone(),
            name: self.name.clone(),
            avatar_url: self.avatar_url.clone(),
            subscribers: self.subscribers,
        }
    }
}

/// What the channel service tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum ChannelEvent {
    /// A channel is new, was changed, or has another number of subscribers.
    ChannelChanged {
        /// The channel from now on.
        channel: ChannelProfile,
    },
    /// A channel is gone; its videos go with it.
    ChannelDeleted {
        /// Which.
        id: ChannelId,
    },
    /// Somebody subscribes, or wants to be notified otherwise.
    Subscribed {
        /// Who.
        user: UserId,
        /// To what.
        channel: ChannelId,
        /// Whose channel it is: who is told.
        owner: UserId,
        /// Its handle.
        handle: String,
        /// What the subscriber is notified of.
        notify: NotifyLevel,
        /// False when only `notify` changed.
        new: bool,
        /// When.
        at: Timestamp,
    },
    /// Somebody subscribes no longer.
    Unsubscribed {
        /// Who.
        user: UserId,
        /// From what.
        channel: ChannelId,
    },
    /// A video was put into a playlist (a sign of liking it, for recommendations).
    Saved {
        /// Whose playlist.
        user: UserId,
        /// Which video.
        video: VideoId,
        /// When.
        at: Timestamp,
    },
}

/// A video as the services know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoProfile {
    /// The video's id.
    pub id: VideoId,
    /// Whose it is.
    pub owner: UserId,
    /// In which channel.
    pub channel: ChannelId,
    /// The title.
    pub title: String,
    /// Who may watch.
    pub privacy: Privacy,
    /// Where it is on its way.
    pub state: VideoState,
    /// Who may comment.
    pub comment_policy: CommentPolicy,
    /// Seconds.
    pub duration: f64,
    /// When it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// The poster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
}

impl VideoProfile {
    /// Whether `viewer` may know of this video and watch it.
    ///
    /// The one rule for it, used by every service: the owner and moderators always; others once it is
    /// published, if its privacy lets them. A password-protected video needs its unlock besides.
    pub fn visible_to(&self, viewer: Option<UserId>, role: Role) -> bool {
        if viewer == Some(self.owner) || role >= Role::Moderator {
            return true;
        }
        self.state == VideoState::Published
            && match self.privacy {
                Privacy::Public | Privacy::Unlisted => true,
                Privacy::Internal => viewer.is_some(),
                Privacy::Private | Privacy::Password => false,
            }
    }

    /// Whether lists for `viewer` may name this video without being asked for it by id.
    pub fn listed_for(&self, viewer: Option<UserId>) -> bool {
        self.state == VideoState::Published
            && match self.privacy {
                Privacy::Public => true,
                Privacy::Internal => viewer.is_some(),
                Privacy::Unlisted | Privacy::Private | Privacy::Password => false,
            }
    }
}

/// What the video service tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum VideoEvent {
    /// A video is new or was changed, its state included.
    VideoChanged {
        /// The video from now on.
        video: VideoProfile,
    },
    /// A video became playable for others for the first time; follows its `VideoChanged`.
    VideoPublished {
        /// The video.
        video: VideoProfile,
    },
    /// A video's processing has made it playable; for its owner.
    ProcessingDone {
        /// The video.
        video: VideoProfile,
    },
    /// A video cannot be played; for its owner.
    ProcessingFailed {
        /// The video.
        video: VideoProfile,
        /// Why, in words.
        reason: String,
    },
    /// A video is gone, with all that hangs on it.
    VideoDeleted {
        /// Which.
        id: VideoId,
        /// Whose it was.
        owner: UserId,
        /// From which channel.
        channel: ChannelId,
    },
}

impl VideoEvent {
    /// The video that it is about.
    pub fn video_id(&self) -> VideoId {
        match self {
            Self::VideoChanged { video }
            | Self::VideoPublished { video }
            | Self::ProcessingDone { video }
            | Self::ProcessingFailed { video, .. } => video.id,
            Self::VideoDeleted { id, .. } => *id,
        }
    }
}

/// Who watched: a person, or a page of somebody not signed in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Viewer {
    /// An account.
    User(UserId),
    /// A page's random id.
    Page(String),
}

/// What the interaction service tells the video service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum InteractionEvent {
    /// A video's counts from now on.
    Counts {
        /// Which video.
        video: VideoId,
        /// Views.
        views: u64,
        /// Likes.
        likes: u64,
        /// Dislikes.
        dislikes: u64,
        /// Comments, replies included.
        comments: u64,
    },
    /// Somebody's opinion from now on.
    Rated {
        /// Who.
        user: UserId,
        /// Of what.
        video: VideoId,
        /// What they think.
        rating: Rating,
        /// When.
        at: Timestamp,
    },
    /// Somebody watched, or watched on; at most one a minute, viewer and video.
    Watched {
        /// Who.
        viewer: Viewer,
        /// What.
        video: VideoId,
        /// Seconds watched in this sitting until now.
        watched_seconds: f64,
        /// Where they are, in seconds.
        position_seconds: f64,
        /// When.
        at: Timestamp,
    },
    /// Somebody commented.
    Commented {
        /// Who.
        user: UserId,
        /// On what.
        video: VideoId,
        /// When.
        at: Timestamp,
    },
    /// Somebody took a video, or everything, out of their history.
    Forgotten {
        /// Who.
        user: UserId,
        /// One video; all when absent.
        video: Option<VideoId>,
    },
}

/// What the interaction service tells the notification service: somebody is to be told something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// Who is told; never the actor.
    pub recipient: UserId,
    /// `comment`, `reply`, `mention` or `like`.
    pub kind: NotificationKind,
    /// Who did it.
    pub actor: UserId,
    /// On which video.
    pub video: VideoId,
    /// That video's title at the time.
    pub video_title: String,
    /// The comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<CommentId>,
    /// The comment's first 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When.
    pub at: Timestamp,
}
