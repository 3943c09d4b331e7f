//! The data folder: what lies where.
//!
//! ```text
//! DATA/run/              sockets and their locks (0700)
//! DATA/<service>/        one service's database (0700)
//! DATA/media/            media files
//! DATA/setup-token       the one-time token, until there is an admin (0600)
//! ```

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::routes::Service;

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
}

/// Where everything of one instance lies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DataFolder {
    root: Arc<Path>,
}

impl DataFolder {
    /// Makes the folder and what it needs, or takes it as it is.
    ///
    /// # Errors
    /// If it cannot be made, or its path is too long for a socket.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DataFolderError::Io { path, source }
        };
        let root = std::path::absolute(root).map_err(failed(root))?;
        let folder = Self { root: root.clone().into() };
        folder.check_socket(LONGEST_SOCKET)?;
        private_folder(&root, false).map_err(failed(&root))?;
        private_folder(&folder.run(), true).map_err(failed(&folder.run()))?;
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
        self.root.join("run")
    }

    /// The folder of one service's database; the store makes it.
    pub fn service(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A process's socket: `run/<name>.sock`. `name` is a service, `notification-1`, `fanout` …
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.sock"))
    }

    /// The folder of the media files.
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// The file with the one-time set-up token.
    pub fn setup_token(&self) -> PathBuf {
        self.root.join("setup-token")
    }

    fn check_socket(&self, name: &str) -> Result<(), DataFolderError> {
        let path = self.socket(name);
        let length = path.as_os_str().as_bytes().len();
        if length > SOCKET_PATH_MAX_BYTES {
            return Err(DataFolderError::SocketPathTooLong { path, length });
        }
        Ok(())
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
