//! One file at a time: digests, links and copies.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::error::Error;

/// What is read at once, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A SHA-256, in lower-case hexadecimal in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let whole = text.len() == 64 && text.is_ascii();
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(index * 2..index * 2 + 2).filter(|_| whole);
            let read = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            *byte = read.ok_or_else(|| serde::de::Error::custom("not a SHA-256"))?;
        }
        Ok(Self(bytes))
    }
}

/// The SHA-256 of the first `bytes` of a file; damage when it is shorter.
pub(super) fn digest(path: &Path, bytes: u64, stop: &CancellationToken) -> Result<Digest, Error> {
    let file = open(path)?;
    pass(path, file, bytes, stop, |_| Ok(()))
}

/// Copies the first `bytes` of `from` into the new file `to`, with its time of change, synced.
pub(super) fn copy(from: &Path, to: &Path, bytes: u64, stop: &CancellationToken) -> Result<Digest, Error> {
    let source = open(from)?;
    let modified = source.metadata().and_then(|found| found.modified()).map_err(Error::io("cannot look at", from))?;
    let mut target = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(Error::io("cannot make", to))?;
    let digest =
        pass(from, source, bytes, stop, |piece| target.write_all(piece).map_err(Error::io("cannot write", to)))?;
    target.set_modified(modified).and_then(|()| target.sync_all()).map_err(Error::io("cannot sync", to))?;
    Ok(digest)
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::damaged(path, "it is missing"),
        _ => Error::io("cannot read", path)(source),
    })
}

fn pass(
    path: &Path,
    file: File,
    bytes: u64,
    stop: &CancellationToken,
    mut each: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Digest, Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut left = bytes;
    let mut file = file.take(bytes);
    while left > 0 {
        if stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        let length = file.read(&mut buffer).map_err(Error::io("cannot read", path))?;
        if length == 0 {
            return Err(Error::damaged(path, format!("it ends {left} bytes too early")));
        }
        hasher.update(&buffer[..length]);
        each(&buffer[..length])?;
        left -= length as u64;
    }
    Ok(Digest(hasher.finalize().into()))
}

/// Whether an error of `hard_link` says that it cannot be had here, and a copy can.
pub(super) fn cannot_link(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::ACCESS | Errno::NOSYS))
}

/// When a file was last changed, in nanoseconds since 1970.
pub(super) fn modified_ns(found: &fs::Metadata) -> u64 {
    let since = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since: Duration| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Makes a folder for this user only, with those around it.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::io("cannot make", path))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("cannot sync", path))
}

/// Makes everything durable that was written to the file system that `path` lies on: one call for many files.
///
/// # Errors
/// When the system refuses.
pub fn sync_tree(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|file| rustix::fs::syncfs(&file).map_err(io::Error::from));
    synced.map_err(Error::io("cannot sync", path))
}

/// Writes a file whole or not at all, durably.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(Error::io("cannot write", path))?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Removes a folder with everything in it; one that is not there is removed already.
pub(super) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

/// Every entry of a folder, sorted by name; none when it is not there.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("cannot read", folder)(error)),
    };
    let mut paths = read
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(Error::io("cannot read", folder))?;
    paths.sort();
    Ok(paths)
}

/// Bytes that this user may still write where `path` lies; everything when the system does not say.
pub(super) fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_copy_has_the_bytes_the_time_and_the_digest() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::write(&from, b"a film, and more").unwrap();
        let digest = copy(&from, &to, 6, &CancellationToken::new()).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"a film");
        assert_eq!(digest, Digest::of(b"a film"));
        let time = |path: &Path| modified_ns(&fs::metadata(path).unwrap());
        assert_eq!(time(&from), time(&to));
    }

    #[test]
    fn a_file_that_is_too_short_is_damage_and_says_where() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("film");
        fs::write(&path, b"short").unwrap();
        let error = digest(&path, 6, &CancellationToken::new()).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("film is damaged: it ends 1 bytes"), "{error}");
        let error = digest(&scratch.path().join("none"), 6, &CancellationToken::new()).unwrap_err();
        assert!(error.to_string().contains("none is damaged: it is missing"), "{error}");
    }

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = Digest::of(b"x");
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"00\"").is_err());
    }
}
