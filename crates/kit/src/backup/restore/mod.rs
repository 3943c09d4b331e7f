//! Brings a backup back, while nothing runs.
//!
//! Everything is restored and checked beside the present data first (`DATA/restore-<id>/`); only then are they
//! swapped, by renames. What was there before stays in `DATA/replaced-<time>/`. While the swap lasts,
//! `DATA/restore-unfinished.json` says what is to be done: no service starts then, and the same command finishes it.
//! Sockets, the set-up token and the backups themselves are not touched; the search index is not restored, the
//! video service builds it anew.

mod locks;
mod stage;
mod swap;

use std::path::{Path, PathBuf};

use proto::Timestamp;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::folder::Folder;
use super::manifest::Manifest;
use swap::Marker;

pub use locks::{DATA_LOCK, Exclusive};
pub use swap::MARKER;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Which backup.
    pub id: String,
    /// Where what was there before is now; absent when there was nothing.
    pub replaced: Option<PathBuf>,
}

/// Restores a backup of `folder`, by its name or path, into the data folder `data`; or finishes a restore of the same
/// backup that was interrupted. `say` is told what is going on. Blocking, and slow.
///
/// # Errors
/// When something runs, the backup is not good, or there is no room: then nothing of the present data was changed.
/// [`Error::Io`] in the middle of the swap leaves the marker: the command can be repeated.
pub fn restore(
    data: &Path,
    folder: &Folder,
    id_or_path: &str,
    now: Timestamp,
    say: &mut dyn FnMut(&str),
) -> Result<Restored, Error> {
    let data = &std::path::absolute(data).map_err(Error::io("cannot find", data))?;
    let _exclusive = locks::take(data)?;
    if let Some(marker) = Marker::read(data)? {
        if !marker.is_of(id_or_path) {
            return Err(Error::Interrupted { id: marker.id });
        }
        say("finishing the restore that was interrupted");
        return marker.swap(data, &mut |_| Ok(()));
    }
    let backup = folder.find(id_or_path)?;
    let manifest = Manifest::read(&backup)?;
    let staged = stage::stage(data, &backup, &manifest, now, say, &CancellationToken::new())?;
    say("swapping the present data for it");
    let marker = staged.marker(&manifest.id, &backup)?;
    marker.write(data)?;
    marker.swap(data, &mut |_| Ok(()))
}

/// The backup whose restore into `data` was interrupted after it had begun to change things.
///
/// # Errors
/// When the marker cannot be read.
pub fn interrupted(data: &Path) -> Result<Option<String>, Error> {
    Ok(Marker::read(data)?.map(|marker| marker.id))
}

/// A restore that stops before its rename number `renames`; gives what it said.
#[cfg(test)]
pub(super) fn tests_only_interrupt(data: &Path, backup: &Path, now: Timestamp, renames: usize) -> Error {
    let interrupt = || -> Result<Restored, Error> {
        let _exclusive = locks::take(data)?;
        let manifest = Manifest::read(backup)?;
        let staged = stage::stage(data, backup, &manifest, now, &mut |_| {}, &CancellationToken::new())?;
        let marker = staged.marker(&manifest.id, backup)?;
        marker.write(data)?;
        let mut left = renames;
        marker.swap(data, &mut |_| match left.checked_sub(1) {
            Some(less) => {
                left = less;
                Ok(())
            }
            None => Err(Error::Stopped),
        })
    };
    match interrupt() {
        Err(error) => error,
        Ok(done) => Error::NoSuchBackup { id: done.id, folder: data.to_owned() },
    }
}
