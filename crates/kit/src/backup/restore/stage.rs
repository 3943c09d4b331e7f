//! The first half: everything of the backup is restored beside the present data, and checked while it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use proto::Timestamp;
use tokio_util::sync::CancellationToken;

use super::super::check;
use super::super::error::Error;
use super::super::file;
use super::super::manifest::{self, MEDIA, Manifest, MediaFile, StoreFile};
use super::swap::{Marker, Unit};

/// How the folder begins in which a restore is prepared.
const STAGING: &str = "restore-";
/// A restored store takes at most so many times the bytes of its entries …
const STORE_FACTOR: u64 = 4;
/// … and this much in any case: journals, ballast.
const ROOM_BYTES: u64 = 512 << 20;

/// What is ready to be swapped in.
#[derive(Debug)]
pub(super) struct Staged {
    data: PathBuf,
    folder: String,
    /// Where media are prepared and set aside: elsewhere when the media folder is a disk of its own.
    media: Places,
    replaced: String,
}

/// Names relative to the data folder.
#[derive(Debug)]
struct Places {
    staged: String,
    aside: String,
    /// The media folder cannot be renamed as a whole: it is a mount or a link.
    one_by_one: bool,
}

/// Restores everything into `DATA/restore-<id>`.
pub(super) fn stage(
    data: &Path,
    backup: &Path,
    manifest: &Manifest,
    now: Timestamp,
    say: &mut dyn FnMut(&str),
    stop: &CancellationToken,
) -> Result<Staged, Error> {
    check::files_are_there(backup, manifest)?;
    let files = manifest::read_list(backup, &manifest.media)?;
    clear(data)?;
    room(data, backup, manifest, &files)?;
    let staged = Staged::new(data, &manifest.id, now);
    let prepared = staged.fill(backup, manifest, &files, say, stop);
    if prepared.is_err() {
        // What went wrong counts more than what cannot be removed.
        let _ = clear(data);
    }
    prepared.map(|()| staged)
}

/// Removes what an earlier attempt prepared.
fn clear(data: &Path) -> Result<(), Error> {
    let is_staging = |name: &str| name.starts_with(STAGING) && !name.ends_with(".json");
    let of = |folder: &Path, is: &dyn Fn(&str) -> bool| -> Result<Vec<PathBuf>, Error> {
        let mut found = file::entries(folder)?;
        found.retain(|path| path.is_dir() && path.file_name().and_then(|name| name.to_str()).is_some_and(is));
        Ok(found)
    };
    let mut litter = of(data, &is_staging)?;
    litter.extend(of(&data.join(MEDIA), &|name| name.strip_prefix('.').is_some_and(is_staging))?);
    litter.iter().try_for_each(|path| file::remove_folder(path))
}

/// Refuses early what would not fit.
fn room(data: &Path, backup: &Path, manifest: &Manifest, files: &[MediaFile]) -> Result<(), Error> {
    let media = data.join(MEDIA);
    let media = if media.exists() { media.as_path() } else { data };
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let linked = device(&backup.join(MEDIA)) == device(media);
    let copied: u64 = files.iter().filter(|one| one.growing || !linked).map(|one| one.bytes).sum();
    let stores: u64 = manifest.stores.iter().map(|store| store.bytes.saturating_mul(STORE_FACTOR)).sum();
    let mut needed = vec![(data, stores.saturating_add(ROOM_BYTES))];
    if device(data) == device(media) {
        needed[0].1 = needed[0].1.saturating_add(copied);
    } else {
        needed.push((media, copied));
    }
    for (path, needed_bytes) in needed {
        let free_bytes = file::free_bytes(path);
        if free_bytes < needed_bytes {
            return Err(Error::NoRoom { path: path.to_owned(), needed_bytes, free_bytes });
        }
    }
    Ok(())
}

impl Staged {
    fn new(data: &Path, id: &str, now: Timestamp) -> Self {
        let folder = format!("{STAGING}{id}");
        let replaced = format!("replaced-{}", super::super::folder::new_id(now));
        let one_by_one = is_disk_of_its_own(data);
        let media = if one_by_one {
            Places { staged: format!("{MEDIA}/.{folder}"), aside: format!("{MEDIA}/.{replaced}"), one_by_one }
        } else {
            Places { staged: format!("{folder}/{MEDIA}"), aside: format!("{replaced}/{MEDIA}"), one_by_one }
        };
        Self { data: data.to_owned(), folder, media, replaced }
    }

