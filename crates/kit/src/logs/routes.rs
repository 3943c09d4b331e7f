//! The owner's side of a log.

use std::time::Duration;

use proto::{Problem, Timestamp, codes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Log, LogReader, Store, WriteError};
use warp::Filter;

use super::rows::{Place, Rows};
use super::{LogEvent, LogPage, SnapshotPage};
use crate::context::Context;
use crate::http::{Routes, filter, reply};
use crate::limits::{LOG_PAGE_EVENTS, LOG_WAIT_MAX, SNAPSHOT_PAGE_EVENTS, SNAPSHOT_PAGE_ROWS};
use crate::{paging, problem, shutdown::Shutdown};

#[derive(Debug, Deserialize)]
struct Query {
    consumer: String,
    after: u64,
    epoch: Option<u64>,
    #[serde(default)]
    wait: u64,
}

#[derive(Debug, Deserialize)]
struct SnapshotQuery {
    consumer: String,
    after: Option<String>,
}

/// `GET /internal/logs/{log}` of a log that tells what happens only: its snapshot is empty, and a new reader begins
/// at its end.
pub fn routes<E>(context: &Context, store: &Store, log: Log<E>) -> Routes
where
    E: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    routes_with_snapshot(context, store, log, Rows::new())
}

/// `GET /internal/logs/{log}` of this log, and `GET /internal/logs/{log}/snapshot`: the present state as events, which
/// are made of these rows. An event of a snapshot is of the kind that may be applied any number of times.
pub fn routes_with_snapshot<E>(context: &Context, store: &Store, log: Log<E>, snapshot: Rows<E>) -> Routes
where
    E: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    events(context, store, log).or(snapshots(store, log, snapshot)).unify().boxed()
}

fn snapshots<E>(store: &Store, log: Log<E>, snapshot: Rows<E>) -> Routes
where
    E: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    warp::path!("internal" / "logs" / ..)
        .and(warp::path(log.name()))
        .and(warp::path("snapshot"))
        .and(warp::path::end())
        .and(warp::get())
        .and(filter::query::<SnapshotQuery>())
        .and(filter::with((store.log(log), store.clone(), snapshot)))
        .then(async |query: Result<SnapshotQuery, Problem>, (reader, store, rows): (LogReader<E>, Store, Rows<E>)| {
            reply::answer(match query {
                Ok(query) => snapshot_page(query, reader, store, rows).await,
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}

/// Some of the present state. The log's end is read first: what is written while the rows are read comes after it.
async fn snapshot_page<E>(
    query: SnapshotQuery,
    reader: LogReader<E>,
    store: Store,
    rows: Rows<E>,
) -> Result<SnapshotPage<E>, Problem>
where
    E: Send + 'static,
{
    let cursors = reader.cursors().map_err(|error| problem::of_read(&error))?;
    if !cursors.iter().any(|(name, _)| *name == query.consumer) {
        return Err(unknown_consumer("This log", &query.consumer));
    }
    let place: Option<Place> = query.after.as_deref().map(paging::decode_token).transpose()?;
    let (epoch, sequence) = (reader.epoch(), reader.head());
    let trimmed = reader.trimmed().map_err(|error| problem::of_read(&error))?;
    let read = move || rows.piece(&store, place.as_ref(), SNAPSHOT_PAGE_EVENTS, SNAPSHOT_PAGE_ROWS);
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(|_| Problem::new(codes::INTERNAL, "The snapshot cannot be read."))?;
    let (events, next) = read.map_err(|error| problem::of_read(&error))?;
    Ok(SnapshotPage { epoch, sequence, trimmed, events, next: next.as_ref().map(paging::encode_token) })
}

fn unknown_consumer(log: &str, consumer: &str) -> Problem {
    Problem::field("consumer", format!("{log} has no consumer {consumer}."))
}

fn events<E>(context: &Context, store: &Store, log: Log<E>) -> Routes
where
    E: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let reader = store.log(log);
    warp::path!("internal" / "logs" / ..)
        .and(warp::path(log.name()))
        .and(warp::path::end())
        .and(warp::get())
        .and(filter::query::<Query>())
        .and(filter::with((reader, context.shutdown.clone())))
        .then(async |query: Result<Query, Problem>, (reader, shutdown): (LogReader<E>, Shutdown)| {
            reply::answer(match query {
                Ok(query) => answer(query, reader, &shutdown).await,
                Err(problem) => Err(problem),
            })
        })
        .boxed()
}

async fn answer<E>(query: Query, reader: LogReader<E>, shutdown: &Shutdown) -> Result<LogPage<E>, Problem>
where
    E: DeserializeOwned + Send + 'static,
{
    let epoch = reader.epoch();
    let trimmed = reader.trimmed().map_err(|error| problem::of_read(&error))?;
    if query.epoch.is_some_and(|known| known != epoch) {
        return Ok(LogPage { epoch, head: reader.head(), trimmed, events: Vec::new() });
    }
    acknowledge(&reader, &query).await?;
    let wait = Duration::from_secs(query.wait).min(LOG_WAIT_MAX);
    tokio::select! {
        _ = reader.wait(query.after, wait) => {}
        () = shutdown.requested() => {}
    }
    let head = reader.head();
    let events = read(reader, query.after).await?;
    Ok(LogPage { epoch, head, trimmed, events })
}

async fn acknowledge<E>(reader: &LogReader<E>, query: &Query) -> Result<(), Problem> {
    match reader.acknowledge(&query.consumer, query.after).await {
        Ok(()) => Ok(()),
        // It is still readable; the next call acknowledges.
        Err(WriteError::Full) => Ok(()),
        Err(WriteError::UnknownConsumer { log }) => Err(unknown_consumer(log, &query.consumer)),
        Err(error) => Err(problem::of_write(&error)),
    }
}

async fn read<E>(reader: LogReader<E>, after: u64) -> Result<Vec<LogEvent<E>>, Problem>
where
    E: DeserializeOwned + Send + 'static,
{
    let read = tokio::task::spawn_blocking(move || reader.read(after, LOG_PAGE_EVENTS)).await;
    let events = read.map_err(|_| Problem::new(codes::INTERNAL, "The log cannot be read."))?;
    let events = events.map_err(|error| problem::of_read(&error))?;
    Ok(events
        .into_iter()
        .map(|(sequence, ms, event)| LogEvent { sequence, time: Timestamp::from_ms(ms), event })
        .collect())
}
