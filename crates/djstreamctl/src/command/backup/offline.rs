//! What needs no running instance, and what must not have one.

use std::path::Path;

use kit::backup::restore::{self, Restored};
use kit::backup::{Depth, Entry, Error, Folder, Manifest, check};
use proto::api::backup::Backup;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::client::CallError;
use crate::output::{self, Format};

/// All backups of a folder.
pub(super) fn list(folder: &Folder) -> Result<Vec<Backup>, CallError> {
    Ok(folder.list()?.iter().map(Entry::shown).collect())
}

/// Verifies a backup. What it says of itself is not changed: this may be another user, and another disk.
pub(super) fn verify(folder: &Folder, backup: &str) -> Result<Backup, CallError> {
    durable()?;
    let path = folder.find(backup)?;
    let manifest = Manifest::read(&path)?;
    let beside = path.parent().unwrap_or(Path::new("/"));
    let scratch = Folder::at(beside).scratch(kit::clock::now())?;
    eprintln!("restoring every store into a scratch folder and comparing, reading every media file …");
    check(&path, &manifest, scratch.path(), Depth::Bytes, &CancellationToken::new())?;
    Ok(Entry { id: manifest.id.clone(), path, manifest: Ok(manifest) }.shown())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    id: String,
    /// Where what was there before is now.
    replaced: Option<String>,
}

/// Restores a backup into the data folder.
pub(super) fn restore(data: &Path, folder: &Folder, backup: &str, format: Format) -> Result<(), CallError> {
    durable()?;
    let mut say = |what: &str| eprintln!("{what} …");
    let Restored { id, replaced } = restore::restore(data, folder, backup, kit::clock::now(), &mut say)?;
    let replaced = replaced.map(|path| path.display().to_string());
    let before = replaced.as_ref().map_or_else(String::new, |path| {
        format!("\nWhat was there before is in {path}; remove it when you do not need it any more.")
    });
    let sentence = format!("{id} is restored. Start DjStream; the search index is built anew by itself.{before}");
    output::one(format, &Done { id, replaced }, &sentence)
}

/// A restored database must survive a power cut like any other.
fn durable() -> Result<(), CallError> {
    store::durable::install().map_err(|error| CallError::Broken(error.to_string()))
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Backup(Box::new(error))
    }
}
