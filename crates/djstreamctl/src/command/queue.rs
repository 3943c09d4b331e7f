//! `djstreamctl queue …`

use clap::{Subcommand, ValueEnum};
use proto::api::Page;
use proto::api::instance::QueueDepth;
use proto::api::queue::{QueuedJob, QueuedState};

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the work queues and what is in them.
    List,
    /// Show the jobs of a queue.
    Show {
        /// The queue, from `queue list`.
        #[arg(value_name = "SERVICE/QUEUE")]
        name: Name,
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Show the jobs of a queue that failed and are not tried any more, with the reason.
    Dead {
        /// The queue, from `queue list`.
        #[arg(value_name = "SERVICE/QUEUE")]
        name: Name,
    },
    /// Try such jobs again, behind those that wait.
    Retry(Letters),
    /// Remove such jobs for good, undone.
    Drop(Letters),
}

/// Some dead jobs of a queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Letters {
    /// The queue, from `queue list`.
    #[arg(value_name = "SERVICE/QUEUE")]
    name: Name,
    /// Their numbers, from `queue dead`.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<u64>,
    /// All that are dead now.
    #[arg(long)]
    all: bool,
}

/// What a job is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// For its time, or for a worker.
    Queued,
    /// For an earlier one.
    Blocked,
    /// Being worked on.
    Leased,
    /// Failed for good.
    Dead,
}

impl From<State> for QueuedState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Blocked => Self::Blocked,
            State::Leased => Self::Leased,
            State::Dead => Self::Dead,
        }
    }
}

/// `SERVICE/QUEUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    service: String,
    queue: String,
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |word: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
            !word.is_empty() && word.bytes().all(allowed)
        };
        match text.split_once('/') {
            Some((service, queue)) if is_word(service) && is_word(queue) => {
                Ok(Self { service: service.to_owned(), queue: queue.to_owned() })
            }
            _ => Err("a name such as interaction/interactions is expected".to_owned()),
        }
    }
}

impl Name {
    fn jobs(&self) -> String {
        format!("/api/admin/queues/{}/{}/jobs", self.service, self.queue)
    }
}

pub(crate) async fn run(command: Command, client: &Client, format: Format) -> Result<(), CallError> {
    match command {
        Command::List => list(format, &client.list("/api/admin/queues").await?),
        Command::Show { name, state, limit } => {
            show(format, &jobs(client, &name, state.map(QueuedState::from), limit).await?)
        }
        Command::Dead { name } => show(format, &jobs(client, &name, Some(QueuedState::Dead), u64::MAX).await?),
        Command::Retry(letters) => act(letters, Action::Retry, client, format).await,
        Command::Drop(letters) => act(letters, Action::Drop, client, format).await,
    }
}

fn list(format: Format, queues: &[QueueDepth]) -> Result<(), CallError> {
    output::list(format, queues, ["QUEUE", "READY", "DELAYED", "LEASED", "DEAD", "LIMIT"], |queue| {
        [
            queue.name.clone(),
            queue.ready.to_string(),
            queue.delayed.to_string(),
            queue.leased.to_string(),
            queue.dead.to_string(),
            queue.limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string()),
        ]
    })
}

/// Jobs of one page.
const PAGE: u64 = 100;

/// The first so many jobs: a queue may have a million.
async fn jobs(
    client: &Client,
    name: &Name,
    state: Option<QueuedState>,
    limit: u64,
) -> Result<Vec<QueuedJob>, CallError> {
    let state = state.map(|state| format!("&state={}", word(&state))).unwrap_or_default();
    let (mut jobs, mut token) = (Vec::<QueuedJob>::new(), None::<String>);
    loop {
        let some = (limit - jobs.len() as u64).min(PAGE);
        let more = token.map(|token| format!("&pageToken={token}")).unwrap_or_default();
        let page: Page<QueuedJob> = client.get(&format!("{}?limit={some}{state}{more}", name.jobs())).await?;
        jobs.extend(page.items);
        token = page.next_page_token;
        if token.is_none() || jobs.len() as u64 >= limit {
            return Ok(jobs);
        }
    }
}

fn show(format: Format, jobs: &[QueuedJob]) -> Result<(), CallError> {
    output::list(format, jobs, ["ID", "STATE", "LANE", "FAILED", "DUE", "REASON", "JOB"], |job| {
        [
            job.id.to_string(),
            word(&job.state),
            job.lane.to_string(),
            job.attempt.to_string(),
            job.due.map(|due| due.to_string()).unwrap_or_default(),
            job.reason.clone().unwrap_or_default(),
            job.job.clone().unwrap_or_else(|| "cannot be read".to_owned()),
        ]
    })
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Retry,
    Drop,
}

/// What was done to a job.
#[derive(Debug, serde::Serialize)]
struct Done {
    id: u64,
    done: &'static str,
}

/// Deals with one after the other, says of each that it is done, and ends with the first that cannot be.
async fn act(letters: Letters, action: Action, client: &Client, format: Format) -> Result<(), CallError> {
    let Letters { name, mut ids, all } = letters;
    if all {
        let dead = jobs(client, &name, Some(QueuedState::Dead), u64::MAX).await?;
        ids = dead.into_iter().map(|job| job.id).collect();
    }
    let mut done = Vec::new();
    let mut outcome = Ok(());
    for id in ids {
        let path = format!("{}/{id}", name.jobs());
        outcome = match action {
            Action::Retry => client.post::<()>(&format!("{path}/retry"), &()).await,
            Action::Drop => client.delete(&path).await,
        };
        if outcome.is_err() {
            break;
        }
        done.push(Done { id, done: if matches!(action, Action::Retry) { "retried" } else { "dropped" } });
    }
    output::list(format, &done, ["ID", "DONE"], |one| [one.id.to_string(), one.done.to_owned()])?;
    outcome
}

#[cfg(test)]
mod tests;
