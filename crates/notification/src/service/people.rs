//! Who the people in notifications are: the projection, and on a miss the gateway.

use std::sync::Arc;

use kit::peer::Peer;
use moka::sync::Cache;
use proto::UserId;
use proto::api::Person;
use proto::events::UserProfile;
use store::Store;

use crate::data::PEOPLE;
use crate::error::Error;
use crate::limits::{PERSON_CACHE_ENTRIES, PERSON_CACHE_TTL, PERSON_TIMEOUT};

/// Knows people. Cheap to clone.
#[derive(Clone)]
pub(crate) struct People {
    store: Store,
    gateway: Peer,
    missed: Arc<Cache<UserId, Option<Person>>>,
}

impl People {
    pub(crate) fn new(store: Store, gateway: Peer) -> Self {
        let missed = Cache::builder().max_capacity(PERSON_CACHE_ENTRIES).time_to_live(PERSON_CACHE_TTL).build();
        Self { store, gateway, missed: Arc::new(missed) }
    }

    /// How to show an account; `None` when it is gone, or nobody can say at the moment.
    pub(crate) async fn person(&self, id: UserId) -> Result<Option<Person>, Error> {
        if let Some(record) = self.store.get(PEOPLE, &id.bytes())? {
            return Ok(record.profile.map(|profile| profile.person()));
        }
        if let Some(person) = self.missed.get(&id) {
            return Ok(person);
        }
        let path = format!("/internal/users/{id}");
        let asked = tokio::time::timeout(PERSON_TIMEOUT, self.gateway.find::<UserProfile>(&path)).await;
        let person = match asked {
            Ok(Ok(profile)) => profile.map(|profile| profile.person()),
            Ok(Err(_)) | Err(_) => {
                tracing::debug!(%id, "the gateway cannot say who somebody is");
                None
            }
        };
        self.missed.insert(id, person.clone());
        Ok(person)
    }
}
