//! Channels: make, read, edit, delete.

use kit::caller::Caller;
use kit::idempotency::{Idempotency, REMEMBERED, remember, remembered};
use kit::paging::PageQuery;
use proto::api::Page;
use proto::api::channel::{Channel, ChannelAndMe, CreateChannel, Link, PatchChannel, Subscription};
use proto::events::{ChannelEvent, ChannelProfile};
use proto::{ChannelId, Timestamp, UserId};
use store::{Batch, Push, Scan, WriteError};

use super::text::{check_handle, check_url, line, text};
use super::{ATTEMPTS, Service, cut};
use crate::data::{
    ABOUTS, About, CHANNELS, ChannelRecord, FEED, GONE, HANDLES, IdKey, JOBS, Job, LOG, OWNED, OWNED_COUNT,
    RETIRED_HANDLES, SUBSCRIBER_COUNT, SUBSCRIPTIONS, VIDEOS_OF, retired_handle, while_there,
};
use crate::error::{Error, Result};

const NAME_MAX_CHARS: usize = 100;
const DESCRIPTION_MAX_CHARS: usize = 5_000;
const SUPPORT_MAX_CHARS: usize = 1_000;
const LINKS_MAX: usize = 10;
const LABEL_MAX_CHARS: usize = 60;

/// A channel with the version of what can be edited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChannelVersion {
    pub channel: Channel,
    pub version: u64,
}

impl Service {
    /// Makes a channel.
    pub(crate) async fn create_channel(
        &self,
        caller: &Caller,
        key: Option<String>,
        body: CreateChannel,
        now: Timestamp,
    ) -> Result<Channel> {
        let user = caller.signed_in()?;
        let request = Idempotency::of(user, key, "channel", &body);
        if let Some(answer) = remembered(&self.store, request.as_ref(), now)? {
            return Ok(answer);
        }
        check_handle(&body.handle)?;
        let about = About {
            description: text("description", &body.description, 0, DESCRIPTION_MAX_CHARS)?,
            support: text("support", &body.support, 0, SUPPORT_MAX_CHARS)?,
            links: checked_links(body.links)?,
        };
        let record = ChannelRecord {
            owner: user,
            handle: body.handle.clone(),
            name: line("name", &body.name, 1, NAME_MAX_CHARS)?,
            avatar_url: None,
            banner_url: None,
            created_at: now,
            version: 1,
        };
        let id = ChannelId::generate();
        let answer = self.shown(caller, id, record.clone(), about.clone()).await?;
        let batch = while_there(Batch::new(), user)
            .at(now.ms())
            .assert_absent(RETIRED_HANDLES, &retired_handle(&body.handle))
            .assert_absent(HANDLES, &body.handle)
            .put(HANDLES, &body.handle, &id)
            .put(CHANNELS, &id.bytes(), &record)
            .put_text(ABOUTS, &id.bytes(), &about_text(&about))
            .put(OWNED, &(user.bytes(), id.bytes()), &())
            .add_bounded(OWNED_COUNT, &user.bytes(), 1, 0..=self.limits.channels)
            .push(self.intake(), Push::new(&Job::Announce(id)));
        let batch = remember(&self.store, batch, request.as_ref(), &answer, now)?;
        match self.store.write(batch).await {
            Ok(_) => Ok(answer),
            Err(WriteError::Assertion { table, .. }) if table == REMEMBERED.name() => {
                remembered(&self.store, request.as_ref(), now)?.ok_or(Error::Conflict)
            }
            Err(WriteError::Assertion { table, .. }) if table == GONE.name() => Err(Error::NotFound("account")),
            // The same request at the same moment may have taken the handle.
            Err(WriteError::Assertion { .. }) => {
                remembered(&self.store, request.as_ref(), now)?.ok_or(Error::HandleTaken(body.handle))
            }
            Err(WriteError::Bounds { .. }) => Err(Error::TooMany { what: "channels", limit: self.limits.channels }),
            Err(error) => Err(error.into()),
        }
    }

