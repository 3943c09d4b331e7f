//! The folder of the backups: names, a list, one that is being made.

use std::fs;
use std::path::{Path, PathBuf};

use proto::Timestamp;
use proto::api::backup::{Backup as Shown, BackupState};

use super::error::Error;
use super::file;
use super::manifest::{MEDIA, Manifest, STORES, store_path};
use crate::config::Config;

/// How the name of what is not complete, or about to go, begins.
const UNFINISHED: &str = "unfinished-";
/// `20261124T173200Z-1f3a9c`
const ID_LENGTH: usize = 23;

/// Where backups are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// A backup in the folder.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself, or why it cannot be read.
    pub manifest: Result<Manifest, Error>,
}

impl Entry {
    /// Whether it was verified and nothing was found since.
    pub fn is_verified(&self) -> bool {
        self.manifest.as_ref().is_ok_and(Manifest::is_verified)
    }

    /// When it was begun, if that can be read.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.manifest.as_ref().ok().map(|manifest| manifest.created_at)
    }

    /// As admins see it.
    pub fn shown(&self) -> Shown {
        let (id, path) = (self.id.clone(), self.path.display().to_string());
        match &self.manifest {
            Ok(manifest) => Shown {
                id,
                path,
                state: if manifest.is_verified() { BackupState::Verified } else { BackupState::Damaged },
                problem: manifest.damage.clone(),
                created_at: Some(manifest.created_at),
                verified_at: manifest.verified_at,
                version: manifest.version.clone(),
                entries: manifest.stores.iter().map(|store| store.entries).sum(),
                store_bytes: manifest.stores.iter().map(|store| store.file_bytes).sum(),
                media_files: manifest.media.files,
                media_bytes: manifest.media.bytes,
                media_copied_bytes: manifest.media.copied_bytes,
            },
            Err(error) => Shown {
                id,
                path,
                state: BackupState::Unreadable,
                problem: Some(error.to_string()),
                created_at: None,
                verified_at: None,
                version: String::new(),
                entries: 0,
                store_bytes: 0,
                media_files: 0,
                media_bytes: 0,
                media_copied_bytes: 0,
            },
        }
    }
}

/// A backup that is being made, under a name that says so. What is dropped is removed.
#[derive(Debug)]
pub struct Unfinished {
    id: String,
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Folder {
    /// The folder that the configuration names, or `backups` in the data folder `data`.
    pub fn of(config: &Config, data: &Path) -> Self {
        let named = Path::new(&config.backup.folder);
        Self { path: if config.backup.folder.is_empty() { data.join("backups") } else { named.to_owned() } }
    }

    /// This folder.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes free where it is.
    pub fn free_bytes(&self) -> u64 {
        let existing = self.path.ancestors().find(|path| path.exists());
        file::free_bytes(existing.unwrap_or(&self.path))
    }

    /// All backups, the newest first. Other things in the folder are left alone.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let mut found: Vec<Entry> = file::entries(&self.path)?
            .into_iter()
            .filter_map(|path| {
                let id = path.file_name()?.to_str().filter(|name| is_id(name))?.to_owned();
                let manifest = Manifest::read(&path);
                Some(Entry { id, path, manifest })
            })
            .collect();
        found.reverse();
        Ok(found)
    }

    /// The backup with this name, or in this folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, id_or_path: &str) -> Result<PathBuf, Error> {
        let path = if id_or_path.contains('/') { PathBuf::from(id_or_path) } else { self.path.join(id_or_path) };
        if !path.is_dir() {
            return Err(Error::NoSuchBackup { id: id_or_path.to_owned(), folder: self.path.clone() });
        }
        std::path::absolute(&path).map_err(Error::io("cannot find", &path))
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// When its folders cannot be made.
    pub fn begin(&self, now: Timestamp) -> Result<Unfinished, Error> {
        let id = new_id(now);
        let path = self.path.join(format!("{UNFINISHED}{id}"));
        let unfinished = Unfinished { target: self.path.join(&id), id, path, kept: false };
        file::make_folder(&unfinished.path.join(STORES))?;
        file::make_folder(&unfinished.path.join(MEDIA))?;
        Ok(unfinished)
    }

