//! The second half: renames that can be interrupted anywhere and gone on with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::file;
use super::Restored;

/// The file in the data folder that says that a swap is under way.
pub const MARKER: &str = "restore-unfinished.json";

/// Everything that the swap has to know, however often it is interrupted. Paths are relative to the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    /// Which backup.
    pub id: String,
    /// Where it is.
    pub backup: String,
    /// What is swapped.
    pub units: Vec<Unit>,
    /// Folders that are empty afterwards.
    pub folders: Vec<String>,
    /// Folders that take what was there before.
    pub replaced: Vec<String>,
}

/// One thing that is set aside, and what comes in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unit {
    /// Its place.
    pub present: String,
    /// Where the new one waits; absent when there is none.
    pub staged: Option<String>,
    /// Where the old one goes.
    pub aside: String,
}

impl Unit {
    pub(super) fn of(name: &str, staging: &str, replaced: &str) -> Self {
        let staged = Some(format!("{staging}/{name}"));
        Self { present: name.to_owned(), staged, aside: format!("{replaced}/{name}") }
    }

    /// Two renames. Each leaves a trace that says that it is done: the old one is aside, the new one does not wait.
    fn swap(&self, data: &Path, before: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
        let (present, aside) = (data.join(&self.present), data.join(&self.aside));
        let staged = self.staged.as_ref().map(|staged| data.join(staged));
        if staged.as_ref().is_some_and(|staged| !exists(staged)) {
            return match exists(&present) {
                true => Ok(()),
                false => Err(Error::damaged(&present, "what was restored is gone, and so is what was here before")),
            };
        }
        if !exists(&aside) && exists(&present) {
            rename(&present, &aside, before)?;
        }
        match staged {
            Some(staged) => rename(&staged, &present, before),
            None => Ok(()),
        }
    }
}

impl Marker {
    pub(super) fn read(data: &Path) -> Result<Option<Self>, Error> {
        let path = data.join(MARKER);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).map_err(|error| Error::damaged(&path, error.to_string()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", &path)(error)),
        }
    }

    pub(super) fn write(&self, data: &Path) -> Result<(), Error> {
        let path = data.join(MARKER);
        let text = serde_json::to_vec(self).map_err(|error| Error::damaged(&path, error.to_string()))?;
        file::replace(&path, &text)
    }

    /// Whether this is the restore of the backup that is asked for.
    pub(super) fn is_of(&self, id_or_path: &str) -> bool {
        let asked = id_or_path.trim_end_matches('/');
        asked == self.id || Path::new(asked) == Path::new(&self.backup) || asked.ends_with(&format!("/{}", self.id))
    }

    /// Does what is left to do. `before` is told of each rename, and may object.
    pub(super) fn swap(
        self,
        data: &Path,
        before: &mut dyn FnMut(&str) -> Result<(), Error>,
    ) -> Result<Restored, Error> {
        for folder in &self.replaced {
            file::make_folder(data.join(folder).parent().filter(|_| folder.contains('/')).unwrap_or(data))?;
        }
        self.make_asides(data)?;
        self.units.iter().try_for_each(|unit| unit.swap(data, before))?;
        for folder in self.folders.iter().chain(&self.replaced) {
            // Only what is empty goes: where nothing was before, nothing was set aside.
            let _ = fs::remove_dir(data.join(folder));
        }
        file::sync_folder(data)?;
        before("the end")?;
        let marker = data.join(MARKER);
        fs::remove_file(&marker).map_err(Error::io("cannot remove", &marker))?;
        file::sync_folder(data)?;
        let replaced: Option<PathBuf> = self.replaced.iter().map(|folder| data.join(folder)).find(|path| path.exists());
        Ok(Restored { id: self.id, replaced })
    }

    fn make_asides(&self, data: &Path) -> Result<(), Error> {
        let mut parents: Vec<PathBuf> =
            self.units.iter().filter_map(|unit| data.join(&unit.aside).parent().map(Path::to_owned)).collect();
        parents.sort();
        parents.dedup();
        parents.iter().try_for_each(|path| file::make_folder(path))
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn rename(from: &Path, to: &Path, before: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
    before(&from.display().to_string())?;
    fs::rename(from, to).map_err(Error::io("cannot rename", from))?;
    for path in [from, to] {
        file::sync_folder(path.parent().unwrap_or(Path::new("/")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Old and new in their places: `a` in both, `b` only before, `c` only afterwards.
    fn prepared(data: &Path) -> Marker {
        let put = |path: &str| {
            file::make_folder(&data.join(path)).unwrap();
            fs::write(data.join(path).join("which"), path).unwrap();
        };
        ["a", "b", "new/a", "new/c"].into_iter().for_each(put);
        let units = vec![
            Unit::of("a", "new", "old"),
            Unit { present: "b".to_owned(), staged: None, aside: "old/b".to_owned() },
            Unit::of("c", "new", "old"),
        ];
        let (folders, replaced) = (vec!["new".to_owned()], vec!["old".to_owned()]);
        Marker { id: "one".to_owned(), backup: "/backups/one".to_owned(), units, folders, replaced }
    }

    fn which(data: &Path, path: &str) -> Option<String> {
        fs::read_to_string(data.join(path).join("which")).ok()
    }

    #[test]
    fn a_swap_interrupted_at_any_step_is_finished_by_the_next() {
        for interrupted_at in 0.. {
            let scratch = tempfile::tempdir().unwrap();
            let data = scratch.path();
            let marker = prepared(data);
            marker.write(data).unwrap();
            let mut steps = 0;
            let first = marker.swap(data, &mut |_| {
                steps += 1;
                if steps > interrupted_at { Err(Error::Stopped) } else { Ok(()) }
            });
            if first.is_err() {
                assert!(data.join(MARKER).exists(), "step {interrupted_at}: services must not start");
                let marker = Marker::read(data).unwrap().expect("the marker");
                marker.swap(data, &mut |_| Ok(())).unwrap();
            }
            assert_eq!(which(data, "a").as_deref(), Some("new/a"), "step {interrupted_at}");
            assert_eq!(which(data, "b"), None);
            assert_eq!(which(data, "c").as_deref(), Some("new/c"));
            assert_eq!(which(data, "old/a").as_deref(), Some("a"), "step {interrupted_at}: nothing is lost");
            assert_eq!(which(data, "old/b").as_deref(), Some("b"));
            assert!(!data.join(MARKER).exists() && !data.join("new").exists());
            if first.is_ok() {
                assert_eq!(interrupted_at, 5, "a and b aside, a and c in place, the end");
                return;
            }
        }
    }

    #[test]
    fn a_marker_knows_its_backup() {
        let scratch = tempfile::tempdir().unwrap();
        let marker = prepared(scratch.path());
        assert!(marker.is_of("one") && marker.is_of("/backups/one") && marker.is_of("../backups/one/"));
        assert!(!marker.is_of("two") && !marker.is_of("/backups/two"));
    }
}
