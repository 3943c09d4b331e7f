//! The media folder's part: hold the files of one moment, then settle them in the backup.
//!
//! Holding is quick whatever the films weigh: each file gets one more hard link, in the backup itself or, when that
//! is on another disk, in a folder beside the media (`media/.held-<id>`). While it lasts no file of a video may be
//! removed. Settling takes its time: what is on another disk is copied, unless an earlier backup has the same file
//! (path, size, time of change), and each file is read once in its life for its SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::file;
use super::manifest::{self, MEDIA, Manifest, MediaFile, MediaSummary, Taken};

/// How the folder begins in which files are held beside the media.
const HELD: &str = ".held-";
/// Clocks of file systems are coarse: what changed this long before the hold counts as changing.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// What is to be taken.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The media folder.
    pub media: PathBuf,
    /// The unfinished backup.
    pub backup: PathBuf,
    /// The newest earlier backup.
    pub earlier: Option<PathBuf>,
    /// Files that uploads went on with when removals began to wait, relative to the media folder.
    pub growing: BTreeSet<String>,
    /// When removals began to wait. A file that changed since may still grow.
    pub since: SystemTime,
    /// Which folders hold work that is not done yet and belong to no backup: their names say so.
    pub is_work: fn(&str) -> bool,
}

/// Files that stay as they are until they are settled or dropped.
#[derive(Debug)]
pub struct Held {
    plan: Plan,
    files: Vec<HeldFile>,
    beside: Option<PathBuf>,
    all: bool,
}

#[derive(Debug)]
struct HeldFile {
    path: String,
    bytes: u64,
    modified_ns: u64,
    growing: bool,
    /// Where its bytes are until it is settled; absent when they are in the backup.
    source: Option<PathBuf>,
}

impl Plan {
    /// Holds every file of the media folder. Blocking, and quick.
    ///
    /// # Errors
    /// When a folder cannot be read or a link cannot be made.
    pub fn hold(self) -> Result<Held, Error> {
        let id = self.backup.file_name().and_then(|name| name.to_str()).unwrap_or("backup").to_owned();
        let beside = self.media.join(format!("{HELD}{id}"));
        let mut held = Held { plan: self, files: Vec::new(), beside: None, all: true };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for path in file::entries(&held.plan.media.join(&folder))? {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let inner = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                match fs::symlink_metadata(&path) {
                    _ if name.starts_with('.') => {}
                    Ok(found) if found.is_dir() && (held.plan.is_work)(name) => {}
                    Ok(found) if found.is_dir() => folders.push(inner),
                    Ok(found) if found.is_file() => held.take(&path, inner, &found, &beside)?,
                    // A working file that was there a moment ago, or nothing of ours.
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io("cannot look at", &path)(error)),
                }
            }
        }
        held.files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(held)
    }
}

impl Held {
    fn take(&mut self, from: &Path, path: String, found: &fs::Metadata, beside: &Path) -> Result<(), Error> {
        let growing = self.plan.growing.contains(&path) || changed_since(found, self.plan.since);
        let one = |path, source| HeldFile {
            path,
            bytes: found.len(),
            modified_ns: file::modified_ns(found),
            growing,
            source,
        };
        let inside = self.plan.backup.join(MEDIA).join(&path);
        let aside = beside.join(&path);
        let places = if self.beside.is_none() { vec![(inside, false), (aside, true)] } else { vec![(aside, true)] };
        for (place, is_beside) in places {
            match link(from, &place) {
                Ok(()) => {
                    if is_beside {
                        self.beside = Some(beside.to_owned());
                    }
                    self.files.push(one(path, is_beside.then_some(place)));
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if file::cannot_link(&error) => {}
                Err(error) => return Err(Error::io("cannot link", &place)(error)),
            }
        }
        // No hard links here at all: it is copied from where it is, and removals wait until that is done.
        self.all = false;
        self.files.push(one(path, Some(from.to_owned())));
        Ok(())
    }

    /// Whether every file is held, so that removals may go on. Else they wait until all is settled.
    pub fn is_whole(&self) -> bool {
        self.all
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Brings everything into the backup, writes the list, and lets go. Blocking, and slow when films are copied.
    ///
    /// # Errors
    /// When something cannot be read or written, or `stop` was cancelled.
    pub fn settle(mut self, stop: &CancellationToken) -> Result<MediaSummary, Error> {
        let earlier = Earlier::read(self.plan.earlier.as_deref());
        let root = self.plan.backup.join(MEDIA);
        let mut files = Vec::with_capacity(self.files.len());
        for one in std::mem::take(&mut self.files) {
            files.push(settle(&root, &earlier, one, stop)?);
        }
        manifest::write_list(&self.plan.backup, &files)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside
            && let Err(error) = file::remove_folder(beside)
        {
            tracing::warn!(%error, "links of a backup are removed at the next start");
        }
    }
}

/// Removes what a crash left of held files; says how many folders there were. Blocking.
///
/// # Errors
/// When something cannot be removed.
pub fn tidy(media: &Path) -> Result<usize, Error> {
    let is_held = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(HELD));
    let held: Vec<PathBuf> = file::entries(media)?.into_iter().filter(is_held).collect();
    held.iter().try_for_each(|path| file::remove_folder(path))?;
    Ok(held.len())
}

fn changed_since(found: &fs::Metadata, since: SystemTime) -> bool {
    let since = since.checked_sub(CLOCK_SLACK).unwrap_or(UNIX_EPOCH);
    found.modified().is_ok_and(|at| at >= since)
}

/// Makes a hard link, with the folder that it is in.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = to.parent().unwrap_or(Path::new("/"));
            if folder.is_dir() {
                return Err(error);
            }
            file::make_folder(folder).map_err(io::Error::other)?;
            fs::hard_link(from, to)
        }
        done => done,
    }
}