    /// A folder to try things in, removed when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, now: Timestamp) -> Result<Unfinished, Error> {
        let id = format!("scratch-{}", new_id(now));
        let path = self.path.join(format!("{UNFINISHED}{id}"));
        file::make_folder(&path)?;
        Ok(Unfinished { target: path.clone(), id, path, kept: false })
    }

    /// Removes what a crash left half done; says how much there was.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn tidy(&self) -> Result<usize, Error> {
        let is_litter =
            |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(UNFINISHED));
        let litter: Vec<PathBuf> = file::entries(&self.path)?.into_iter().filter(is_litter).collect();
        litter.iter().try_for_each(|path| file::remove_folder(path))?;
        Ok(litter.len())
    }

    /// Removes a backup. A crash in the middle leaves nothing that looks like one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let (from, to) = (self.path.join(id), self.path.join(format!("{UNFINISHED}{id}")));
        fs::rename(&from, &to).map_err(Error::io("cannot remove", &from))?;
        file::sync_folder(&self.path)?;
        file::remove_folder(&to)
    }
}

impl Unfinished {
    /// The name that it will have.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is being made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a service's store goes.
    pub fn store(&self, service: &str) -> PathBuf {
        store_path(&self.path, service)
    }

    /// Everything is there and was verified: from now on it is a backup.
    ///
    /// # Errors
    /// When it cannot be made durable or renamed; then it is no backup.
    pub fn complete(mut self, manifest: &mut Manifest) -> Result<PathBuf, Error> {
        manifest.write(&self.path)?;
        file::sync_tree(&self.path)?;
        fs::rename(&self.path, &self.target).map_err(Error::io("cannot rename", &self.path))?;
        self.kept = true;
        file::sync_folder(self.target.parent().unwrap_or(Path::new("/")))?;
        Ok(self.target.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = file::remove_folder(&self.path)
        {
            tracing::warn!(%error, "what was left of a backup is removed at the next start");
        }
    }
}

/// The files of a service's store in verified backups, the newest first: what a damaged store is repaired from.
///
/// # Errors
/// When the folder of the backups cannot be read.
pub fn store_files(folder: &Folder, service: &str) -> Result<Vec<PathBuf>, Error> {
    let verified = folder.list()?.into_iter().filter(Entry::is_verified);
    Ok(verified.map(|entry| store_path(&entry.path, service)).filter(|path| path.is_file()).collect())
}

/// The time, to the second readably and then in milliseconds, and something random: sorted by name is sorted by time.
pub(super) fn new_id(now: Timestamp) -> String {
    let seconds = Timestamp::from_ms(now.seconds().saturating_mul(1000)).to_string();
    let time: String = seconds.chars().filter(|c| c.is_ascii_digit() || *c == 'T').take(15).collect();
    // Two of the same second are in order as well: the milliseconds come first.
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), now.ms()) & 0xfff;
    format!("{time}Z-{:03x}{random:03x}", now.ms().rem_euclid(1000))
}

/// Whether a name is one of [`new_id`]'s.
fn is_id(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == ID_LENGTH
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            16 => *byte == b'-',
            0..15 => byte.is_ascii_digit(),
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::manifest::tests::manifest;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Timestamp {
        Timestamp::from_ms(1_795_000_000_123)
    }

    #[test]
    fn a_backup_has_its_name_only_when_it_is_complete() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(&scratch.path().join("backups"));
        assert!(folder.list().unwrap().is_empty());
        let unfinished = folder.begin(now()).unwrap();
        let id = unfinished.id().to_owned();
        assert!(id.starts_with("20261118T110640Z-") && is_id(&id), "{id}");
        assert_eq!(fs::metadata(unfinished.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(folder.list().unwrap().is_empty());
        let path = unfinished.complete(&mut manifest(&id)).unwrap();
        let listed = folder.list().unwrap();
        assert_eq!((listed.len(), listed[0].is_verified()), (1, true));
        assert_eq!(folder.find(&id).unwrap(), path);
        assert!(matches!(folder.find("nothing"), Err(Error::NoSuchBackup { .. })));
        folder.remove(&id).unwrap();
        assert_eq!(file::entries(folder.path()).unwrap().len(), 0);
    }

    #[test]
    fn what_was_given_up_goes_at_once_and_what_a_crash_left_at_the_next_start() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(scratch.path());
        drop(folder.begin(now()).unwrap());
        assert!(file::entries(folder.path()).unwrap().is_empty());
        std::mem::forget(folder.begin(now()).unwrap());
        fs::create_dir(scratch.path().join("lost+found")).unwrap();
        assert_eq!(folder.tidy().unwrap(), 1);
        assert_eq!(file::entries(folder.path()).unwrap(), [scratch.path().join("lost+found")]);
    }
}
