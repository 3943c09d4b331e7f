//! Rows as their recipient may see them today.

use proto::api::account::Role;
use proto::api::notification::Notification;
use proto::{NotificationId, UserId};

use super::Inboxes;
use crate::data::{GONE, Row, VIDEOS, gone};
use crate::error::Error;

impl Inboxes {
    /// What happened, without what the recipient may no longer see: of a video that was deleted or
    /// taken away from them, neither title nor words remain.
    pub(crate) async fn render(
        &self,
        user: UserId,
        role: Role,
        id: NotificationId,
        row: &Row,
    ) -> Result<Notification, Error> {
        let known = match row.video {
            Some(video) => self.store.get(VIDEOS, &video.bytes())?,
            None => None,
        };
        let profile = known.as_ref().and_then(|record| record.profile.as_ref());
        let is_gone = match row.video {
            Some(video) => self.store.contains(GONE, &gone(video.bytes()))?,
            None => false,
        };
        let hidden = is_gone || known.is_some() && !profile.is_some_and(|profile| profile.visible_to(Some(user), role));
        let actor = match row.actors.first() {
            Some(actor) => self.people.person(*actor).await?,
            None => None,
        };
        Ok(Notification {
            id,
            kind: row.kind,
            created_at: row.created_at,
            read: row.read,
            count: row.count,
            actor,
            video_id: row.video.filter(|_| !hidden),
            video_title: row.video_title.clone().filter(|_| !hidden),
            thumbnail_url: profile.filter(|_| !hidden).and_then(|profile| profile.thumbnail_url.clone()),
            comment_id: row.comment.filter(|_| !hidden),
            channel: row.channel.clone(),
            text: row.text.clone().filter(|_| !hidden),
            replaces: row.replaces,
        })
    }
}
