//! Whether anything uses a data folder.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::super::error::Error;
use super::super::file;

/// Every process that uses a data folder holds this lock in `run/` together with the others; a restore has it alone.
pub const DATA_LOCK: &str = "data.lock";
/// How the lock of a socket ends, after the name of its process.
const SOCKET_LOCK: &str = ".sock.lock";

/// The data folder is ours alone until this is dropped.
#[derive(Debug)]
pub struct Exclusive {
    _locks: Vec<File>,
}

/// Takes every lock below `data/run`, or says by name who has one.
pub(super) fn take(data: &Path) -> Result<Exclusive, Error> {
    let run = data.join("run");
    file::make_folder(&run)?;
    let mut locks = Vec::new();
    let mut processes = Vec::new();
    for path in file::entries(&run)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|n| n.strip_suffix(SOCKET_LOCK))
        else {
            continue;
        };
        match lock(&path)? {
            Some(lock) => locks.push(lock),
            None => processes.push(name.to_owned()),
        }
    }
    match lock(&run.join(DATA_LOCK))? {
        Some(lock) => locks.push(lock),
        None if processes.is_empty() => processes.push("one that is starting or ending".to_owned()),
        None => {}
    }
    if processes.is_empty() { Ok(Exclusive { _locks: locks }) } else { Err(running(data, processes)) }
}

fn running(data: &Path, processes: Vec<String>) -> Error {
    Error::Running { data: data.to_owned(), processes }
}

fn lock(path: &PathBuf) -> Result<Option<File>, Error> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(Error::io("cannot open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            owned_as(path);
            Ok(Some(file))
        }
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(Error::io("cannot lock", path)(error.into())),
    }
}

/// A lock that root made must not keep the service's own user out later.
fn owned_as(path: &Path) {
    use std::os::unix::fs::{MetadataExt, lchown};
    let folder = path.parent().and_then(Path::parent).and_then(|data| fs::metadata(data).ok());
    if let Some(folder) = folder {
        let _ = lchown(path, Some(folder.uid()), Some(folder.gid()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::DataFolder;
    use crate::http::UnixSocket;

    #[tokio::test]
    async fn whoever_serves_a_socket_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("data");
        let data = DataFolder::open(&root).unwrap();
        let socket = UnixSocket::bind(&data.socket("video")).unwrap();
        let error = take(&root).unwrap_err();
        assert!(error.to_string().contains("(video): stop it first"), "{error}");
        drop(socket);
        let error = take(&root).unwrap_err();
        assert!(error.to_string().contains("starting or ending"), "{error}");
        drop(data);
        let alone = take(&root).unwrap();
        assert!(DataFolder::open(&root).unwrap_err().to_string().contains("is being restored"));
        drop(alone);
        DataFolder::open(&root).unwrap();
    }
}
