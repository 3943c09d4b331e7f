//! The data folder: what lies where.
//!
//! ```text
//! DATA/run/              sockets and their locks (0700)
//! DATA/<service>/        one service's database (0700)
//! DATA/media/            media files
//! DATA/.<service>-is-here  that its database has been there
//! DATA/setup-token       the one-time token, until there is an admin (0600)
//! DATA/backups/          backups, unless [backup] folder says otherwise (0700)
//! DATA/restore-…, replaced-…   a restore that is under way, and what restores replaced
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::routes::Service;
use rustix::fs::{FlockOperation, flock};

use crate::backup::restore;
use crate::limits::SOCKET_PATH_MAX_BYTES;

/// The longest name of a socket, which decides whether the folder's path is short enough.
const LONGEST_SOCKET: &str = "notification-15";

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// The system refused.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Io {
        /// The folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path of a socket would be too long.
    #[error(
        "the data folder's path is too long: the socket {} has {length} bytes, and a socket's path may have \
         {SOCKET_PATH_MAX_BYTES}; choose a shorter path with --data",
        path.display()
    )]
    SocketPathTooLong {
        /// The socket concerned.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A backup is being brought back into it.
    #[error("the data folder {} is being restored: start DjStream when that is done", path.display())]
    BeingRestored {
        /// The folder.
        path: PathBuf,
    },
    /// A restore was interrupted when it had begun to change things.
    #[error(
        "a restore of the data folder {} was interrupted: finish it with 'djstreamctl backup restore {id} --yes'",
        path.display()
    )]
    RestoreUnfinished {
        /// The folder.
        path: PathBuf,
        /// Which backup was being restored.
        id: String,
    },
}

/// Where everything of one instance lies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DataFolder {
    root: Arc<Path>,
    /// Held together with every other process of this instance; a restore wants it alone.
    _shared: Arc<File>,
}

impl DataFolder {
    /// Makes the folder and what it needs, or takes it as it is.
    ///
    /// # Errors
    /// If it cannot be made, its path is too long for a socket, or a backup is being restored into it.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DataFolderError::Io { path, source }
        };
        let root = std::path::absolute(root).map_err(failed(root))?;
        check_socket(&root)?;
        private_folder(&root, false).map_err(failed(&root))?;
        private_folder(&run(&root), true).map_err(failed(&run(&root)))?;
        let folder = Self { _shared: share(&root)?.into(), root: root.into() };
        let root = folder.root.to_path_buf();
        if let Some(id) = restore::interrupted(&root).unwrap_or_else(|error| Some(error.to_string())) {
            return Err(DataFolderError::RestoreUnfinished { path: root, id });
        }
        private_folder(&folder.media(), false).map_err(failed(&folder.media()))?;
        // Hashes of passwords and the keys that sign tokens are in there, and the folder around them may have
        // been made by somebody else, for everyone to enter.
        for service in Service::ALL {
            let database = folder.service(service.name());
            private_folder(&database, true).map_err(failed(&database))?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the sockets.
    pub fn run(&self) -> PathBuf {
        run(&self.root)
    }

    /// The folder of one service's database; the store makes it.
    pub fn service(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A process's socket: `run/<name>.sock`. `name` is a service, `notification-1`, `fanout` …
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.sock"))
    }

    /// The note that the supervisor leaves when it does not start a process again; its text is for the admin.
    pub fn stopped_note(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.stopped"))
    }

    /// The mark that a service's database has been there: it must not begin empty by itself again.
    pub fn known_database(&self, service: &str) -> PathBuf {
        self.root.join(format!(".{service}-is-here"))
    }

    /// The folder of the media files.
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// The file with the one-time set-up token.
    pub fn setup_token(&self) -> PathBuf {
        self.root.join("setup-token")
    }
}

fn run(root: &Path) -> PathBuf {
    root.join("run")
}

fn check_socket(root: &Path) -> Result<(), DataFolderError> {
    let path = run(root).join(format!("{LONGEST_SOCKET}.sock"));
    let length = path.as_os_str().as_bytes().len();
    if length > SOCKET_PATH_MAX_BYTES {
        return Err(DataFolderError::SocketPathTooLong { path, length });
    }
    Ok(())
}

/// Takes the lock that keeps restores away for as long as this process lives.
fn share(root: &Path) -> Result<File, DataFolderError> {
    let path = run(root).join(restore::DATA_LOCK);
    let opened = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|source| DataFolderError::Io { path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DataFolderError::BeingRestored { path: root.to_owned() }),
        Err(error) => Err(DataFolderError::Io { path, source: error.into() }),
    }
}

/// Makes a folder for this user only. One that is there keeps its rights, unless `strict`.
fn private_folder(path: &Path, strict: bool) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if strict && fs::metadata(path)?.permissions().mode() & 0o777 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_sockets_folder_is_private() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("data/run")).unwrap();
        fs::set_permissions(scratch.path().join("data/run"), fs::Permissions::from_mode(0o755)).unwrap();
        let data = DataFolder::open(&scratch.path().join("data")).unwrap();
        assert_eq!(fs::metadata(data.run()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(data.socket("video"), scratch.path().join("data/run/video.sock"));
    }

    #[test]
    fn databases_are_private_in_a_folder_that_others_may_enter() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("data");
        fs::create_dir_all(root.join("gateway")).unwrap();
        for folder in [root.clone(), root.join("gateway")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let data = DataFolder::open(&root).unwrap();
        for service in Service::ALL {
            let rights = fs::metadata(data.service(service.name())).unwrap().permissions().mode();
            assert_eq!(rights & 0o777, 0o700, "{}", service.name());
        }
        assert_eq!(
            fs::metadata(&root).unwrap().permissions().mode() & 0o777,
            0o755,
            "the folder itself is the admin's"
        );
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_by_name() {
        let scratch = tempfile::tempdir().unwrap();
        let error = DataFolder::open(&scratch.path().join("d".repeat(100))).unwrap_err();
        assert!(matches!(error, DataFolderError::SocketPathTooLong { .. }));
        assert!(error.to_string().contains("notification-15.sock"), "{error}");
    }
}
