//! The program `djstream`: `up` starts all of DjStream, `djstream <service>` one service of it.
//!
//! Owns: the command line, the choice of the role, and the supervisor. Deliberately absent: anything
//! that a service does; this crate is the only one that knows all five.

mod role;
mod supervisor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use kit::DataFolder;
use kit::config::Config;
use role::Role;
use video::media::sandbox;

/// Exit status for a wrong command line or configuration: starting again would not help.
const EXIT_USAGE: u8 = 2;

/// Share videos from one box.
#[derive(Debug, Parser)]
#[command(name = "djstream", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start all five services and keep them running.
    Up(Options),
    /// Run the gateway: accounts, pages, bytes, forwarding.
    Gateway(Options),
    /// Run the channel service.
    Channel(Options),
    /// Run the video service.
    Video(Options),
    /// Run the interaction service.
    Interaction(Options),
    /// Run the notification service: all of its processes, or one with --index.
    Notification {
        #[command(flatten)]
        options: Options,
        /// Run only this process of it; 0 is the home.
        #[arg(long)]
        index: Option<usize>,
    },
}

/// What every role is told.
#[derive(Debug, Clone, Args)]
struct Options {
    /// The settings; their defaults hold where it is left out.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Where to listen, instead of `[http] listen`.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

fn main() -> ExitCode {
    // ffmpeg runs inside this same program, confined; nothing else may happen before that.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == sandbox::SUBCOMMAND) {
        sandbox::helper_main(words.collect());
    }
    let (role, options) = match Cli::parse().command {
        Command::Up(options) => (Role::Supervisor, options),
        Command::Gateway(options) => (Role::Gateway, options),
        Command::Channel(options) => (Role::Channel, options),
        Command::Video(options) => (Role::Video, options),
        Command::Interaction(options) => (Role::Interaction, options),
        Command::Notification { options, index: Some(index) } => (Role::Notification(index), options),
        Command::Notification { options, index: None } => (Role::NotificationSupervisor, options),
    };
    match prepare(&options) {
        Ok((config, data)) => role.run(config, data, &options),
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Settings and data folder, or the text that says what is wrong with them.
fn prepare(options: &Options) -> Result<(Config, DataFolder), String> {
    let mut config = kit::config::load(options.config.as_deref()).map_err(|error| error.render())?;
    if let Some(listen) = options.listen {
        config.http.listen = listen;
    }
    let data = DataFolder::open(&options.data).map_err(|error| format!("djstream: {error}"))?;
    Ok((config, data))
}

/// The command line of a child process: the same options, another role.
fn child_arguments(role: &Role, options: &Options, data: &Path) -> Vec<std::ffi::OsString> {
    let mut words = role.words();
    if let Some(config) = &options.config {
        words.extend(["--config".into(), config.into()]);
    }
    words.extend(["--data".into(), data.into()]);
    if let Some(listen) = options.listen {
        words.extend(["--listen".into(), listen.to_string().into()]);
    }
    words
}
