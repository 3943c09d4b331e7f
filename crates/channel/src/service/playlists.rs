//! Playlists: make, read, edit, delete. 'Watch later' is there for everyone, and is written when it is first used.

use kit::caller::Caller;
use kit::idempotency::{Idempotency, REMEMBERED, remember, remembered};
use kit::paging::PageQuery;
use proto::api::playlist::{CreatePlaylist, PatchPlaylist, Playlist, PlaylistKind, PlaylistPrivacy};
use proto::api::{Page, Person};
use proto::{PlaylistId, Timestamp, UserId};
use store::{Batch, Desc, Push, Scan, WriteError};

use super::text::{line, text};
use super::{Service, cut};
use crate::data::{
    ITEM_COUNT, ITEMS, IdKey, JOBS, Job, PLAYLIST_COUNT, PLAYLIST_TEXTS, PLAYLISTS, PLAYLISTS_OF, PlaylistRecord,
    VIDEOS, while_there,
};
use crate::error::{Error, Result};

const TITLE_MAX_CHARS: usize = 100;
const DESCRIPTION_MAX_CHARS: usize = 5_000;
const WATCH_LATER: &str = "Watch later";

/// Items that are looked through for the first one with a poster that the caller may see.
const POSTER_ITEMS_MAX: usize = 5;

/// A playlist with the version of what can be edited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlaylistVersion {
    pub playlist: Playlist,
    pub version: u64,
}

/// The id of a person's 'Watch later': theirs with another UUID version, so that it meets no other id.
pub(crate) fn watch_later_id(user: UserId) -> PlaylistId {
    let mut bytes = user.bytes();
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    PlaylistId::from_bytes(bytes)
}

/// 'Watch later' before its first use: made when the account was.
fn watch_later(user: UserId) -> PlaylistRecord {
    let bytes = user.bytes();
    let ms = bytes[..6].iter().fold(0, |ms, byte| (ms << 8) | i64::from(*byte));
    PlaylistRecord {
        owner: user,
        title: WATCH_LATER.to_owned(),
        privacy: PlaylistPrivacy::Private,
        kind: PlaylistKind::WatchLater,
        created_at: Timestamp::from_ms(ms),
        updated_at: Timestamp::from_ms(ms),
        version: 1,
        revision: 0,
    }
}

impl Service {
    /// Makes a playlist.
    pub(crate) async fn create_playlist(
        &self,
        caller: &Caller,
        key: Option<String>,
        body: CreatePlaylist,
        now: Timestamp,
    ) -> Result<Playlist> {
        let user = caller.signed_in()?;
        let request = Idempotency::of(user, key, "playlist", &body);
        if let Some(answer) = remembered(&self.store, request.as_ref(), now)? {
            return Ok(answer);
        }
        let record = PlaylistRecord {
            owner: user,
            title: line("title", &body.title, 1, TITLE_MAX_CHARS)?,
            privacy: body.privacy,
            kind: PlaylistKind::Playlist,
            created_at: now,
            updated_at: now,
            version: 1,
            revision: 1,
        };
        let description = text("description", &body.description, 0, DESCRIPTION_MAX_CHARS)?;
        let id = PlaylistId::generate();
        let owner = self.person(user).await?.ok_or(Error::NotFound("account"))?;
        let answer = shown(id, record.clone(), description.clone(), owner, 0, None);
        let batch = while_there(Batch::new(), user)
            .at(now.ms())
            .put(PLAYLISTS, &id.bytes(), &record)
            .put_text(PLAYLIST_TEXTS, &id.bytes(), &description)
            .put(PLAYLISTS_OF, &(user.bytes(), Desc(id.bytes())), &())
            .add_bounded(PLAYLIST_COUNT, &user.bytes(), 1, 0..=self.limits.playlists);
        let batch = remember(&self.store, batch, request.as_ref(), &answer, now)?;
        match self.store.write(batch).await {
            Ok(_) => Ok(answer),
            Err(WriteError::Assertion { table, .. }) if table == REMEMBERED.name() => {
                remembered(&self.store, request.as_ref(), now)?.ok_or(Error::Conflict)
            }
            Err(WriteError::Assertion { .. }) => Err(Error::NotFound("account")),
            Err(WriteError::Bounds { .. }) => Err(Error::TooMany { what: "playlists", limit: self.limits.playlists }),
            Err(error) => Err(error.into()),
        }
    }

