//! What people want to be told.

use proto::UserId;
use proto::api::notification::{NotificationKind, Preference, Preferences};
use store::{Batch, WriteError};

use super::Inboxes;
use crate::data::{GONE, PREFERENCES, PreferencesRecord, gone};
use crate::error::Error;

/// Every kind, in the order in which settings show them.
const KINDS: [NotificationKind; 11] = [
    NotificationKind::NewVideo,
    NotificationKind::Comment,
    NotificationKind::Reply,
    NotificationKind::Mention,
    NotificationKind::Like,
    NotificationKind::Subscriber,
    NotificationKind::ProcessingDone,
    NotificationKind::ProcessingFailed,
    NotificationKind::Moderation,
    NotificationKind::Report,
    NotificationKind::Registration,
];

impl Inboxes {
    /// One entry a kind.
    pub(crate) fn preferences(&self, user: UserId) -> Result<Preferences, Error> {
        let off = self.store.get(PREFERENCES, &user.bytes())?.unwrap_or_default().page_off;
        let kinds = KINDS.iter().map(|kind| Preference { kind: *kind, page: !off.contains(kind) });
        Ok(Preferences { kinds: kinds.collect() })
    }

    /// Replaces all preferences; a kind that is left out keeps its default.
    pub(crate) async fn set_preferences(&self, user: UserId, wanted: Preferences) -> Result<Preferences, Error> {
        let mut kinds: Vec<_> = wanted.kinds.iter().map(|preference| preference.kind).collect();
        kinds.sort_unstable();
        if kinds.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::KindTwice);
        }
        let off = wanted.kinds.iter().filter(|preference| !preference.page).map(|preference| preference.kind);
        let record = PreferencesRecord { page_off: off.collect() };
        let batch = if record.page_off.is_empty() {
            Batch::new().delete(PREFERENCES, &user.bytes())
        } else {
            Batch::new().put(PREFERENCES, &user.bytes(), &record)
        };
        match self.store.write(batch.assert_absent(GONE, &gone(user.bytes()))).await {
            Ok(_) => {}
            Err(WriteError::Assertion { .. }) => return Err(Error::AccountGone),
            Err(error) => return Err(error.into()),
        }
        self.preferences(user)
    }
}
