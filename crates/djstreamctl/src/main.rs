//! The admin's command `djstreamctl`.
//!
//! It talks to a running instance over the gateway's Unix socket, which answers its own user and root
//! only, so being there is the right to administrate. Data goes to stdout, everything else to stderr.
//! Deliberately absent: any way into the databases of a running instance; what the command can do there, the API
//! can do.

mod client;
mod command;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use client::{CallError, Client};
use command::{backup, jobs, projection, queue, status, store, user};
use output::Format;

/// Administrate a DjStream instance.
#[derive(Debug, Parser)]
#[command(name = "djstreamctl", version, about, disable_help_subcommand = true)]
#[command(after_help = "Exit status: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 server unreachable, \
                        6 conflict.")]
struct Cli {
    /// The instance's data folder.
    #[arg(long, value_name = "DIR", env = "DJSTREAM_DATA", default_value = "data", global = true)]
    data: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show whether every service answers.
    Status,
    /// Make, list and delete accounts.
    #[command(subcommand)]
    User(user::Command),
    /// List and retry the steps of processing.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Show the work queues; try again or drop what failed in them.
    #[command(subcommand)]
    Queue(queue::Command),
    /// What each service keeps of the others' data: list it, make it anew.
    #[command(subcommand)]
    Projection(projection::Command),
    /// Make, list, verify and restore backups.
    Backup(backup::Arguments),
    /// Look into the databases of an instance that does not run.
    #[command(subcommand)]
    Store(store::Command),
    /// Show the version of this command and of the server.
    Version,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let client = Client::new(&cli.data);
    let done = match cli.command {
        Command::Status => status::status(&client, cli.output).await,
        Command::User(command) => user::run(command, &client, cli.output).await,
        Command::Jobs(command) => jobs::run(command, &client, cli.output).await,
        Command::Queue(command) => queue::run(command, &client, cli.output).await,
        Command::Projection(command) => projection::run(command, &client, cli.output).await,
        Command::Backup(arguments) => backup::run(arguments, &client, &cli.data, cli.output).await,
        Command::Store(command) => store::run(command, &cli.data, cli.output),
        Command::Version => status::version(&client, cli.output).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("djstreamctl: {error}");
            ExitCode::from(exit_status(&error))
        }
    }
}

/// The exit statuses that scripts rely on.
fn exit_status(error: &CallError) -> u8 {
    match error {
        CallError::Usage(_) => 2,
        CallError::Unreachable { .. } => 5,
        CallError::Refused(problem) => match problem.status {
            400 | 413 | 415 | 422 => 2,
            404 => 3,
            401 | 403 => 4,
            409 | 412 => 6,
            _ => 1,
        },
        CallError::Backup(error) => match **error {
            kit::backup::Error::NoSuchBackup { .. } => 3,
            kit::backup::Error::Running { .. } | kit::backup::Error::Interrupted { .. } => 6,
            _ => 1,
        },
        CallError::Degraded | CallError::Broken(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn problems_become_exit_statuses() {
        for (code, wanted) in [
            (proto::codes::NOT_FOUND, 3),
            (proto::codes::FORBIDDEN, 4),
            (proto::codes::USERNAME_TAKEN, 6),
            (proto::codes::INVALID_FIELD, 2),
            (proto::codes::INTERNAL, 1),
        ] {
            assert_eq!(exit_status(&CallError::Refused(Box::new(proto::Problem::new(code, "")))), wanted, "{code:?}");
        }
    }
}
