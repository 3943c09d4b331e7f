//! Lists of comments.

use std::collections::HashMap;

use kit::Caller;
use kit::paging::PageQuery;
use proto::api::interaction::Comment;
use proto::api::{Page, Person};
use proto::events::VideoProfile;
use proto::{CommentId, UserId, VideoId};
use serde::Deserialize;
use store::{ReadError, Scan, Store, Table};

use super::comments::sees;
use super::{Service, cut};
use crate::data::{COMMENT_TEXTS, COMMENTS, CommentRecord, IdKey, LIKES, REPLIES, REPLY_COUNT, THREADS, Target};
use crate::error::{Error, Result};

/// The order of a list of comments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sort {
    /// Those that most people like first.
    #[default]
    Top,
    /// The newest first.
    New,
    /// The oldest first.
    Old,
}

/// A comment with its id.
type Entry = (CommentId, CommentRecord);

impl Service {
    /// A page of the first comments of a video's threads.
    pub(crate) async fn comments(
        &self,
        caller: &Caller,
        id: VideoId,
        sort: Sort,
        query: &PageQuery,
    ) -> Result<Page<Comment>> {
        let video = self.visible_video(caller, id).await?;
        let page = match sort {
            Sort::Top => self.top_comments(caller, &video, query).await?,
            Sort::New => self.listed(caller, &video, (THREADS, id.bytes()), query, true).await?,
            Sort::Old => self.listed(caller, &video, (THREADS, id.bytes()), query, false).await?,
        };
        self.shown_page(caller, &video, page).await
    }

    /// A page of the replies of a thread, oldest first.
    pub(crate) async fn replies(&self, caller: &Caller, id: CommentId, query: &PageQuery) -> Result<Page<Comment>> {
        let top = self.store.get(COMMENTS, &id.bytes())?.ok_or(Error::NotFound("comment"))?;
        let video = self.visible_video(caller, top.video).await?;
        if !sees(caller, &video, &top) {
            return Err(Error::NotFound("comment"));
        }
        let page = self.listed(caller, &video, (REPLIES, id.bytes()), query, false).await?;
        self.shown_page(caller, &video, page).await
    }

    /// A page of an index of comments, in the order of time, without those that the caller may not see.
    async fn listed(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        (index, of): (Table<(IdKey, IdKey), ()>, IdKey),
        query: &PageQuery,
        reverse: bool,
    ) -> Result<Page<Entry>> {
        let limit = query.limit()?;
        let mut scan = Scan::prefix(&of);
        if reverse {
            scan = scan.reverse();
        }
        if let Some(after) = query.position::<CommentId>()? {
            scan = scan.after(&(of, after.bytes()));
        }
        let (caller, video) = (caller.clone(), video.clone());
        let entries = self
            .blocking(move |store| visible(store, &caller, &video, store.scan_keys(index, scan), limit + 1))
            .await?;
        Ok(cut(entries, limit, |(id, _)| *id))
    }

    pub(super) async fn shown_page(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        page: Page<Entry>,
    ) -> Result<Page<Comment>> {
        let people = self.people(page.items.iter().filter_map(|(_, record)| record.author)).await?;
        let show = |(id, record)| self.comment(caller, video, id, record, &people);
        let items = page.items.into_iter().map(show).collect::<Result<_>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// A comment as the caller sees it.
    pub(super) async fn shown_comment(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        id: CommentId,
        record: CommentRecord,
    ) -> Result<Comment> {
        let people = self.people(record.author.into_iter()).await?;
        self.comment(caller, video, id, record, &people)
    }

    fn comment(
        &self,
        caller: &Caller,
        video: &VideoProfile,
        id: CommentId,
        record: CommentRecord,
        people: &HashMap<UserId, Person>,
    ) -> Result<Comment> {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let text = match record.text {
            Some(text) => text,
            None => self.store.text(COMMENT_TEXTS, &id.bytes())?.unwrap_or_default(),
        };
        let my_rating = caller.user.map(|user| self.own_rating(user, Target::Comment(id))).transpose()?;
        Ok(Comment {
            id,
            video_id: record.video,
            parent_id: record.parent,
            author: record.author.and_then(|author| people.get(&author).cloned()),
            text,
            created_at: record.created_at,
            edited_at: record.edited_at,
            deleted: record.deleted,
            replies: count(self.store.count(REPLY_COUNT, &id.bytes())?),
            likes: count(self.store.count(LIKES, &Target::Comment(id).key())?),
            by_owner: record.author == Some(video.owner),
            my_rating,
        })
    }
}

/// The first `limit` comments of an index that the caller may see.
pub(super) fn visible(
    store: &Store,
    caller: &Caller,
    video: &VideoProfile,
    keys: impl Iterator<Item = Result<(IdKey, IdKey), ReadError>>,
    limit: usize,
) -> Result<Vec<Entry>, ReadError> {
    let mut entries = Vec::new();
    for key in keys {
        let (_, id) = key?;
        // One that was deleted after the index was read is left out.
        let Some(record) = store.get(COMMENTS, &id)? else { continue };
        if sees(caller, video, &record) {
            entries.push((CommentId::from_bytes(id), record));
        }
        if entries.len() == limit {
            break;
        }
    }
    Ok(entries)
}
