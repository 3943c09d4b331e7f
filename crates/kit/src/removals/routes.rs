//! The routes: path, method, extract, one call.

use proto::internal::Removals;
use proto::{Problem, UserId, codes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Queue, ReadError, Store};
use warp::Filter;

use super::{Concern, Look, revive};
use crate::http::{Routes, filter, reply};
use crate::{clock, problem};

/// How a job of a service has to do with the deletion of an account.
type ConcernOf<J> = fn(&Store, &J, UserId) -> Concern;

/// Looks at a service's logs as well, in [`Look::log`].
type LookAtLogs = for<'a> fn(Look<'a>) -> Result<Look<'a>, ReadError>;

/// `GET /internal/removals/{userId}`, and `POST …/retry`, which tries the dead letters once more, of a service whose
/// removals are jobs of one queue.
pub fn routes<J>(store: &Store, queue: Queue<J>, concern: ConcernOf<J>, logs: LookAtLogs) -> Routes
where
    J: Serialize + DeserializeOwned + Send + 'static,
{
    let look = warp::path!("internal" / "removals" / UserId).and(warp::get()).and(filter::with(store.clone())).then(
        move |user: UserId, store: Store| async move { reply::answer(look(store, user, queue, concern, logs).await) },
    );
    let retry = warp::path!("internal" / "removals" / UserId / "retry")
        .and(warp::post())
        .and(filter::with(store.clone()))
        .then(move |user: UserId, store: Store| async move {
            let concern = |job: &J| concern(&store, job, user);
            let revived = revive(&store, queue, concern, clock::now().ms()).await;
            reply::no_content(revived.map(drop).map_err(|error| problem::of_write(&error)))
        });
    look.or(retry).unify().boxed()
}

/// Away from the threads that answer: whole queues are read.
async fn look<J>(
    store: Store,
    user: UserId,
    queue: Queue<J>,
    concern: ConcernOf<J>,
    logs: LookAtLogs,
) -> Result<Removals, Problem>
where
    J: Serialize + DeserializeOwned + 'static,
{
    let look = move || {
        let queued = Look::new(&store, user)?.queue(queue, |job| concern(&store, job, user))?;
        Ok::<_, ReadError>(logs(queued)?.finish())
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(looked) => looked.map_err(|error| problem::of_read(&error)),
        Err(_) => Err(Problem::new(codes::SERVICE_UNAVAILABLE, "This service is about to end.")),
    }
}
