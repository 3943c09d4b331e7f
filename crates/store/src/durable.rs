//! Makes the engine's barriers real.
//!
//! sled ends a flush with `sync_file_range`, which promises nothing about a power cut. When that call
//! answers "not implemented" it falls back to a full sync, with errors reported. So one filter of the
//! kernel's turns all its barriers into real ones. Children inherit it, and nothing here misses the call.

use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::error::OpenError;

/// Makes `sync_file_range` answer ENOSYS in all threads of this process. To be called first
/// thing in `main`; [`Store::open`](crate::Store::open) makes sure of it. Calling it again does nothing.
pub fn install() -> Result<(), OpenError> {
    if is_installed() {
        return Ok(());
    }
    let refused = |reason: String| OpenError::NotDurable { reason };
    let program = filter().map_err(|error| refused(error.to_string()))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| refused(error.to_string()))?;
    if is_installed() { Ok(()) } else { Err(refused("the filter has no effect".to_owned())) }
}

/// Whether `sync_file_range` answers ENOSYS.
pub fn is_installed() -> bool {
    // Without the filter -1 is a bad descriptor.
    // SAFETY: the call takes no pointer, and -1 names no file.
    let answer = unsafe { libc::sync_file_range(-1, 0, 0, 0) };
    answer == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = [(libc::SYS_sync_file_range, Vec::new())].into_iter().collect();
    let enosys = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, enosys, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_call_answers_enosys_in_every_thread() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let before = std::thread::spawn(move || {
            wait.recv().unwrap();
            is_installed()
        });
        install().unwrap();
        install().unwrap();
        go.send(()).unwrap();
        assert!(before.join().unwrap(), "a thread that was there before");
        assert!(std::thread::spawn(is_installed).join().unwrap(), "a later thread");
    }
}
