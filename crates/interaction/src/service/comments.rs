//! Comments: write, edit, delete.

use kit::Caller;
use kit::idempotency::{Idempotency, REMEMBERED, remember, remembered};
use proto::api::account::Role;
use proto::api::interaction::{Comment, CreateComment, PatchComment};
use proto::api::notification::NotificationKind;
use proto::api::video::CommentPolicy;
use proto::events::VideoProfile;
use proto::{CommentId, Timestamp, UserId, VideoId};
use store::{Batch, Push, WriteError};

use super::mentions::mentions;
use super::{ATTEMPTS, Service};
use crate::data::{
    COMMENT_TEXTS, COMMENTS, CommentRecord, Commented, GONE, JOBS, Job, LANE_INTERACTIONS, LANE_REMOVALS, REPLIES,
    REPLY_COUNT, THREAD_SIZE, THREADS, WRITTEN_BY, gone, while_there,
};
use crate::error::{Error, Result};

const TEXT_MAX_CHARS: usize = 10_000;

/// Longer texts are kept apart from the record.
const INLINE_MAX_BYTES: usize = 4_000;

/// What notifications show of a comment.
const EXCERPT_CHARS: usize = 200;

impl Service {
    /// Writes a comment, or a reply. A reply to a reply belongs to the same thread.
    pub(crate) async fn create_comment(
        &self,
        caller: &Caller,
        id: VideoId,
        key: Option<String>,
        body: CreateComment,
        now: Timestamp,
    ) -> Result<Comment> {
        let user = caller.signed_in()?;
        let request = Idempotency::of(user, key, &format!("comment {id}"), &body);
        if let Some(answer) = remembered(&self.store, request.as_ref(), now)? {
            return Ok(answer);
        }
        let video = self.visible_video(caller, id).await?;
        if video.comment_policy == CommentPolicy::Closed {
            return Err(Error::CommentsClosed);
        }
        let text = checked(&body.text)?;
        let answered = match body.parent_id {
            Some(parent) => Some(self.answered(caller, &video, parent)?),
            None => None,
        };
        self.shared.comments.check(user, now)?;
        let comment = CommentId::generate();
        let record = CommentRecord {
            video: id,
            author: Some(user),
            parent: answered.as_ref().map(|(top, _)| *top),
            text: Some(text.clone()),
            created_at: now,
            edited_at: None,
            deleted: false,
            held: video.comment_policy == CommentPolicy::Held && user != video.owner && caller.role < Role::Moderator,
            version: 1,
        };
        let tell = self.told_of(caller, &video, &record, answered.and_then(|(_, author)| author), &text).await?;
        let answer = self.shown_comment(caller, &video, comment, record.clone()).await?;
        let (batch, job) = addition(comment, &record, &video, tell, now);
        let batch = batch.push(self.intake(), interaction(&job));
        let batch = remember(&self.store, batch, request.as_ref(), &answer, now)?;
        match self.store.write(batch).await {
            Ok(_) => Ok(answer),
            Err(WriteError::Assertion { table, .. }) if table == REMEMBERED.name() => {
                remembered(&self.store, request.as_ref(), now)?.ok_or(Error::Conflict)
            }
            Err(WriteError::Assertion { table, .. }) if table == COMMENTS.name() => Err(no_parent()),
            Err(WriteError::Assertion { .. }) => Err(Error::NotFound("video")),
            Err(error) => Err(error.into()),
        }
    }

    /// The thread that a reply belongs to, and whom it answers.
    fn answered(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        parent: CommentId,
    ) -> Result<(CommentId, Option<UserId>)> {
        let record = self.store.get(COMMENTS, &parent.bytes())?.ok_or_else(no_parent)?;
        if record.video != video.id || record.deleted || !sees(caller, video, &record) {
            return Err(no_parent());
        }
        Ok((record.parent.unwrap_or(parent), record.author))
    }

    /// Who is told of a comment, each once: who is answered, whose video it is, who is named.
    async fn told_of(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        record: &CommentRecord,
        answered: Option<UserId>,
        text: &str,
    ) -> Result<Vec<(UserId, NotificationKind)>> {
        let mut tell: Vec<(UserId, NotificationKind)> = Vec::new();
        let mut add = |who: UserId, kind: NotificationKind| {
            if caller.user != Some(who) && !tell.iter().any(|(told, _)| *told == who) {
                tell.push((who, kind));
            }
        };
        if let Some(author) = answered.filter(|_| !record.held)
            && let Some(author) = self.user(author).await?
            && video.visible_to(Some(author.id), author.role)
        {
            add(author.id, NotificationKind::Reply);
        }
        add(video.owner, NotificationKind::Comment);
        let named = if record.held { Vec::new() } else { mentions(text) };
        for readings in named {
            for name in readings {
                if let Some(user) = self.user_by_name(&name).await? {
                    if video.visible_to(Some(user.id), user.role) {
                        add(user.id, NotificationKind::Mention);
                    }
                    break;
                }
            }
        }
        Ok(tell)
    }

