//! `djstreamctl jobs …`

use clap::Subcommand;
use proto::api::video::Job;

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the steps of processing that wait, run or failed.
    List,
    /// Try a failed step again.
    Retry {
        /// The step's id, from `jobs list`.
        id: String,
    },
}

pub(crate) async fn run(command: Command, client: &Client, format: Format) -> Result<(), CallError> {
    match command {
        Command::List => {
            let jobs: Vec<Job> = client.list("/api/admin/jobs").await?;
            output::list(format, &jobs, ["ID", "VIDEO", "KIND", "STATE", "PROGRESS", "ERROR"], |job| {
                [
                    job.id.clone(),
                    job.video_id.to_string(),
                    job.height.map_or_else(|| word(&job.kind), |height| format!("{} {height}p", word(&job.kind))),
                    word(&job.state),
                    format!("{:.0} %", job.progress * 100.0),
                    job.error.clone().unwrap_or_default(),
                ]
            })
        }
        Command::Retry { id } => {
            if !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return Err(CallError::Usage(format!("'{id}' is not a job's id")));
            }
            let job: serde_json::Value =
                client.post(&format!("/api/admin/jobs/{id}/retry"), &serde_json::json!({})).await?;
            output::one(format, &job, &format!("job {id} will be tried again"))
        }
    }
}
