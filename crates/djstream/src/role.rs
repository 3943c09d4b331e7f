//! What one process is: the supervisor or one service.

use std::ffi::OsString;
use std::process::ExitCode;

use kit::config::Config;
use kit::{Context, DataFolder, Shutdown};

use crate::{Options, supervisor};

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Starts all others.
    Supervisor,
    /// Starts all notification processes, for a systemd unit.
    NotificationSupervisor,
    Gateway,
    Channel,
    Video,
    Interaction,
    /// One notification process; 0 is the home.
    Notification(usize),
}

impl Role {
    /// The name of its socket and in logs.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Supervisor => "supervisor".to_owned(),
            Self::NotificationSupervisor => "notification".to_owned(),
            Self::Gateway => "gateway".to_owned(),
            Self::Channel => "channel".to_owned(),
            Self::Video => "video".to_owned(),
            Self::Interaction => "interaction".to_owned(),
            Self::Notification(index) => format!("notification-{index}"),
        }
    }

    /// The words of the command line that choose it.
    pub(crate) fn words(self) -> Vec<OsString> {
        match self {
            Self::Notification(index) => {
                vec!["notification".into(), "--index".into(), index.to_string().into()]
            }
            other => vec![other.name().into()],
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(self, config: Config, data: DataFolder, options: &Options) -> ExitCode {
        if let Err(error) = kit::telemetry::init(&self.name(), &config.log) {
            eprintln!("djstream: {error}");
            return ExitCode::FAILURE;
        }
        if let Err(error) = store::durable::install() {
            tracing::error!(%error, "writes cannot be made durable here");
            return ExitCode::FAILURE;
        }
        kit::process::raise_open_files();
        let runtime = match self.runtime(&config) {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "the runtime cannot start");
                return ExitCode::FAILURE;
            }
        };
        runtime.block_on(self.serve(config, data, options))
    }

    fn runtime(self, config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
        match self {
            Self::Supervisor | Self::NotificationSupervisor => tokio::runtime::Builder::new_current_thread(),
            _ => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(config.runtime.worker_threads);
                builder
            }
        }
        .enable_all()
        .build()
    }

    async fn serve(self, config: Config, data: DataFolder, options: &Options) -> ExitCode {
        let shutdown = match Shutdown::listen() {
            Ok(shutdown) => shutdown,
            Err(error) => {
                tracing::error!(%error, "signals cannot be handled");
                return ExitCode::FAILURE;
            }
        };
        let note = data.stopped_note(&self.name());
        let context = Context::new(config, data, shutdown);
        let ended: Result<(), String> = match self {
            Self::Supervisor => return supervisor::up(context, options).await,
            Self::NotificationSupervisor => return supervisor::notification(context, options).await,
            Self::Gateway => gateway::run(context).await.map_err(|error| error.to_string()),
            Self::Channel => channel::run(context).await.map_err(|error| error.to_string()),
            Self::Video => video::run(context).await.map_err(|error| error.to_string()),
            Self::Interaction => interaction::run(context).await.map_err(|error| error.to_string()),
            Self::Notification(index) => notification::run(context, index).await.map_err(|error| error.to_string()),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(role = self.name(), error, "ended with an error");
                // Left by an opening that failed for good.
                match note.exists() {
                    true => ExitCode::from(kit::storage::EXIT_CODE_BEYOND_REPAIR),
                    false => ExitCode::FAILURE,
                }
            }
        }
    }
}
