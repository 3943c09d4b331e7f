//! The calls through which std (and with it the store and its engine) writes and syncs. The executable's own
//! definitions are taken instead of the C library's: they tell the watched disk, and sync nothing for real.

use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, Target};

static DISK: Mutex<Option<Disk>> = Mutex::new(None);
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// The watcher's own calls are not watched.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// One test of a process at a time: they have one disk.
pub(crate) fn take_turns() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the calls are told to. Nothing is written or synced meanwhile.
pub(crate) struct Watched(MutexGuard<'static, Option<Disk>>);

impl Watched {
    /// Waits for its turn; `None` within the watcher itself.
    fn enter() -> Option<Self> {
        // While a thread ends, its destructors may still write.
        let entered = WATCHING.try_with(|watching| watching.replace(true)).unwrap_or(true);
        (!entered).then(|| Self(DISK.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        WATCHING.set(false);
    }
}

/// Watches this disk from now on (or none), and gives back the one before.
pub(crate) fn watch(disk: Option<Disk>) -> Option<Disk> {
    let mut watched = Watched::enter().unwrap();
    std::mem::replace(&mut watched.0, disk)
}

/// Says how far the history is; answers how many writes and syncs there were.
pub(crate) fn progress(answered: usize, begun: usize) -> u64 {
    let mut watched = Watched::enter().unwrap();
    watched.0.as_mut().unwrap().progress(answered, begun)
}

fn descriptor(fd: c_int) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{fd}"))
}

/// Does a call on a descriptor, with the watched disk told before and after.
fn watched<T>(
    what: &str,
    fd: c_int,
    before: impl FnOnce(&mut Disk, &Target) -> u64,
    call: impl FnOnce() -> T,
    after: impl FnOnce(&mut Disk, &Target, u64, &T),
) -> T {
    let mut watched = if fd > 2 { Watched::enter() } else { None };
    let disk = watched.as_mut().and_then(|watched| watched.0.as_mut());
    let Some((disk, target)) = disk.and_then(|disk| disk.target(&descriptor(fd)).map(|target| (disk, target))) else {
        return call();
    };
    disk.before(what, &target);
    let noted = before(disk, &target);
    let answer = call();
    keep_error(|| after(disk, &target, noted, &answer));
    answer
}

/// Does something between a call and its answer, whose error number is the caller's.
fn keep_error(act: impl FnOnce()) {
    // SAFETY: the calling thread's own number.
    let number = unsafe { *libc::__errno_location() };
    act();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = number };
}

fn written(disk: &mut Disk, target: &Target, at: u64, buffer: *const c_void, answer: isize) {
    if let (Target::File(id), Ok(bytes)) = (target, usize::try_from(answer)) {
        // SAFETY: the caller's buffer has at least as many bytes as were written from it.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), bytes) };
        disk.written(*id, at, bytes);
    }
}

fn look(disk: &mut Disk, target: &Target) {
    if let Target::File(id) = target {
        disk.look(*id);
    }
}

/// The C library's call of this name.
#[unsafe(no_mangle)]
extern "C" fn pwrite64(fd: c_int, buffer: *const c_void, count: usize, offset: i64) -> isize {
    watched(
        "pwrite64",
        fd,
        |disk, target| {
            look(disk, target);
            u64::try_from(offset).unwrap_or(0)
        },
        // SAFETY: the caller's arguments, passed on.
        || unsafe { libc::syscall(libc::SYS_pwrite64, fd, buffer, count, offset) as isize },
        |disk, target, at, answer| written(disk, target, at, buffer, *answer),
    )
}

/// The C library's call of this name.
#[unsafe(no_mangle)]
extern "C" fn write(fd: c_int, buffer: *const c_void, count: usize) -> isize {
    watched(
        "write",
        fd,
        |disk, target| {
            look(disk, target);
            // SAFETY: takes no pointer. Nothing here is opened for appending.
            u64::try_from(unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }).unwrap_or(0)
        },
        // SAFETY: the caller's arguments, passed on.
        || unsafe { libc::syscall(libc::SYS_write, fd, buffer, count) as isize },
        |disk, target, at, answer| written(disk, target, at, buffer, *answer),
    )
}

/// The C library's call of this name.
#[unsafe(no_mangle)]
extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    watched(
        "ftruncate64",
        fd,
        |_, _| 0,
        // SAFETY: takes no pointer.
        || unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) as c_int },
        |disk, target, _, _| look(disk, target),
    )
}

/// The C library's call of this name.
#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    watched("fsync", fd, |_, _| 0, || 0, |disk, target, _, _| disk.synced(target))
}

/// The C library's call of this name.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    watched("fdatasync", fd, |_, _| 0, || 0, |disk, target, _, _| disk.synced(target))
}

/// Does a call that changes names, with the watched disk told before and after.
fn renamed(what: &str, path: *const c_char, call: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's text, which ends with 0.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())).to_owned();
    let mut watched = Watched::enter();
    let disk = watched.as_mut().and_then(|watched| watched.0.as_mut());
    let Some((disk, folder)) = disk.and_then(|disk| disk.folder_of(&path).map(|folder| (disk, folder))) else {
        return call();
    };
    disk.before(what, &Target::Folder(folder.join(path.file_name().unwrap_or_default())));
    disk.list(&folder);
    let answer = call();
    keep_error(|| disk.list(&folder));
    answer
}

/// The C library's call of this name. Nothing here is renamed into another folder.
#[unsafe(no_mangle)]
extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    renamed("rename", to, || unsafe {
        libc::syscall(libc::SYS_renameat, libc::AT_FDCWD, from, libc::AT_FDCWD, to) as c_int
    })
}

/// The C library's call of this name.
#[unsafe(no_mangle)]
extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    renamed("unlink", path, || unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) as c_int })
}