    /// A playlist that the caller may see.
    pub(crate) async fn playlist(&self, caller: &Caller, id: PlaylistId) -> Result<PlaylistVersion> {
        let (record, _) = self.playlist_for(caller, id)?;
        let version = record.version;
        Ok(PlaylistVersion { playlist: self.shown_playlist(caller, id, record).await?, version })
    }

    /// Edits one's playlist. `accepts` says whether the caller has read this version.
    pub(crate) async fn patch_playlist(
        &self,
        caller: &Caller,
        id: PlaylistId,
        body: PatchPlaylist,
        accepts: impl Fn(u64) -> bool,
        now: Timestamp,
    ) -> Result<PlaylistVersion> {
        let _lock = self.lock(id.bytes()).await;
        let (record, _) = self.own_playlist(caller, id)?;
        if !accepts(record.version) {
            return Err(Error::PreconditionFailed);
        }
        if record.kind == PlaylistKind::WatchLater {
            return Err(Error::WatchLater);
        }
        let title = body.title.map(|it| line("title", &it, 1, TITLE_MAX_CHARS)).transpose()?;
        let description = body.description.map(|it| text("description", &it, 0, DESCRIPTION_MAX_CHARS)).transpose()?;
        let mut changed = touched(&record, now);
        changed.version += 1;
        changed.title = title.unwrap_or(changed.title);
        changed.privacy = body.privacy.unwrap_or(changed.privacy);
        let mut batch = Batch::new().at(now.ms()).assert_equal(PLAYLISTS, &id.bytes(), &record).put(
            PLAYLISTS,
            &id.bytes(),
            &changed,
        );
        if let Some(description) = description {
            batch = batch.put_text(PLAYLIST_TEXTS, &id.bytes(), &description);
        }
        self.store.write(batch).await?;
        let version = changed.version;
        Ok(PlaylistVersion { playlist: self.shown_playlist(caller, id, changed).await?, version })
    }

    /// Deletes one's playlist. Its items are removed afterwards.
    pub(crate) async fn delete_playlist(&self, caller: &Caller, id: PlaylistId, now: Timestamp) -> Result<()> {
        let _lock = self.lock(id.bytes()).await;
        let (record, _) = self.own_playlist(caller, id)?;
        if record.kind == PlaylistKind::WatchLater {
            return Err(Error::WatchLater);
        }
        self.store.write(playlist_deletion(id, &record, now)).await?;
        Ok(())
    }

    /// The caller's playlists: 'Watch later', then the newest first.
    pub(crate) async fn own_playlists(&self, caller: &Caller, query: &PageQuery) -> Result<Page<Playlist>> {
        let user = caller.signed_in()?;
        let limit = query.limit()?;
        let after = query.position::<PlaylistId>()?;
        let own = self.playlist_ids(user, after.filter(|id| *id != watch_later_id(user)), limit + 1)?;
        let first = after.is_none().then(|| watch_later_id(user));
        let ids = first.into_iter().chain(own).take(limit + 1).collect();
        self.playlist_page(caller, limit, ids).await
    }

    /// The public playlists of a channel's owner, newest first.
    pub(crate) async fn channel_playlists(
        &self,
        caller: &Caller,
        handle: &str,
        query: &PageQuery,
    ) -> Result<Page<Playlist>> {
        let (_, channel) = self.channel_by_handle(handle)?;
        let limit = query.limit()?;
        let mut after = query.position::<PlaylistId>()?;
        let mut ids = Vec::new();
        while ids.len() <= limit {
            let next = self.playlist_ids(channel.owner, after, limit + 1)?;
            let Some(last) = next.last().copied() else { break };
            after = Some(last);
            for id in next {
                let record = self.store.get(PLAYLISTS, &id.bytes())?;
                if record.is_some_and(|record| record.privacy == PlaylistPrivacy::Public) {
                    ids.push(id);
                }
            }
        }
        ids.truncate(limit + 1);
        self.playlist_page(caller, limit, ids).await
    }

