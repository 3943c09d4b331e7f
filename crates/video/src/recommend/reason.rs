//! Why a video is recommended, in words.

use proto::VideoId;
use proto::api::video::{Reason, ReasonKind};

/// A recommendation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The video.
    pub id: VideoId,
    /// Why.
    pub reason: Reason,
}

/// The reason `kind`, about the video or channel called `subject`.
pub(super) fn reason(kind: ReasonKind, video_id: Option<VideoId>, subject: Option<&str>) -> Reason {
    let about = subject.unwrap_or_default();
    let text = match kind {
        ReasonKind::BecauseYouWatched => format!("Because you watched “{about}”"),
        ReasonKind::BecauseYouLiked => format!("Because you liked “{about}”"),
        ReasonKind::Subscribed => format!("New from {about}"),
        ReasonKind::Similar => format!("Similar to “{about}”"),
        ReasonKind::SameChannel => format!("From {about}"),
        ReasonKind::Popular => "Popular at present".to_owned(),
        ReasonKind::New => "New here".to_owned(),
    };
    Reason { kind, text, video_id, subject: subject.map(str::to_owned) }
}
