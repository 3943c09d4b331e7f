//! `djstreamctl backup …`: made, listed and verified by the running instance; listed, verified and restored without
//! one.

mod offline;
mod schedule;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use kit::backup::Folder;
use proto::api::backup::{Backup, BackupProgress, Backups};

use crate::client::{CallError, Client};
use crate::output::{self, Format, word};

/// How often it is asked how far a backup is.
const ASK_INTERVAL: Duration = Duration::from_millis(300);
const PATH: &str = "/api/admin/backups";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The settings, for `[backup] folder` when no instance runs.
    #[arg(long, value_name = "FILE", env = "DJSTREAM_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a backup now, verify it, and wait until that is done.
    Create,
    /// List the backups.
    List,
    /// Restore a backup into a scratch folder and compare everything, down to the last byte of the media.
    Verify {
        /// Its name, from `backup list`, or its folder.
        #[arg(value_name = "ID or PATH")]
        backup: String,
    },
    /// Bring a backup back. DjStream must not run; what is there now is kept in replaced-….
    Restore {
        /// Its name, from `backup list`, or its folder.
        #[arg(value_name = "ID or PATH")]
        backup: String,
        /// Yes, the present data are to be replaced.
        #[arg(long)]
        yes: bool,
    },
    /// Show when the last backup was made, when the next one is due, and how many are kept.
    Schedule,
}

/// What the commands work with.
struct Place<'a> {
    client: &'a Client,
    data: &'a Path,
    config: Option<&'a Path>,
    format: Format,
}

pub(crate) async fn run(arguments: Arguments, client: &Client, data: &Path, format: Format) -> Result<(), CallError> {
    let place = Place { client, data, config: arguments.config.as_deref(), format };
    match arguments.command {
        Command::Create => place.create().await,
        Command::List => place.list().await,
        Command::Verify { backup } => place.verify(&backup).await,
        Command::Restore { backup, yes } => place.restore(&backup, yes),
        Command::Schedule => place.schedule().await,
    }
}

impl Place<'_> {
    /// The settings: a file that is wrong is said at once.
    fn settings(&self) -> Result<kit::config::Config, CallError> {
        kit::config::load(self.config).map_err(|error| CallError::Usage(error.render()))
    }

    fn folder(&self) -> Result<Folder, CallError> {
        Ok(Folder::of(&self.settings()?, self.data))
    }

    async fn create(&self) -> Result<(), CallError> {
        let begun: BackupProgress = self.client.post(PATH, &serde_json::json!({})).await?;
        let made = self.wait(&begun).await?;
        output::one(self.format, &made, &format!("made and verified {}\n{}", made.id, made.path))
    }

    /// Says what is being done until it is done.
    async fn wait(&self, begun: &BackupProgress) -> Result<Backup, CallError> {
        let mut step = String::new();
        loop {
            let all: Backups = self.client.get(PATH).await?;
            match all.running.filter(|running| running.id == begun.id) {
                Some(running) => {
                    if running.step != step {
                        step = running.step;
                        eprintln!("{}: {step}", begun.id);
                    }
                    tokio::time::sleep(ASK_INTERVAL).await;
                }
                None => {
                    if let Some(failure) = all.last_failure.filter(|failure| failure.id == begun.id) {
                        return Err(CallError::Broken(failure.reason));
                    }
                    let gone = || CallError::Broken(format!("the server knows nothing of {} any more", begun.id));
                    return all.items.into_iter().find(|item| item.id == begun.id).ok_or_else(gone);
                }
            }
        }
    }

    async fn list(&self) -> Result<(), CallError> {
        let items = match self.client.get::<Backups>(PATH).await {
            Ok(all) => all.items,
            Err(CallError::Unreachable { .. }) => offline::list(&self.folder()?)?,
            Err(error) => return Err(error),
        };
        let header = ["ID", "STATE", "RECORDS", "STORES", "MEDIA", "COPIED", "VERIFIED", "PROBLEM"];
        output::list(self.format, &items, header, |item| {
            [
                item.id.clone(),
                word(&item.state),
                item.entries.to_string(),
                size(item.store_bytes),
                format!("{} in {} files", size(item.media_bytes), item.media_files),
                size(item.media_copied_bytes),
                item.verified_at.map(|at| at.to_string()).unwrap_or_default(),
                item.problem.clone().unwrap_or_default(),
            ]
        })
    }

    async fn verify(&self, backup: &str) -> Result<(), CallError> {
        if !backup.contains('/') {
            let path = format!("{PATH}/{}/verify", kit::peer::segment(backup));
            match self.client.post::<BackupProgress>(&path, &serde_json::json!({})).await {
                Ok(begun) => {
                    let verified = self.wait(&begun).await?;
                    return output::one(self.format, &verified, &format!("{} is good", verified.id));
                }
                Err(CallError::Unreachable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let verified = offline::verify(&self.folder()?, backup)?;
        output::one(self.format, &verified, &format!("{} is good", verified.id))
    }

    fn restore(&self, backup: &str, yes: bool) -> Result<(), CallError> {
        if !yes {
            return Err(CallError::Usage(format!(
                "this replaces everything in {} by the backup {backup}; say --yes if it is to be so. What is there \
                 now is kept beside it",
                self.data.display()
            )));
        }
        offline::restore(self.data, &self.folder()?, backup, self.format)
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 10_240 && unit + 1 < UNITS.len() {
        value /= 1_024;
        unit += 1;
    }
    format!("{value} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_five_digits_and_a_unit() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(10_239), "10239 B");
        assert_eq!(size(10_240), "10 KiB");
        assert_eq!(size(5 << 30), "5120 MiB");
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }
}