    /// A channel by its handle.
    pub(crate) async fn channel(&self, caller: &Caller, handle: &str) -> Result<ChannelVersion> {
        let (id, record) = self.channel_by_handle(handle)?;
        let about = self.about(id)?;
        let version = record.version;
        Ok(ChannelVersion { channel: self.shown(caller, id, record, about).await?, version })
    }

    /// Edits one's channel. `accepts` says whether the caller has read this version.
    pub(crate) async fn patch_channel(
        &self,
        caller: &Caller,
        handle: &str,
        body: PatchChannel,
        accepts: impl Fn(u64) -> bool,
        now: Timestamp,
    ) -> Result<ChannelVersion> {
        let user = caller.signed_in()?;
        for _ in 0..ATTEMPTS {
            let (id, record) = self.channel_by_handle(handle)?;
            owned_by(user, &record)?;
            if !accepts(record.version) {
                return Err(Error::PreconditionFailed);
            }
            let (changed, about) = patched(record.clone(), self.about(id)?, &body)?;
            let batch = Batch::new()
                .at(now.ms())
                .assert_equal(CHANNELS, &id.bytes(), &record)
                .put(CHANNELS, &id.bytes(), &changed)
                .put_text(ABOUTS, &id.bytes(), &about_text(&about))
                .push(self.intake(), Push::new(&Job::Announce(id)));
            match self.store.write(batch).await {
                Ok(_) => {
                    let version = changed.version;
                    return Ok(ChannelVersion { channel: self.shown(caller, id, changed, about).await?, version });
                }
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// Deletes one's channel, if it has no videos. Its subscriptions are removed afterwards.
    pub(crate) async fn delete_channel(&self, caller: &Caller, handle: &str, now: Timestamp) -> Result<()> {
        let user = caller.signed_in()?;
        for _ in 0..ATTEMPTS {
            let (id, record) = self.channel_by_handle(handle)?;
            owned_by(user, &record)?;
            if self.store.scan_keys(VIDEOS_OF, Scan::prefix(&id.bytes())).next().transpose()?.is_some() {
                return Err(Error::ChannelNotEmpty);
            }
            match self.store.write(self.channel_deletion(id, &record, now)).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// The batch that removes a channel, if it is still this one.
    pub(super) fn channel_deletion(&self, id: ChannelId, record: &ChannelRecord, now: Timestamp) -> Batch {
        Batch::new()
            .essential()
            .at(now.ms())
            .assert_equal(CHANNELS, &id.bytes(), record)
            .delete(CHANNELS, &id.bytes())
            .delete(HANDLES, &record.handle)
            .delete_text(ABOUTS, &id.bytes())
            .delete(OWNED, &(record.owner.bytes(), id.bytes()))
            .add(OWNED_COUNT, &record.owner.bytes(), -1)
            .append(LOG, &ChannelEvent::ChannelDeleted { id })
            .push(JOBS, Push::new(&Job::RemoveSubscribers(id)))
    }

    /// The caller's channels, oldest first.
    pub(crate) async fn own_channels(&self, caller: &Caller, query: &PageQuery) -> Result<Page<Channel>> {
        let user = caller.signed_in()?;
        let limit = query.limit()?;
        let mut scan = Scan::prefix(&user.bytes());
        if let Some(after) = query.position::<ChannelId>()? {
            scan = scan.after(&(user.bytes(), after.bytes()));
        }
        let keys = self.store.scan_keys(OWNED, scan).take(limit + 1);
        let ids = keys.map(|key| key.map(|(_, id)| ChannelId::from_bytes(id))).collect::<Result<Vec<_>, _>>()?;
        let page = cut(ids, limit, |id| *id);
        let mut items = Vec::with_capacity(page.items.len());
        for id in page.items {
            if let Some(record) = self.store.get(CHANNELS, &id.bytes())? {
                items.push(self.shown(caller, id, record, self.about(id)?).await?);
            }
        }
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// A channel as the other services know it.
    pub(crate) fn profile(&self, id: ChannelId) -> Result<ChannelProfile> {
        let record = self.store.get(CHANNELS, &id.bytes())?.ok_or(Error::NotFound("channel"))?;
        self.profile_of(id, record)
    }

    /// The same by handle.
    pub(crate) fn profile_by_handle(&self, handle: &str) -> Result<ChannelProfile> {
        let (id, record) = self.channel_by_handle(handle)?;
        self.profile_of(id, record)
    }

    pub(crate) fn profile_of(&self, id: ChannelId, record: ChannelRecord) -> Result<ChannelProfile> {
        Ok(ChannelProfile {
            id,
            owner: record.owner,
            handle: record.handle,
            name: record.name,
            avatar_url: record.avatar_url,
            subscribers: self.subscribers(id)?,
        })
    }

    pub(super) fn channel_by_handle(&self, handle: &str) -> Result<(ChannelId, ChannelRecord)> {
        let id = self.store.get(HANDLES, &handle.to_owned())?.ok_or(Error::NotFound("channel"))?;
        let record = self.store.get(CHANNELS, &id.bytes())?.ok_or(Error::NotFound("channel"))?;
        Ok((id, record))
    }

    fn subscribers(&self, id: ChannelId) -> Result<u64> {
        Ok(self.store.count(SUBSCRIBER_COUNT, &id.bytes())?.try_into().unwrap_or(0))
    }

    fn about(&self, id: ChannelId) -> Result<About> {
        let text = self.store.text(ABOUTS, &id.bytes())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Published public videos of a channel.
    async fn public_videos(&self, id: IdKey) -> Result<u64> {
        self.blocking(move |store| {
            let mut count = 0;
            for entry in store.scan(FEED, Scan::prefix(&id)) {
                count += u64::from(!entry?.1.internal);
            }
            Ok(count)
        })
        .await
    }

    /// A channel as the caller sees it.
    async fn shown(&self, caller: &Caller, id: ChannelId, record: ChannelRecord, about: About) -> Result<Channel> {
        let owner = self.person(record.owner).await?.ok_or(Error::NotFound("channel"))?;
        let me = match caller.user {
            None => None,
            Some(user) => {
                let subscription = self.store.get(SUBSCRIPTIONS, &(user.bytes(), id.bytes()))?;
                let subscription = subscription.map(|it| Subscription { notify: it.notify });
                Some(ChannelAndMe { owner: user == record.owner, subscription })
            }
        };
        Ok(Channel {
            id,
            handle: record.handle,
            name: record.name,
            description: about.description,
            support: about.support,
            links: about.links,
            owner: owner.username,
            subscribers: self.subscribers(id)?,
            videos: self.public_videos(id.bytes()).await?,
            avatar_url: record.avatar_url,
            banner_url: record.banner_url,
            created_at: record.created_at,
            me,
        })
    }
}

fn owned_by(user: UserId, record: &ChannelRecord) -> Result<()> {
    if record.owner == user { Ok(()) } else { Err(Error::NotOwner("channel")) }
}

/// The texts of a channel as they are kept. Plain strings: this cannot fail.
fn about_text(about: &About) -> String {
    serde_json::to_string(about).unwrap_or_default()
}

fn patched(record: ChannelRecord, about: About, body: &PatchChannel) -> Result<(ChannelRecord, About)> {
    let name = body.name.as_ref().map(|name| line("name", name, 1, NAME_MAX_CHARS)).transpose()?;
    let description =
        body.description.as_ref().map(|it| text("description", it, 0, DESCRIPTION_MAX_CHARS)).transpose()?;
    let support = body.support.as_ref().map(|it| text("support", it, 0, SUPPORT_MAX_CHARS)).transpose()?;
    let links = body.links.clone().map(checked_links).transpose()?;
    let version = record.version + 1;
    let record = ChannelRecord { name: name.unwrap_or(record.name), version, ..record };
    let about = About {
        description: description.unwrap_or(about.description),
        support: support.unwrap_or(about.support),
        links: links.unwrap_or(about.links),
    };
    Ok((record, about))
}

fn checked_links(links: Vec<Link>) -> Result<Vec<Link>> {
    if links.len() > LINKS_MAX {
        return Err(Error::Invalid { field: "links", detail: format!("at most {LINKS_MAX} links") });
    }
    let check = |link: Link| {
        check_url("links", &link.url)?;
        Ok(Link { label: line("links", &link.label, 1, LABEL_MAX_CHARS)?, url: link.url })
    };
    links.into_iter().map(check).collect()
}
