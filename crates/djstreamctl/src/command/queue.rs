//! `djstreamctl queue …`

use clap::Subcommand;
use proto::api::instance::QueueDepth;

use crate::client::{CallError, Client};
use crate::output::{self, Format};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the work queues and what is in them.
    List,
}

pub(crate) async fn run(command: Command, client: &Client, format: Format) -> Result<(), CallError> {
    let Command::List = command;
    let queues: Vec<QueueDepth> = client.list("/api/admin/queues").await?;
    output::list(format, &queues, ["QUEUE", "READY", "DELAYED", "LEASED", "DEAD"], |queue| {
        [
            queue.name.clone(),
            queue.ready.to_string(),
            queue.delayed.to_string(),
            queue.leased.to_string(),
            queue.dead.to_string(),
        ]
    })
}
