//! Subscriptions, and what a person has to do with a channel and a video.

use kit::caller::Caller;
use kit::paging::PageQuery;
use proto::api::Page;
use proto::api::channel::{Subscribed, Subscription};
use proto::events::ChannelEvent;
use proto::internal::Relations;
use proto::{ChannelId, PlaylistId, Timestamp, UserId, VideoId};
use store::{Batch, Desc, Push, Scan, WriteError};

use super::{ATTEMPTS, Service, cut};
use crate::data::{
    CHANNELS, ChannelRecord, GONE, IdKey, JOBS, Job, LOG, PLAYLISTS, SAVED, SUBSCRIBER_COUNT, SUBSCRIBERS,
    SUBSCRIPTION_COUNT, SUBSCRIPTIONS, SUBSCRIPTIONS_BY_TIME, SubscriptionRecord, while_there,
};
use crate::error::{Error, Result};

/// Items of a person that are looked through for one video.
const SAVED_MAX: usize = 500;

impl Service {
    /// Subscribes, or changes what one is notified of. Again changes nothing.
    pub(crate) async fn subscribe(
        &self,
        caller: &Caller,
        handle: &str,
        body: Subscription,
        now: Timestamp,
    ) -> Result<Subscription> {
        let user = caller.signed_in()?;
        for _ in 0..ATTEMPTS {
            let (id, channel) = self.channel_by_handle(handle)?;
            let current = self.store.get(SUBSCRIPTIONS, &(user.bytes(), id.bytes()))?;
            let new = current.is_none();
            let batch = match current {
                Some(current) if current.notify == body.notify => return Ok(body),
                Some(current) => renotified(user, id, &current, &body),
                None => self.subscribed(user, id, &body, now),
            };
            let event = ChannelEvent::Subscribed {
                user,
                channel: id,
                owner: channel.owner,
                handle: channel.handle,
                notify: body.notify,
                new,
                at: now,
            };
            match self.store.write(batch.at(now.ms()).append(LOG, &event)).await {
                Ok(_) => return Ok(body),
                Err(WriteError::Assertion { table, .. }) if table == GONE.name() => {
                    return Err(Error::NotFound("account"));
                }
                Err(WriteError::Assertion { .. }) => {}
                Err(WriteError::Bounds { .. }) => {
                    return Err(Error::TooMany { what: "subscriptions", limit: self.limits.subscriptions });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    fn subscribed(&self, user: UserId, channel: ChannelId, body: &Subscription, now: Timestamp) -> Batch {
        let (by_user, by_channel) = ((user.bytes(), channel.bytes()), (channel.bytes(), user.bytes()));
        while_there(Batch::new(), user)
            .assert_present(CHANNELS, &channel.bytes())
            .assert_absent(SUBSCRIPTIONS, &by_user)
            .put(SUBSCRIPTIONS, &by_user, &SubscriptionRecord { notify: body.notify, created_at: now })
            .put(SUBSCRIPTIONS_BY_TIME, &(user.bytes(), Desc(now.ms()), channel.bytes()), &())
            .put(SUBSCRIBERS, &by_channel, &())
            .add(SUBSCRIBER_COUNT, &channel.bytes(), 1)
            .add_bounded(SUBSCRIPTION_COUNT, &user.bytes(), 1, 0..=self.limits.subscriptions)
            .push(self.intake(), Push::new(&Job::Announce(channel)))
    }

    /// Ends a subscription. Without one, changes nothing.
    pub(crate) async fn unsubscribe(&self, caller: &Caller, handle: &str, now: Timestamp) -> Result<()> {
        let user = caller.signed_in()?;
        for _ in 0..ATTEMPTS {
            let (id, _) = self.channel_by_handle(handle)?;
            let Some(batch) = self.unsubscription(user, id, now)? else { return Ok(()) };
            match self.store.write(batch.push(JOBS, Push::new(&Job::Announce(id)))).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Assertion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict)
    }

    /// The batch that ends a subscription, if there is one.
    pub(super) fn unsubscription(&self, user: UserId, channel: ChannelId, now: Timestamp) -> Result<Option<Batch>> {
        let by_user = (user.bytes(), channel.bytes());
        let Some(record) = self.store.get(SUBSCRIPTIONS, &by_user)? else { return Ok(None) };
        let by_time = (user.bytes(), Desc(record.created_at.ms()), channel.bytes());
        let batch = Batch::new()
            .at(now.ms())
            .assert_equal(SUBSCRIPTIONS, &by_user, &record)
            .delete(SUBSCRIPTIONS, &by_user)
            .delete(SUBSCRIPTIONS_BY_TIME, &by_time)
            .delete(SUBSCRIBERS, &(channel.bytes(), user.bytes()))
            .add(SUBSCRIBER_COUNT, &channel.bytes(), -1)
            .add(SUBSCRIPTION_COUNT, &user.bytes(), -1)
            .append(LOG, &ChannelEvent::Unsubscribed { user, channel });
        Ok(Some(batch))
    }

    /// The caller's subscriptions, newest first.
    pub(crate) async fn subscriptions(&self, caller: &Caller, query: &PageQuery) -> Result<Page<Subscribed>> {
        let user = caller.signed_in()?;
        let limit = query.limit()?;
        let mut scan = Scan::prefix(&user.bytes());
        if let Some((time_ms, channel)) = query.position::<(i64, ChannelId)>()? {
            scan = scan.after(&(user.bytes(), Desc(time_ms), channel.bytes()));
        }
        let keys = self.store.scan_keys(SUBSCRIPTIONS_BY_TIME, scan).take(limit + 1);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let page = cut(keys, limit, |(_, Desc(time_ms), channel)| (*time_ms, ChannelId::from_bytes(*channel)));
        let mut items = Vec::with_capacity(page.items.len());
        for (_, _, channel) in page.items {
            // A channel that is gone may still be in the list for a moment.
            let record = self.store.get(SUBSCRIPTIONS, &(user.bytes(), channel))?;
            let (Some(record), Some(of)) = (record, self.store.get(CHANNELS, &channel)?) else { continue };
            items.push(self.subscribed_item(channel, of, record)?);
        }
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    fn subscribed_item(&self, id: IdKey, channel: ChannelRecord, record: SubscriptionRecord) -> Result<Subscribed> {
        let channel = self.profile_of(ChannelId::from_bytes(id), channel)?.card();
        Ok(Subscribed { channel, notify: record.notify, created_at: record.created_at })
    }

    /// What a person has to do with a channel and a video.
    pub(crate) fn relations(&self, user: UserId, channel: ChannelId, video: VideoId) -> Result<Relations> {
        let subscribed = self.store.contains(SUBSCRIPTIONS, &(user.bytes(), channel.bytes()))?;
        let mut playlists: Vec<PlaylistId> = Vec::new();
        for entry in self.store.scan(SAVED, Scan::prefix(&(user.bytes(), video.bytes()))).take(SAVED_MAX) {
            let (_, playlist) = entry?;
            // The items of a playlist that is gone may be there for a moment longer.
            if !playlists.contains(&playlist) && self.store.contains(PLAYLISTS, &playlist.bytes())? {
                playlists.push(playlist);
            }
        }
        Ok(Relations { subscribed, playlists })
    }
}

fn renotified(user: UserId, channel: ChannelId, current: &SubscriptionRecord, body: &Subscription) -> Batch {
    let by_user = (user.bytes(), channel.bytes());
    Batch::new().assert_equal(SUBSCRIPTIONS, &by_user, current).put(
        SUBSCRIPTIONS,
        &by_user,
        &SubscriptionRecord { notify: body.notify, created_at: current.created_at },
    )
}