    fn fill(
        &self,
        backup: &Path,
        manifest: &Manifest,
        files: &[MediaFile],
        say: &mut dyn FnMut(&str),
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let root = self.data.join(&self.folder);
        file::make_folder(&root)?;
        for one in &manifest.stores {
            say(&format!("restoring the store of {}: {} records", one.service, one.entries));
            store(backup, one, &root.join(&one.service))?;
        }
        say(&format!("restoring {} media files: {} bytes", files.len(), manifest.media.bytes));
        let media = self.data.join(&self.media.staged);
        file::make_folder(&media)?;
        for one in files {
            media_file(backup, &media, one, stop)?;
        }
        give_to_owner(&self.data, &root)?;
        give_to_owner(&self.data, &media)?;
        file::sync_tree(&root)?;
        file::sync_tree(&media)
    }

    /// What is to be swapped for what.
    pub(super) fn marker(&self, id: &str, backup: &Path) -> Result<Marker, Error> {
        let mut units: Vec<Unit> = proto::routes::Service::ALL
            .iter()
            .map(|service| Unit::of(service.name(), &self.folder, &self.replaced))
            .collect();
        if self.media.one_by_one {
            units.extend(self.media_units()?);
        } else {
            units.push(Unit::of(MEDIA, &self.folder, &self.replaced));
        }
        let folders = vec![self.folder.clone(), self.media.staged.clone()];
        let replaced = vec![self.replaced.clone(), self.media.aside.clone()];
        let backup = backup.display().to_string();
        Ok(Marker { id: id.to_owned(), backup, units, folders, replaced })
    }

    /// One for each name in the present media folder or in the restored one.
    fn media_units(&self) -> Result<Vec<Unit>, Error> {
        let names = |folder: &str| -> Result<Vec<String>, Error> {
            let paths = file::entries(&self.data.join(folder))?;
            let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
            Ok(names.filter(|name| !name.starts_with('.')).map(str::to_owned).collect())
        };
        let mut all = names(MEDIA)?;
        let restored = names(&self.media.staged)?;
        all.extend(restored.iter().cloned());
        all.sort();
        all.dedup();
        let unit = |name: String| Unit {
            present: format!("{MEDIA}/{name}"),
            staged: restored.contains(&name).then(|| format!("{}/{name}", self.media.staged)),
            aside: format!("{}/{name}", self.media.aside),
        };
        Ok(all.into_iter().map(unit).collect())
    }
}

fn is_disk_of_its_own(data: &Path) -> bool {
    let media = data.join(MEDIA);
    let (Ok(found), Ok(around)) = (fs::symlink_metadata(&media), fs::metadata(data)) else { return false };
    found.is_symlink() || found.dev() != around.dev()
}

fn store(backup: &Path, one: &StoreFile, folder: &Path) -> Result<(), Error> {
    let path = one.path(backup);
    let summary = store::backup::restore(&path, folder).map_err(|error| check::of_store(&path, &error))?;
    // A restored store has a lineage of its own.
    let restored = StoreFile { lineage: one.lineage, ..StoreFile::new(&one.service, one.file_bytes, &summary) };
    if restored == *one { Ok(()) } else { Err(Error::damaged(&path, "it is a good file of another backup")) }
}

fn media_file(backup: &Path, media: &Path, one: &MediaFile, stop: &CancellationToken) -> Result<(), Error> {
    let (from, to) = (backup.join(MEDIA).join(&one.path), media.join(&one.path));
    file::make_folder(to.parent().unwrap_or(media))?;
    let found = fs::symlink_metadata(&from).map_err(|_| Error::damaged(&from, "it is missing"))?;
    if !found.is_file() || (!one.growing && found.len() != one.bytes) {
        return Err(Error::damaged(&from, format!("it has {} bytes instead of {}", found.len(), one.bytes)));
    }
    // An upload will be gone on with: what it writes must not reach the backup.
    let linked = !one.growing
        && match fs::hard_link(&from, &to) {
            Ok(()) => true,
            Err(error) if file::cannot_link(&error) => false,
            Err(error) => return Err(Error::io("cannot link", &to)(error)),
        };
    let sha256 = if linked { file::digest(&to, one.bytes, stop)? } else { file::copy(&from, &to, one.bytes, stop)? };
    if sha256 == one.sha256 { Ok(()) } else { Err(Error::damaged(&from, "its SHA-256 does not fit")) }
}

/// What root restores belongs to whom the data folder belongs to.
fn give_to_owner(data: &Path, root: &Path) -> Result<(), Error> {
    let owner = fs::metadata(data).map_err(Error::io("cannot look at", data))?;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let found = fs::symlink_metadata(&path).map_err(Error::io("cannot look at", &path))?;
        if (found.uid(), found.gid()) != (owner.uid(), owner.gid()) {
            lchown(&path, Some(owner.uid()), Some(owner.gid())).map_err(Error::io("cannot give away", &path))?;
        }
        if found.is_dir() {
            paths.extend(file::entries(&path)?);
        }
    }
    Ok(())
}
