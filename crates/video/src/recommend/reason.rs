//! Why a video is recommended, in words.

use proto::api::video::{Reason, ReasonKind};
use proto::{UserId, VideoId};

use super::model::Model;

/// A recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The video.
    pub(crate) id: VideoId,
    pub(super) kind: ReasonKind,
    /// The video that the reason is about.
    pub(super) about: Option<VideoId>,
    /// Beside which video it stands, on a watch page.
    pub(super) beside: bool,
}

impl Pick {
    /// A reason that needs no other video.
    pub(super) const fn plain(id: VideoId, kind: ReasonKind) -> Self {
        Self { id, kind, about: None, beside: false }
    }
}

impl Model {
    /// The reason in words, as far as `viewer` may be told: a title only while they may see that video.
    pub(super) fn reason(&self, pick: &Pick, viewer: Option<UserId>) -> Reason {
        let item = |id| self.items.find(id).map(|at| self.items.get(at));
        let about = pick.about.and_then(item).filter(|about| about.is_visible_to(viewer));
        let channel = item(pick.id).and_then(|item| item.known.as_ref()).map(|known| known.channel_name.as_str());
        let (kind, subject) = match pick.kind {
            kind @ (ReasonKind::BecauseYouWatched | ReasonKind::BecauseYouLiked | ReasonKind::Similar) => match about {
                Some(about) => (kind, Some(about.title())),
                None => (ReasonKind::Popular, None),
            },
            kind @ (ReasonKind::Subscribed | ReasonKind::SameChannel) => (kind, channel),
            kind @ (ReasonKind::Popular | ReasonKind::New) => (kind, None),
        };
        let name = subject.unwrap_or_default();
        let text = match kind {
            ReasonKind::BecauseYouWatched if pick.beside => format!("People who watched “{name}” watched this"),
            ReasonKind::BecauseYouWatched => format!("Because you watched “{name}”"),
            ReasonKind::BecauseYouLiked => format!("Because you liked “{name}”"),
            ReasonKind::Subscribed => format!("New from {name}"),
            ReasonKind::Similar => format!("Similar to “{name}”"),
            ReasonKind::SameChannel => format!("From {name}"),
            ReasonKind::Popular => "Popular at present".to_owned(),
            ReasonKind::New => "New here".to_owned(),
        };
        let video_id = about.filter(|about| subject == Some(about.title())).map(|about| about.id);
        Reason { kind, text, video_id, subject: subject.map(str::to_owned) }
    }
}