    fn playlist_ids(&self, owner: UserId, after: Option<PlaylistId>, limit: usize) -> Result<Vec<PlaylistId>> {
        let mut scan = Scan::prefix(&owner.bytes());
        if let Some(after) = after {
            scan = scan.after(&(owner.bytes(), Desc(after.bytes())));
        }
        let keys = self.store.scan_keys(PLAYLISTS_OF, scan).take(limit);
        let ids = keys.map(|key| key.map(|(_, Desc(id))| PlaylistId::from_bytes(id)));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    async fn playlist_page(&self, caller: &Caller, limit: usize, ids: Vec<PlaylistId>) -> Result<Page<Playlist>> {
        let page = cut(ids, limit, |id| *id);
        let mut items = Vec::with_capacity(page.items.len());
        for id in page.items {
            if let Ok((record, _)) = self.playlist_for(caller, id) {
                items.push(self.shown_playlist(caller, id, record).await?);
            }
        }
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// A playlist that the caller may see, and whether it is written yet.
    pub(super) fn playlist_for(&self, caller: &Caller, id: PlaylistId) -> Result<(PlaylistRecord, bool)> {
        let found = match self.store.get(PLAYLISTS, &id.bytes())? {
            Some(record) => Some((record, true)),
            None => caller.user.filter(|user| watch_later_id(*user) == id).map(|user| (watch_later(user), false)),
        };
        let visible =
            |record: &PlaylistRecord| record.privacy != PlaylistPrivacy::Private || caller.user == Some(record.owner);
        found.filter(|(record, _)| visible(record)).ok_or(Error::NotFound("playlist"))
    }

    /// A playlist that the caller may change.
    pub(super) fn own_playlist(&self, caller: &Caller, id: PlaylistId) -> Result<(PlaylistRecord, bool)> {
        let user = caller.signed_in()?;
        let (record, written) = self.playlist_for(caller, id)?;
        if record.owner == user { Ok((record, written)) } else { Err(Error::NotOwner("playlist")) }
    }

    async fn shown_playlist(&self, caller: &Caller, id: PlaylistId, record: PlaylistRecord) -> Result<Playlist> {
        let owner = self.person(record.owner).await?.ok_or(Error::NotFound("playlist"))?;
        let description = self.store.text(PLAYLIST_TEXTS, &id.bytes())?.unwrap_or_default();
        let items = self.store.count(ITEM_COUNT, &id.bytes())?.try_into().unwrap_or(0);
        let poster = self.poster(caller, id.bytes())?;
        Ok(shown(id, record, description, owner, items, poster))
    }

    /// The poster of the first video that the caller may see.
    fn poster(&self, caller: &Caller, id: IdKey) -> Result<Option<String>> {
        for entry in self.store.scan(ITEMS, Scan::prefix(&id)).take(POSTER_ITEMS_MAX) {
            let video = self.store.get(VIDEOS, &entry?.1.video.bytes())?;
            let video = video.filter(|video| video.visible_to(caller.user, caller.role));
            if let Some(poster) = video.and_then(|video| video.thumbnail_url) {
                return Ok(Some(poster));
            }
        }
        Ok(None)
    }
}

/// The batch that removes a playlist, if it is still this one.
pub(super) fn playlist_deletion(id: PlaylistId, record: &PlaylistRecord, now: Timestamp) -> Batch {
    let batch = Batch::new()
        .at(now.ms())
        .assert_equal(PLAYLISTS, &id.bytes(), record)
        .delete(PLAYLISTS, &id.bytes())
        .delete_text(PLAYLIST_TEXTS, &id.bytes())
        .push(JOBS, Push::new(&Job::RemoveItems(id, record.owner)));
    match record.kind {
        PlaylistKind::WatchLater => batch,
        PlaylistKind::Playlist => batch.delete(PLAYLISTS_OF, &(record.owner.bytes(), Desc(id.bytes()))).add(
            PLAYLIST_COUNT,
            &record.owner.bytes(),
            -1,
        ),
    }
}

/// The record after a change.
pub(super) fn touched(record: &PlaylistRecord, now: Timestamp) -> PlaylistRecord {
    PlaylistRecord { updated_at: now, revision: record.revision + 1, ..record.clone() }
}

fn shown(
    id: PlaylistId,
    record: PlaylistRecord,
    description: String,
    owner: Person,
    items: u64,
    thumbnail_url: Option<String>,
) -> Playlist {
    Playlist {
        id,
        title: record.title,
        description,
        privacy: record.privacy,
        kind: record.kind,
        owner,
        items,
        thumbnail_url,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_later_has_an_id_of_its_own_that_never_changes() {
        let (one, two) = (UserId::generate(), UserId::generate());
        assert_eq!(watch_later_id(one), watch_later_id(one));
        assert_ne!(watch_later_id(one), watch_later_id(two));
        assert_ne!(watch_later_id(one).bytes(), one.bytes());
    }
}
