//! Where a process listens: TCP, and Unix sockets that belong to one process at a time.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use crate::limits::{LISTEN_BACKLOG, SOCKET_PATH_MAX_BYTES};

/// A socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Its path is longer than the system allows.
    #[error("{} has {length} bytes; a socket's path may have {SOCKET_PATH_MAX_BYTES}", path.display())]
    PathTooLong {
        /// The socket.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Another process serves it.
    #[error("another process serves {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else at its path.
    #[error("{} is there and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {place}: {source}")]
    Io {
        /// The address or path.
        place: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens on a TCP address.
///
/// # Errors
/// If the system refuses, mostly because another program has the port.
pub fn bind_tcp(address: SocketAddr) -> Result<TcpListener, SocketError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(u32::from(LISTEN_BACKLOG))
    };
    listen().map_err(|source| SocketError::Io { place: address.to_string(), source })
}

/// A Unix socket that this process serves. The lock beside it (`….lock`) says so, and the system lets go of
/// it however the process ends; so neither file is ever unlinked at the end, and no successor's is by mistake.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    _lock: File,
}

impl UnixSocket {
    /// Takes the lock, removes what a dead process left, and listens. Call it inside the runtime.
    ///
    /// # Errors
    /// If another process serves it, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let length = path.as_os_str().as_bytes().len();
        if length > SOCKET_PATH_MAX_BYTES {
            return Err(SocketError::PathTooLong { path: path.to_owned(), length });
        }
        let io = |source| SocketError::Io { place: path.display().to_string(), source };
        let lock = lock(path)?;
        remove_stale(path)?;
        let listener = listen(path).map_err(io)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
        Ok(Self { listener, _lock: lock })
    }

    /// The next connection of this user or root (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Whatever the system says; `PermissionDenied` when another user was turned away, which is no reason to end.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid != rustix::process::geteuid().as_raw() && uid != 0 {
            tracing::warn!(uid, "a process of another user was turned away");
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(stream)
    }

    /// Its connections, for what is not HTTP. Whoever accepts them checks who is at the other end.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

fn lock(path: &Path) -> Result<File, SocketError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let io = |source| SocketError::Io { place: name.display().to_string(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(error) => Err(io(error.into())),
    }
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let io = |source| SocketError::Io { place: path.display().to_string(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(io),
        Ok(_) => Err(SocketError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, i32::from(LISTEN_BACKLOG))?;
    UnixListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn one_process_at_a_time_and_what_a_dead_one_left_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("video.sock");
        let first = UnixSocket::bind(&path).unwrap();
        assert!(matches!(UnixSocket::bind(&path), Err(SocketError::InUse { .. })));
        drop(first);
        assert!(path.exists(), "the socket must not be unlinked at the end");
        UnixSocket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("video.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(UnixSocket::bind(&path), Err(SocketError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    /// Needs root, to be somebody else for a moment: in this thread only, as the system call itself works.
    #[tokio::test]
    async fn another_user_is_turned_away() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("video.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let connect = move |uid: u32| {
            let uid = rustix::thread::Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            std::os::unix::net::UnixStream::connect(&path).unwrap()
        };
        let own = connect.clone();
        let stranger = std::thread::spawn(move || connect(65_534)).join().unwrap();
        assert_eq!(socket.accept().await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        drop(stranger);
        let _root = std::thread::spawn(move || own(0)).join().unwrap();
        socket.accept().await.unwrap();
    }
}
