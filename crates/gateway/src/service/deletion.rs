//! Accounts that end. The account is gone in one batch; what hung on it goes afterwards, in every service, and a row
//! says until then who has still to confirm.

use std::collections::HashMap;

use proto::api::account::{DeleteMe, Deletion, StuckDeletion};
use proto::events::GatewayEvent;
use proto::internal::Removals;
use proto::{Timestamp, UserId};
use store::{Batch, Scan, WriteError};

use super::sessions::Device;
use super::{Service, fields};
use crate::data::{
    ADMINS, DELETIONS, DeletionRecord, EVENTS, RETIRED_NAMES, USERS, USERS_BY_EMAIL, USERS_BY_NAME, UserRecord,
    retired_name,
};
use crate::error::GatewayError;

/// How often it is tried again when somebody else changes the account at the same moment.
const ATTEMPTS: usize = 4;

/// The longest chain of what follows, from service to service: the channel goes, with it its videos, with them what
/// people wrote about them. Each link is an event that somebody has to have read.
const LINKS: usize = 3;

/// What the services said, by name; one that is away is left out.
pub(crate) type Answers = HashMap<&'static str, Removals>;

/// How far a deletion is on the way through what follows from it. In memory: after a restart it begins anew.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// Links that are behind us.
    links: usize,
    /// Where each log was when nothing was open any more: its readers have to come as far.
    marks: HashMap<(&'static str, String), u64>,
}

impl Trail {
    /// Takes in what the services say; true when nothing can follow any more.
    fn follow(&mut self, answers: &Answers) -> bool {
        if answers.values().any(|said| said.open > 0 || !said.stuck.is_empty()) {
            self.marks.clear();
            return false;
        }
        let logs = || answers.iter().flat_map(|(name, said)| said.logs.iter().map(move |log| (*name, log)));
        let marked = !self.marks.is_empty();
        let passed = |name, log: &proto::internal::LogMark| {
            self.marks.get(&(name, log.log.clone())).is_some_and(|mark| log.read >= *mark)
        };
        if marked && logs().all(|(name, log)| passed(name, log)) {
            self.links += 1;
            self.marks.clear();
        }
        if self.marks.is_empty() {
            self.marks = logs().map(|(name, log)| ((name, log.log.clone()), log.head)).collect();
        }
        self.links >= LINKS
    }
}

impl Service {
    /// Ends one's own account, if the password is right.
    pub(crate) async fn delete_me(
        &self,
        id: UserId,
        body: &DeleteMe,
        device: &Device,
        now: Timestamp,
    ) -> Result<(), GatewayError> {
        let user = self.accounts.get(id)?.ok_or(GatewayError::NotFound)?;
        self.throttle.login(device.address, &user.username)?;
        if !self.is_password_of(&user, &body.password.0).await? {
            return Err(GatewayError::field("password", "This is not the password."));
        }
        self.delete_user(id, now).await
    }

