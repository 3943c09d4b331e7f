//! What is left to do of a deletion, as a service says it: `GET /internal/removals/{userId}`.

mod routes;

pub use routes::routes;

use proto::UserId;
use proto::internal::{LogMark, Removals, StuckRemoval};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{JobState, Log, Queue, ReadError, Scan, Store};

use crate::logs::DEAD_EVENTS;

/// Jobs that are looked at. With more of them than this something is always still to be done.
const JOBS_LOOKED_AT_MAX: usize = 100_000;

/// Dead letters that are named.
const STUCK_NAMED_MAX: usize = 100;

/// How a job has to do with a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Not at all.
    None,
    /// It removes something, whoever it was of: what follows from a deletion is not labelled with its person.
    Removal,
    /// It names the account.
    Account,
}

/// Gathers what a service has to say. Blocking: reads whole queues.
#[derive(Debug)]
pub struct Look<'a> {
    store: &'a Store,
    user: UserId,
    found: Removals,
}

impl<'a> Look<'a> {
    /// Begins with the events about the account that could not be dealt with.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(store: &'a Store, user: UserId) -> Result<Self, ReadError> {
        let mut found = Removals::default();
        let text = user.to_string();
        for entry in store.scan(DEAD_EVENTS, Scan::all()) {
            let ((consumer, sequence), dead) = entry?;
            if dead.event.contains(&text) && found.stuck.len() < STUCK_NAMED_MAX {
                found.stuck.push(StuckRemoval { what: format!("event {consumer} {sequence}"), reason: dead.reason });
            }
        }
        Ok(Self { store, user, found })
    }

    /// Looks through a queue. Ask for queues before logs: then what a job has told is in the log's head.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn queue<J: Serialize + DeserializeOwned>(
        mut self,
        queue: Queue<J>,
        concern: impl Fn(&J) -> Concern,
    ) -> Result<Self, ReadError> {
        let views = self.store.queue(queue).list(JOBS_LOOKED_AT_MAX)?;
        self.found.open += u64::from(views.len() == JOBS_LOOKED_AT_MAX);
        for view in views {
            let concern = view.job.as_ref().map_or(Concern::None, &concern);
            match (view.state, concern) {
                (_, Concern::None) => {}
                // Whose it is cannot be told of all removals: somebody has to look at it in any case.
                (JobState::Dead, _) if self.found.stuck.len() < STUCK_NAMED_MAX => {
                    let reason = view.reason.unwrap_or_default();
                    self.found.stuck.push(StuckRemoval { what: format!("{} {}", queue.name(), view.id), reason });
                }
                (JobState::Dead, _) => {}
                _ => self.found.open += 1,
            }
        }
        Ok(self)
    }

    /// Notes how far a log and its readers are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn log<E>(mut self, log: Log<E>) -> Result<Self, ReadError> {
        let reader = self.store.log(log);
        let head = reader.head();
        let read = reader.cursors()?.into_iter().map(|(_, at)| at).min().unwrap_or(head);
        self.found.logs.push(LogMark { log: log.name().to_owned(), head, read });
        Ok(self)
    }

    /// Whose deletion it is about.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// All of it.
    pub fn finish(self) -> Removals {
        self.found
    }
}

/// Tries the dead letters of a queue again that have to do with the deletion; says how many those are.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn revive<J: Serialize + DeserializeOwned>(
    store: &Store,
    queue: Queue<J>,
    concern: impl Fn(&J) -> Concern,
    now_ms: i64,
) -> Result<u64, store::WriteError> {
    let handle = store.queue(queue);
    let dead = handle.dead(JOBS_LOOKED_AT_MAX).map_err(|error| store::WriteError::Read(error.to_string()))?;
    let mut revived = 0;
    for view in dead {
        if view.job.as_ref().is_some_and(|job| concern(job) != Concern::None) {
            handle.revive(view.id, now_ms).await?;
            revived += 1;
        }
    }
    Ok(revived)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use store::{Batch, Options, Push};

    use super::*;

    const JOBS: Queue<(String, UserId)> = Queue::new("jobs");
    const LOG: Log<u32> = Log::new("events", &["one", "two"]);

    fn concern(user: UserId) -> impl Fn(&(String, UserId)) -> Concern {
        move |(what, of)| match what.as_str() {
            "remove" if *of == user => Concern::Account,
            "remove" => Concern::Removal,
            _ => Concern::None,
        }
    }

    #[tokio::test]
    async fn what_is_open_stuck_and_unread_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let (user, other) = (UserId::generate(), UserId::generate());
        let job = |what: &str, of| (what.to_owned(), of);
        let batch = [job("count", user), job("remove", other), job("remove", user), job("remove", user)]
            .iter()
            .fold(Batch::new(), |batch, job| batch.push(JOBS, Push::new(job)));
        store.write(batch.append(LOG, &1).append(LOG, &2)).await.unwrap();
        let queue = store.queue(JOBS);
        let leased = queue.lease(None, 4, 60_000, 0).await.unwrap();
        store.write(Batch::new().bury(&leased[0], "no matter").bury(&leased[2], "no such file")).await.unwrap();
        store.log(LOG).acknowledge("one", 2).await.unwrap();
        store.log(LOG).acknowledge("two", 1).await.unwrap();

        let look = || Look::new(&store, user).unwrap().queue(JOBS, concern(user)).unwrap().log(LOG).unwrap().finish();
        let found = look();
        assert_eq!(found.open, 2);
        assert_eq!(found.stuck.len(), 1);
        assert_eq!(found.stuck[0].reason, "no such file");
        assert_eq!((found.logs[0].head, found.logs[0].read), (2, 1));

        assert_eq!(revive(&store, JOBS, concern(user), 0).await.unwrap(), 1);
        let found = look();
        assert_eq!((found.open, found.stuck.len()), (3, 0));
    }
}