/// What the newest earlier backup has.
#[derive(Default)]
struct Earlier {
    root: PathBuf,
    files: BTreeMap<String, MediaFile>,
}

impl Earlier {
    /// One that cannot be read is as good as none: everything is taken anew.
    fn read(root: Option<&Path>) -> Self {
        let Some(root) = root else { return Self::default() };
        let files = Manifest::read(root).and_then(|found| manifest::read_list(root, &found.media));
        match files {
            Ok(files) => Self { root: root.join(MEDIA), files: manifest::by_path(files) },
            Err(error) => {
                tracing::warn!(%error, "the earlier backup is of no use for this one");
                Self::default()
            }
        }
    }

    /// The same file, if its bytes are there.
    fn same(&self, one: &HeldFile) -> Option<(&MediaFile, PathBuf, fs::Metadata)> {
        let known = self.files.get(&one.path)?;
        let path = self.root.join(&one.path);
        let found = fs::metadata(&path).ok()?;
        let same = known.bytes == one.bytes && known.modified_ns == one.modified_ns && found.len() == one.bytes;
        same.then_some((known, path, found))
    }
}

fn settle(root: &Path, earlier: &Earlier, one: HeldFile, stop: &CancellationToken) -> Result<MediaFile, Error> {
    let target = root.join(&one.path);
    let same = earlier.same(&one);
    let (taken, sha256) = match (&one.source, same) {
        (None, Some((known, _, found))) if is_inode(&target, &found) => (Taken::Linked, known.sha256),
        (None, _) => (Taken::Linked, file::digest(&target, one.bytes, stop)?),
        (Some(_), Some((known, path, _))) if link(&path, &target).is_ok() => (Taken::Carried, known.sha256),
        (Some(source), _) => {
            file::make_folder(target.parent().unwrap_or(root))?;
            (Taken::Copied, file::copy(source, &target, one.bytes, stop)?)
        }
    };
    Ok(MediaFile {
        path: one.path,
        bytes: one.bytes,
        modified_ns: one.modified_ns,
        taken,
        // A copy is as it was.
        growing: one.growing && taken == Taken::Linked,
        sha256,
    })
}