    /// Ends an account: at once nobody can sign in as it, and all of its sessions have ended.
    ///
    /// # Errors
    /// `LastAdmin` for the last one.
    pub(crate) async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), GatewayError> {
        for _ in 0..ATTEMPTS {
            let user = self.accounts.get(id)?.ok_or(GatewayError::NotFound)?;
            match self.sessions.end_all(id, None, ending(&user, now)).await {
                Ok(()) => {
                    tracing::info!(user = %id, "an account was deleted; what hangs on it follows");
                    self.deletions.notify_one();
                    return Ok(());
                }
                Err(GatewayError::Write(WriteError::Assertion { table, .. })) if table == USERS.name() => {}
                Err(GatewayError::Write(WriteError::Bounds { .. })) => return Err(GatewayError::LastAdmin),
                Err(error) => return Err(error),
            }
        }
        Err(GatewayError::Conflict)
    }

    /// Deletions that are still on their way.
    pub(crate) fn deletions(&self) -> Result<Vec<(UserId, DeletionRecord)>, GatewayError> {
        let entries = self.store.scan(DELETIONS, Scan::all());
        Ok(entries.map(|entry| entry.map(|(id, row)| (UserId::from_bytes(id), row))).collect::<Result<_, _>>()?)
    }

    /// Takes a deletion as far as the services' answers allow; true when it is done.
    pub(crate) async fn advance(
        &self,
        id: UserId,
        row: &DeletionRecord,
        answers: &Answers,
        trail: &mut Trail,
    ) -> Result<bool, GatewayError> {
        let log = self.store.log(EVENTS);
        // The batch could not know its own place; the head is never before it.
        let sequence = row.sequence.unwrap_or_else(|| log.head());
        let cursors: HashMap<String, u64> = log.cursors()?.into_iter().collect();
        let confirmed = |name: &String| {
            let read = cursors.get(name).copied().unwrap_or(0) >= sequence;
            read && answers.get(name.as_str()).is_some_and(|said| said.open == 0 && said.stuck.is_empty())
        };
        let waiting_for: Vec<String> = row.waiting_for.iter().filter(|name| !confirmed(name)).cloned().collect();
        let next = DeletionRecord { sequence: Some(sequence), waiting_for, ..row.clone() };
        if next != *row {
            let key = id.bytes();
            self.store
                .write(Batch::new().essential().assert_equal(DELETIONS, &key, row).put(DELETIONS, &key, &next))
                .await?;
        }
        let everybody = crate::data::FOLLOWERS.iter().all(|name| answers.contains_key(name));
        if !next.waiting_for.is_empty() || !everybody || !trail.follow(answers) {
            return Ok(false);
        }
        // Also of what somebody began at the very moment of the end.
        self.sessions.end_all(id, None, Batch::new().essential().delete(DELETIONS, &id.bytes())).await?;
        tracing::info!(user = %id, "a deletion has reached everything");
        Ok(true)
    }
}

/// A deletion as the admin sees it.
pub(crate) fn shown(id: UserId, row: DeletionRecord, answers: &Answers) -> Deletion {
    let stuck = answers.iter().flat_map(|(service, said)| {
        said.stuck.iter().map(move |stuck| StuckDeletion {
            service: (*service).to_owned(),
            what: stuck.what.clone(),
            reason: stuck.reason.clone(),
        })
    });
    let mut stuck: Vec<StuckDeletion> = stuck.collect();
    stuck.sort_by(|one, other| (&one.service, &one.what).cmp(&(&other.service, &other.what)));
    let DeletionRecord { username, deleted_at, waiting_for, .. } = row;
    Deletion { id, username, deleted_at, waiting_for, stuck }
}

/// The batch that ends an account as it is now. Its e-mail address is free again. Its username is not: what others
/// wrote to `@name`, links and mails would from then on mean a stranger.
fn ending(user: &UserRecord, now: Timestamp) -> Batch {
    let key = user.id.bytes();
    let row = DeletionRecord {
        username: user.username.clone(),
        deleted_at: now,
        sequence: None,
        waiting_for: crate::data::FOLLOWERS.iter().map(|name| (*name).to_owned()).collect(),
    };
    let batch = Batch::new()
        .essential()
        .at(now.ms())
        .assert_equal(USERS, &key, user)
        .delete(USERS, &key)
        .delete(USERS_BY_NAME, &user.username)
        .delete(USERS_BY_EMAIL, &fields::email_key(&user.email))
        .put(RETIRED_NAMES, &retired_name(&user.username), &())
        .put(DELETIONS, &key, &row)
        .append(EVENTS, &GatewayEvent::UserDeleted { id: user.id });
    if user.is_active_admin() { batch.add_bounded(ADMINS, &(), -1, 1..=i64::MAX) } else { batch }
}

#[cfg(test)]
mod tests {
    use proto::internal::LogMark;

    use super::*;

    fn said(open: u64, head: u64, read: u64) -> Answers {
        let logs = vec![LogMark { log: "events".to_owned(), head, read }];
        HashMap::from([("channel", Removals { open, stuck: Vec::new(), logs })])
    }

    #[test]
    fn every_link_of_the_chain_is_waited_for() {
        let mut trail = Trail::default();
        // Nothing is open, but what was told last has not been read.
        assert!(!trail.follow(&said(0, 5, 3)));
        assert!(!trail.follow(&said(0, 9, 4)));
        // It was; new marks are those of this moment.
        assert!(!trail.follow(&said(0, 9, 5)));
        // Something is open again: the marks are taken anew when it is done.
        assert!(!trail.follow(&said(1, 12, 9)));
        assert!(!trail.follow(&said(0, 12, 9)));
        assert!(!trail.follow(&said(0, 12, 12)));
        assert!(trail.follow(&said(0, 20, 12)));
    }
}
