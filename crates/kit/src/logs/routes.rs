//! The owner's side of a log.

use std::time::Duration;

use proto::{Problem, Timestamp, codes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Log, LogReader, Store, WriteError};
use warp::Filter;

use super::{LogEvent, LogPage};
use crate::context::Context;
use crate::http::{Routes, filter, reply};
use crate::limits::{LOG_PAGE_EVENTS, LOG_WAIT_MAX};
use crate::{problem, shutdown::Shutdown};

#[derive(Debug, Deserialize)]
struct Query {
    consumer: String,
    after: u64,
    epoch: Option<u64>,
    #[serde(default)]
    wait: u64,
}

/// `GET /internal/logs/{log}` of this log.
pub fn routes<E>(context: &Context, store: &Store, log: Log<E>) -> Routes
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
        Err(WriteError::UnknownConsumer { log }) => {
            Err(Problem::field("consumer", format!("{log} has no consumer {}.", query.consumer)))
        }
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