    /// Changes the text of one's own comment.
    pub(crate) async fn patch_comment(
        &self,
        caller: &Caller,
        id: CommentId,
        body: PatchComment,
        now: Timestamp,
    ) -> Result<Comment> {
        let user = caller.signed_in()?;
        let text = checked(&body.text)?;
        for _ in 0..ATTEMPTS {
            let (record, video) = self.visible_comment(caller, id).await?;
            if record.author != Some(user) {
                return Err(Error::NotOwner("comment"));
            }
            let changed = CommentRecord {
                text: Some(text.clone()),
                edited_at: Some(now),
                version: record.version + 1,
                ..record.clone()
            };
            let batch = Batch::new().at(now.ms()).assert_equal(COMMENTS, &id.bytes(), &record);
            match self.store.write(put(batch, id, &changed, record.text.is_none())).await {
                Ok(_) => return self.shown_comment(caller, &video, id, changed).await,
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// Deletes a comment: its author, the video's owner and moderators may. With replies a tombstone stays.
    pub(crate) async fn delete_comment(&self, caller: &Caller, id: CommentId, now: Timestamp) -> Result<()> {
        let user = caller.signed_in()?;
        let (record, video) = self.visible_comment(caller, id).await?;
        if record.author != Some(user) && video.owner != user && caller.role < Role::Moderator {
            return Err(Error::NotOwner("comment"));
        }
        self.remove_comment(id, now).await
    }

    /// Removes a comment, whoever wants it. One that is gone by now is fine.
    pub(super) async fn remove_comment(&self, id: CommentId, now: Timestamp) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(record) = self.store.get(COMMENTS, &id.bytes())?.filter(|record| !record.deleted) else {
                return Ok(());
            };
            match self.store.write(self.removal(id, &record, now)?).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Assertion { .. } | WriteError::Bounds { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// The batch that removes a comment as it is now. It is refused when the comment or the size of its thread has
    /// changed since they were read.
    fn removal(&self, id: CommentId, record: &CommentRecord, now: Timestamp) -> Result<Batch> {
        let mut batch = Batch::new().essential().at(now.ms()).assert_equal(COMMENTS, &id.bytes(), record);
        if let Some(author) = record.author {
            batch = batch.delete(WRITTEN_BY, &(author.bytes(), id.bytes()));
        }
        if !record.held {
            batch = batch.push(JOBS, interaction(&Job::Uncomment { video: record.video }));
        }
        batch = batch.push(JOBS, removal_job(&Job::RemoveRatings(id)));
        let size = self.store.count(THREAD_SIZE, &id.bytes())?;
        match record.parent {
            Some(top) => self.reply_removal(batch, id, top, record),
            None if size == 0 => {
                let batch = batch.add_bounded(THREAD_SIZE, &id.bytes(), 0, 0..=0);
                Ok(without(batch, id, record).delete(THREADS, &(record.video.bytes(), id.bytes())))
            }
            None => {
                let tombstone = CommentRecord {
                    author: None,
                    text: Some(String::new()),
                    deleted: true,
                    version: record.version + 1,
                    ..record.clone()
                };
                Ok(put(batch, id, &tombstone, record.text.is_none()))
            }
        }
    }

    /// Removes a reply, and the tombstone of its thread with the last one.
    fn reply_removal(&self, batch: Batch, id: CommentId, top: CommentId, record: &CommentRecord) -> Result<Batch> {
        let mut batch = without(batch, id, record).delete(REPLIES, &(top.bytes(), id.bytes()));
        if !record.held {
            batch = batch.add(REPLY_COUNT, &top.bytes(), -1);
        }
        let left = self.store.count(THREAD_SIZE, &top.bytes())? - 1;
        batch = batch.add_bounded(THREAD_SIZE, &top.bytes(), -1, left..=left);
        let tombstone = self.store.get(COMMENTS, &top.bytes())?.filter(|top| top.deleted && left == 0);
        if let Some(tombstone) = tombstone {
            batch = batch.assert_equal(COMMENTS, &top.bytes(), &tombstone);
            batch = without(batch, top, &tombstone).delete(THREADS, &(record.video.bytes(), top.bytes()));
        }
        Ok(batch)
    }

    /// A comment that the caller may see, with its video. Tombstones are not there.
    pub(super) async fn visible_comment(
        &self,
        caller: &Caller,
        id: CommentId,
    ) -> Result<(CommentRecord, VideoProfile)> {
        let record = self.store.get(COMMENTS, &id.bytes())?.filter(|record| !record.deleted);
        let record = record.ok_or(Error::NotFound("comment"))?;
        match self.visible_video(caller, record.video).await {
            Ok(video) if sees(caller, &video, &record) => Ok((record, video)),
            Ok(_) | Err(Error::NotFound(_)) => Err(Error::NotFound("comment")),
            Err(error) => Err(error),
        }
    }
}

/// Whether somebody who sees the video sees this comment.
pub(super) fn sees(caller: &Caller, video: &VideoProfile, record: &CommentRecord) -> bool {
    !record.held
        || caller.role >= Role::Moderator
        || caller.user.is_some_and(|user| user == video.owner || record.author == Some(user))
}

pub(super) const fn interaction(job: &Job) -> Push<'_, Job> {
    Push { job, order_key: None, due_ms: 0, lane: LANE_INTERACTIONS }
}

pub(super) const fn removal_job(job: &Job) -> Push<'_, Job> {
    Push { job, order_key: None, due_ms: 0, lane: LANE_REMOVALS }
}

fn no_parent() -> Error {
    Error::Invalid { field: "parentId", detail: "there is no such comment on this video".to_owned() }
}

fn addition(
    id: CommentId,
    record: &CommentRecord,
    video: &VideoProfile,
    tell: Vec<(UserId, NotificationKind)>,
    now: Timestamp,
) -> (Batch, Job) {
    let author = record.author.unwrap_or(video.owner);
    let job = Job::Comment(Commented {
        comment: id,
        video: video.id,
        author,
        at: now,
        counted: !record.held,
        tell,
        title: video.title.clone(),
        excerpt: record.text.iter().flat_map(|text| text.chars()).take(EXCERPT_CHARS).collect(),
    });
    let batch = while_there(Batch::new(), author).at(now.ms()).assert_absent(GONE, &gone(video.id.bytes()));
    let batch = match record.parent {
        None => batch.put(THREADS, &(video.id.bytes(), id.bytes()), &()),
        Some(top) => batch
            .assert_present(COMMENTS, &top.bytes())
            .put(REPLIES, &(top.bytes(), id.bytes()), &())
            .add(THREAD_SIZE, &top.bytes(), 1)
            .add(REPLY_COUNT, &top.bytes(), i64::from(!record.held)),
    };
    (put(batch, id, record, false).put(WRITTEN_BY, &(author.bytes(), id.bytes()), &()), job)
}

/// Writes a comment; a long text goes apart. `was_long`: there may be one apart already.
fn put(batch: Batch, id: CommentId, record: &CommentRecord, was_long: bool) -> Batch {
    match &record.text {
        Some(text) if text.len() > INLINE_MAX_BYTES => {
            let short = CommentRecord { text: None, ..record.clone() };
            batch.put(COMMENTS, &id.bytes(), &short).put_text(COMMENT_TEXTS, &id.bytes(), text)
        }
        _ if was_long => batch.put(COMMENTS, &id.bytes(), record).delete_text(COMMENT_TEXTS, &id.bytes()),
        _ => batch.put(COMMENTS, &id.bytes(), record),
    }
}

/// Removes a comment's record and text.
pub(super) fn without(batch: Batch, id: CommentId, record: &CommentRecord) -> Batch {
    let batch = batch.delete(COMMENTS, &id.bytes());
    if record.text.is_none() { batch.delete_text(COMMENT_TEXTS, &id.bytes()) } else { batch }
}

/// 1 to 10,000 characters that a person can see; line ends become `\n`.
fn checked(text: &str) -> Result<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim();
    let detail = match text.chars().count() {
        1..=TEXT_MAX_CHARS if text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t') => {
            return Ok(text.to_owned());
        }
        1..=TEXT_MAX_CHARS => "control characters are not allowed".to_owned(),
        _ => format!("1 to {TEXT_MAX_CHARS} characters"),
    };
    Err(Error::Invalid { field: "text", detail })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_are_plain_and_have_a_length() {
        assert_eq!(checked(" a\r\nb\rc ").unwrap(), "a\nb\nc");
        assert_eq!(checked(&"😀".repeat(10_000)).unwrap().chars().count(), 10_000);
        for bad in ["", " \n ", "a\0b", &"a".repeat(10_001)] {
            assert!(checked(bad).is_err());
        }
    }
}
