//! Whether a backup is good: every file is there and is what the backup says of it.

use std::fs;
use std::io;
use std::path::Path;

use proto::routes::Service;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::file;
use super::manifest::{self, MEDIA, Manifest, MediaFile, StoreFile};

/// How closely media files are looked at. Stores are always restored and compared, entry by entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// They are there, with their sizes: for a backup whose files were read while it was made.
    Sizes,
    /// Every byte is read and compared with its SHA-256.
    Bytes,
}

/// Checks the backup in `root`, which says `manifest` of itself: restores each store into a folder below `scratch`
/// and compares every entry, one after the other, then looks at the media. Blocking, and slow.
///
/// # Errors
/// What is wrong, by name; or that the check could not be made.
pub fn check(
    root: &Path,
    manifest: &Manifest,
    scratch: &Path,
    depth: Depth,
    stop: &CancellationToken,
) -> Result<(), Error> {
    files_are_there(root, manifest)?;
    let media = manifest::read_list(root, &manifest.media)?;
    for one in &media {
        media_file(root, one, depth, stop)?;
    }
    for one in &manifest.stores {
        if stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        store_file(root, one, scratch)?;
    }
    Ok(())
}

/// What is quickly seen: all five stores are there, with the sizes and the heads that are written down.
pub(super) fn files_are_there(root: &Path, manifest: &Manifest) -> Result<(), Error> {
    for service in Service::ALL {
        if manifest.store(service.name()).is_none() {
            let reason = format!("the store of {} is missing in it", service.name());
            return Err(Error::NotABackup { path: root.to_owned(), reason });
        }
    }
    for one in &manifest.stores {
        let path = one.path(root);
        let found = found(&path)?;
        if found.len() != one.file_bytes {
            let reason = format!("it has {} bytes instead of {}", found.len(), one.file_bytes);
            return Err(Error::damaged(&path, reason));
        }
        let summary = store::backup::read_summary(&path).map_err(|error| of_store(&path, &error))?;
        if !one.is(&summary) {
            return Err(Error::damaged(&path, "it is a good file of another backup"));
        }
    }
    Ok(())
}

fn store_file(root: &Path, one: &StoreFile, scratch: &Path) -> Result<(), Error> {
    let path = one.path(root);
    let folder = scratch.join(&one.service);
    let verified = store::backup::verify(&path, &folder);
    file::remove_folder(&folder)?;
    let summary = verified.map_err(|error| of_store(&path, &error))?;
    if one.is(&summary) { Ok(()) } else { Err(Error::damaged(&path, "it is a good file of another backup")) }
}

fn media_file(root: &Path, one: &MediaFile, depth: Depth, stop: &CancellationToken) -> Result<(), Error> {
    let path = root.join(MEDIA).join(&one.path);
    let bytes = found(&path)?.len();
    let fits = if one.growing { bytes >= one.bytes } else { bytes == one.bytes };
    if !fits {
        return Err(Error::damaged(&path, format!("it has {bytes} bytes instead of {}", one.bytes)));
    }
    if depth == Depth::Bytes && file::digest(&path, one.bytes, stop)? != one.sha256 {
        return Err(Error::damaged(&path, "its SHA-256 does not fit"));
    }
    Ok(())
}

fn found(path: &Path) -> Result<fs::Metadata, Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(found),
        Ok(_) => Err(Error::damaged(path, "it is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::damaged(path, "it is missing")),
        Err(error) => Err(Error::io("cannot look at", path)(error)),
    }
}

/// What the store says of its file, in our words.
pub(super) fn of_store(path: &Path, error: &store::BackupError) -> Error {
    use store::BackupError as E;
    match error {
        E::Io { path, source } => {
            let source = io::Error::new(source.kind(), source.to_string());
            Error::Io { what: "cannot use", path: path.clone(), source }
        }
        E::Newer { found, known, .. } => Error::NewerFormat { path: path.to_owned(), format: *found, known: *known },
        E::Foreign { .. } => Error::damaged(path, "it is not a backup of a store"),
        E::Damaged { reason, .. } => Error::damaged(path, reason.clone()),
        other => Error::Store { path: path.to_owned(), reason: other.to_string() },
    }
}