fn is_inode(path: &Path, other: &fs::Metadata) -> bool {
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::super::file::Digest;
    use super::super::manifest::tests::manifest;
    use super::*;

    fn plan(root: &Path, name: &str, earlier: Option<&str>) -> Plan {
        Plan {
            media: root.join("media"),
            backup: root.join(name),
            earlier: earlier.map(|name| root.join(name)),
            growing: BTreeSet::from(["v3/upload".to_owned()]),
            since: SystemTime::now() + Duration::from_secs(60),
            is_work: |name| name.starts_with("work-"),
        }
    }

    fn films(root: &Path) {
        for (path, bytes) in [("v1/film", "one"), ("v1/list", "two"), ("v2/film", "three"), ("v3/upload", "half")] {
            let path = root.join("media").join(path);
            file::make_folder(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        for litter in ["media/v1/work-7/part", "media/.held-old/v1/film"] {
            file::make_folder(root.join(litter).parent().unwrap()).unwrap();
            fs::write(root.join(litter), "no").unwrap();
        }
    }

    fn inode(path: PathBuf) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    fn take(root: &Path, name: &str, earlier: Option<&str>) -> Vec<MediaFile> {
        let summary = plan(root, name, earlier).hold().unwrap().settle(&CancellationToken::new()).unwrap();
        let mut written = manifest("20261124T173200Z-1f3a9c");
        written.media = summary.clone();
        written.write(&root.join(name)).unwrap();
        manifest::read_list(&root.join(name), &summary).unwrap()
    }

    #[test]
    fn films_are_linked_and_read_once() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        films(root);
        let first = take(root, "first", None);
        let paths: Vec<&str> = first.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["v1/film", "v1/list", "v2/film", "v3/upload"]);
        assert_eq!(first[0].sha256, Digest::of(b"one"));
        assert!(first.iter().all(|one| one.taken == Taken::Linked));
        assert_eq!(inode(root.join("first/media/v1/film")), inode(root.join("media/v1/film")));

        // What the first backup says of an unchanged file is believed: here it is made to say something else.
        let mut bent = first.clone();
        bent[0].sha256 = Digest::of(b"made up");
        fs::remove_file(root.join("first/media.jsonl")).unwrap();
        let mut written = manifest("20261124T173200Z-1f3a9c");
        written.media = manifest::write_list(&root.join("first"), &bent).unwrap();
        written.write(&root.join("first")).unwrap();
        let second = take(root, "second", Some("first"));
        assert_eq!(second[0].sha256, Digest::of(b"made up"));
        assert_eq!(inode(root.join("second/media/v1/film")), inode(root.join("media/v1/film")));
    }

    #[test]
    fn an_upload_that_goes_on_counts_with_what_it_had() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        films(root);
        let held = plan(root, "first", None).hold().unwrap();
        assert!(held.is_whole() && held.len() == 4);
        let mut upload = fs::OpenOptions::new().append(true).open(root.join("media/v3/upload")).unwrap();
        upload.write_all(b" and more").unwrap();
        let summary = held.settle(&CancellationToken::new()).unwrap();
        let list = manifest::read_list(&root.join("first"), &summary).unwrap();
        let grown = list.iter().find(|one| one.path == "v3/upload").unwrap();
        assert_eq!((grown.bytes, grown.growing, grown.sha256), (4, true, Digest::of(b"half")));
        assert_eq!(list.iter().filter(|one| one.growing).count(), 1);
    }

    #[test]
    fn a_file_younger_than_the_pause_may_grow_as_well() {
        let scratch = tempfile::tempdir().unwrap();
        films(scratch.path());
        let plan = Plan { since: SystemTime::now(), ..plan(scratch.path(), "first", None) };
        let held = plan.hold().unwrap();
        assert!(held.files.iter().all(|one| one.growing));
    }

    #[test]
    fn removals_while_files_are_held_take_nothing_from_the_backup() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        films(root);
        let held = plan(root, "first", None).hold().unwrap();
        fs::remove_dir_all(root.join("media/v2")).unwrap();
        let summary = held.settle(&CancellationToken::new()).unwrap();
        assert_eq!(fs::read(root.join("first/media/v2/film")).unwrap(), b"three");
        assert_eq!(summary.files, 4);
        assert_eq!(tidy(&root.join("media")).unwrap(), 1);
    }

    /// Another file system is /dev/shm, where there is one.
    #[test]
    fn on_another_disk_films_are_copied_once_and_then_carried() {
        let (Ok(here), Ok(other)) = (tempfile::tempdir_in("/dev/shm"), tempfile::tempdir()) else { return };
        if fs::metadata(here.path()).unwrap().dev() == fs::metadata(other.path()).unwrap().dev() {
            return;
        }
        films(here.path());
        let plan = |name: &str, earlier: Option<&str>| Plan {
            backup: other.path().join(name),
            earlier: earlier.map(|name| other.path().join(name)),
            ..plan(here.path(), name, None)
        };
        let taken = |held: Held, name: &str| {
            let summary = held.settle(&CancellationToken::new()).unwrap();
            let mut written = manifest("20261124T173200Z-1f3a9c");
            written.media = summary.clone();
            written.write(&other.path().join(name)).unwrap();
            manifest::read_list(&other.path().join(name), &summary).unwrap()
        };
        let held = plan("first", None).hold().unwrap();
        assert!(held.is_whole(), "held beside the media");
        fs::remove_dir_all(here.path().join("media/v2")).unwrap();
        let first = taken(held, "first");
        assert!(first.iter().all(|one| one.taken == Taken::Copied && !one.growing));
        assert!(!here.path().join("media/.held-first").exists(), "let go");
        fs::write(here.path().join("media/v1/list"), "changed").unwrap();
        let second = taken(plan("second", Some("first")).hold().unwrap(), "second");
        let how: Vec<(&str, Taken)> = second.iter().map(|one| (one.path.as_str(), one.taken)).collect();
        assert_eq!(how, [("v1/film", Taken::Carried), ("v1/list", Taken::Copied), ("v3/upload", Taken::Carried)]);
        assert_eq!(inode(other.path().join("first/media/v1/film")), inode(other.path().join("second/media/v1/film")));
        assert_eq!(fs::read(other.path().join("second/media/v1/list")).unwrap(), b"changed");
    }
}
