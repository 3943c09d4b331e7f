//! Room on the disk. The engine must never meet a full one: it would stop, and could not even be opened again.
//!
//! While all is well a file of `ballast_bytes` lies beside the engine. When less than half of that is free, the
//! file is given up, and only essential batches are taken (deleting, logging in, finishing work), until less
//! than an eighth is left. When there is room for twice the ballast again, the file is made again and everybody may write.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::journal;

const NAME: &str = "ballast";

/// Who may write at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Admission {
    /// Nobody.
    Nobody,
    /// Essential batches.
    Essential,
    /// Everybody.
    Everybody,
}

/// The room of one store. Without a ballast nothing is looked at.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    ballast_bytes: u64,
    /// Whether the ballast was given up.
    nearly_full: AtomicBool,
}

impl Room {
    /// Makes sure, before the engine is opened, that it can be.
    pub(crate) fn prepare(folder: &Path, ballast_bytes: u64) -> Self {
        let room = Self { folder: folder.to_owned(), ballast_bytes, nearly_full: AtomicBool::new(false) };
        if ballast_bytes > 0 {
            let there = fs::metadata(room.path()).is_ok_and(|file| file.len() == ballast_bytes);
            room.nearly_full.store(!there, Ordering::Relaxed);
            room.admission();
        }
        room
    }

    /// Whether the ballast is given up.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.nearly_full.load(Ordering::Relaxed)
    }

    /// Looks at the disk, gives up the ballast or makes it again, and says who may write.
    pub(crate) fn admission(&self) -> Admission {
        if self.ballast_bytes == 0 {
            return Admission::Everybody;
        }
        let Some(free) = free_bytes(&self.folder) else { return Admission::Everybody };
        if self.is_nearly_full() {
            if free < self.ballast_bytes.saturating_mul(2) || !self.make() {
                return if free < self.ballast_bytes / 8 { Admission::Nobody } else { Admission::Essential };
            }
        } else if free < self.ballast_bytes / 2 {
            self.give_up();
            return Admission::Essential;
        }
        Admission::Everybody
    }

    /// Gives the ballast back to the disk.
    pub(crate) fn give_up(&self) {
        if self.ballast_bytes == 0 || self.nearly_full.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(folder = %self.folder.display(), "the disk is nearly full: only what is essential is written");
        if let Err(error) = fs::remove_file(self.path()) {
            tracing::error!(%error, "the ballast cannot be given up");
        }
    }

    /// Makes the ballast; whether that worked.
    fn make(&self) -> bool {
        let make = || {
            let file = File::options().create(true).truncate(true).write(true).open(self.path())?;
            journal::allocate(&file, self.ballast_bytes)?;
            file.sync_all()
        };
        let made: io::Result<()> = make();
        if let Err(error) = made {
            tracing::warn!(%error, "the ballast cannot be made yet");
            // Half of one is of no use.
            let _ = fs::remove_file(self.path());
            return false;
        }
        self.nearly_full.store(false, Ordering::Relaxed);
        true
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

/// What an unprivileged process may still write here, in bytes.
fn free_bytes(folder: &Path) -> Option<u64> {
    let answer = rustix::fs::statvfs(folder).ok()?;
    Some(answer.f_bavail.saturating_mul(answer.f_frsize))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ballast_is_made_where_there_is_room_and_not_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::prepare(folder.path(), 1 << 20);
        assert_eq!((room.admission(), room.is_nearly_full()), (Admission::Everybody, false));
        assert_eq!(fs::metadata(room.path()).unwrap().len(), 1 << 20);
        // More than any disk has: given up, and never made again.
        let small = Room::prepare(folder.path(), 1 << 60);
        assert!(small.is_nearly_full());
        assert_eq!(small.admission(), Admission::Nobody);
        let none = Room::prepare(folder.path(), 0);
        assert_eq!(none.admission(), Admission::Everybody);
    }
}
