//! Opening a service's store: as the configuration says, repaired from the instance's backups if need be.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use proto::internal::StoreHealth;
use store::{OpenError, Options, Store, backup};

use crate::backup::{Folder, store_files};
use crate::context::Context;
use crate::data_folder::DataFolder;

/// How long to wait between two attempts to open a store on a disk that has no byte left.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Opens the store of a service. Away from the threads that answer: it may have to be made again from a backup.
/// Where not even the reserve is left on the disk, it waits for room: nobody has to start it again then.
///
/// # Errors
/// As [`Store::open`].
pub async fn open(context: &Context, service: &'static str) -> Result<Store, OpenError> {
    let mut said = false;
    loop {
        let own = context.clone();
        let opened = tokio::task::spawn_blocking(move || open_blocking(&own, service)).await;
        match opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            Err(error) if is_full(&error) && !context.shutdown.is_requested() => {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(%error, "there is no room to open the store; waiting for some");
                }
                tokio::select! {
                    () = tokio::time::sleep(ROOM_WAIT) => {}
                    () = context.shutdown.requested() => {}
                }
            }
            opened => {
                note(&context.data, service, opened.as_ref().err());
                return opened;
            }
        }
    }
}

/// The exit status of a process whose store is beyond repair (`EX_CONFIG`): only a person can help.
pub const EXIT_CODE_BEYOND_REPAIR: u8 = 78;

/// Leaves the reason and the way out where `djstreamctl status` finds them.
fn note(data: &DataFolder, service: &str, error: Option<&OpenError>) {
    let note = data.stopped_note(if service == "notification" { "notification-0" } else { service });
    let noted = match error {
        Some(error @ (OpenError::Damaged { .. } | OpenError::Newer { .. })) => {
            let text = format!(
                "{error}. It was not changed. A backup brings everything back: stop DjStream, then djstreamctl \
                 backup list and djstreamctl backup restore ID --yes."
            );
            tracing::error!(text, "the database cannot be opened");
            std::fs::write(note, text)
        }
        _ => match std::fs::remove_file(note) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    };
    if let Err(error) = noted {
        tracing::warn!(%error, "the note for the admin cannot be kept");
    }
}

fn is_full(error: &OpenError) -> bool {
    matches!(error, OpenError::Io { source, .. }
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// One attempt, on this thread.
fn open_blocking(context: &Context, service: &str) -> Result<Store, OpenError> {
    let backups = backups(context, service);
    let config = &context.config;
    let options = Options {
        cache_bytes: config.storage.cache_bytes,
        ballast_bytes: config.storage.ballast_bytes,
        // A backup is begun at the limit; until it is there the journal grows on.
        journal_keep_bytes: config.backup.journal_max_bytes.saturating_mul(2),
        backups: backups.clone(),
        ..Options::default()
    };
    let folder = context.data.service(service);
    let known = context.data.known_database(service);
    let is_missing = ["state", "engine", "journal"].iter().all(|name| !folder.join(name).exists());
    if is_missing && known.exists() {
        // An empty one would be taken by the other services for the deletion of everything.
        let reason = format!(
            "the database is gone, though it was there before; if it shall begin empty, remove {}",
            known.display()
        );
        return Err(OpenError::Damaged { path: folder, reason });
    }
    let store = Store::open(&folder, options)?;
    if let Err(source) = File::create(&known) {
        return Err(OpenError::Io { path: known, source });
    }
    if let Some(sequence) = covered(&backups, store.lineage()) {
        store.covered(sequence);
    }
    Ok(store)
}

/// How a store is; of a process without one there is nothing to say.
pub fn health(store: Option<&Store>) -> StoreHealth {
    let health = store.map(Store::health).unwrap_or_default();
    StoreHealth { nearly_full: health.nearly_full, notes: health.notes }
}

/// The backups of this store, newest first. That they cannot be looked at matters only if they are needed.
fn backups(context: &Context, service: &str) -> Vec<PathBuf> {
    let folder = Folder::of(&context.config, context.data.root());
    store_files(&folder, service).unwrap_or_else(|error| {
        tracing::warn!(%error, "the backups cannot be looked at");
        Vec::new()
    })
}

/// Up to which group the journal may forget: two backups have it, so that one may be bad.
fn covered(backups: &[PathBuf], lineage: u64) -> Option<u64> {
    let summaries = backups.iter().filter_map(|file| backup::read_summary(file).ok());
    summaries.filter(|summary| summary.lineage == lineage).nth(1).map(|summary| summary.sequence)
}
