//! Forgetting: a person who is gone, and what people did with videos and channels that are.

use std::collections::HashSet;

use proto::UserId;
use store::{Batch, Key, ReadError, Scan, Store, Table, WriteError};

use super::Recommender;
use super::data::{CHANNEL_OPINIONS, Person, SIGNALS, SUBSCRIPTIONS, VIDEO_OPINIONS};

/// Records removed in one batch.
const REMOVED_AT_ONCE: usize = 1_000;

/// A person or guest, and what they have to do with it.
type PairKey = ([u8; 16], [u8; 16]);

impl Recommender {
    /// Forgets somebody. Done again from its beginning after a crash.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub(crate) async fn forget_person(&self, user: UserId) -> Result<(), WriteError> {
        let person = Person::from(user);
        let keys = self.keys(SIGNALS, move |(of, _)| *of == person.0, Scan::prefix(&person.0)).await?;
        self.remove(SIGNALS, &keys).await?;
        let keys = self.keys(SUBSCRIPTIONS, |_| true, Scan::prefix(&person.0)).await?;
        self.remove(SUBSCRIPTIONS, &keys).await?;
        let keys = self.keys(VIDEO_OPINIONS, |_| true, Scan::prefix(&person.0)).await?;
        self.remove(VIDEO_OPINIONS, &keys).await?;
        let keys = self.keys(CHANNEL_OPINIONS, |_| true, Scan::prefix(&person.0)).await?;
        self.remove(CHANNEL_OPINIONS, &keys).await?;
        self.write().forget(person);
        Ok(())
    }

    /// Forgets what anybody did with these videos, and said of these channels: one walk for all of them, since
    /// records are found by their person only.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub(crate) async fn forget_about(&self, gone: &HashSet<[u8; 16]>) -> Result<(), WriteError> {
        let about = |gone: HashSet<[u8; 16]>| move |(_, what): &PairKey| gone.contains(what);
        let keys = self.keys(SIGNALS, about(gone.clone()), Scan::all()).await?;
        self.remove(SIGNALS, &keys).await?;
        let keys = self.keys(VIDEO_OPINIONS, about(gone.clone()), Scan::all()).await?;
        self.remove(VIDEO_OPINIONS, &keys).await?;
        let keys = self.keys(CHANNEL_OPINIONS, about(gone.clone()), Scan::all()).await?;
        self.remove(CHANNEL_OPINIONS, &keys).await
    }

    async fn keys<V: 'static>(
        &self,
        table: Table<PairKey, V>,
        wanted: impl Fn(&PairKey) -> bool + Send + 'static,
        scan: Scan,
    ) -> Result<Vec<PairKey>, WriteError> {
        let store = self.store.clone();
        let walk = move || matching(&store, table, wanted, scan);
        let walked = tokio::task::spawn_blocking(walk).await.map_err(|error| WriteError::Read(error.to_string()))?;
        Ok(walked?)
    }

    async fn remove<V>(&self, table: Table<PairKey, V>, keys: &[PairKey]) -> Result<(), WriteError> {
        for keys in keys.chunks(REMOVED_AT_ONCE) {
            let batch = keys.iter().fold(Batch::new(), |batch, key| batch.delete(table, key));
            self.store.write(batch).await?;
        }
        Ok(())
    }
}

fn matching<K: Key, V>(
    store: &Store,
    table: Table<K, V>,
    wanted: impl Fn(&K) -> bool,
    scan: Scan,
) -> Result<Vec<K>, ReadError> {
    store.scan_keys(table, scan).filter(|key| key.as_ref().map_or(true, &wanted)).collect()
}
