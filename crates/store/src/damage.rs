//! Ends the process where going on could acknowledge what is lost, or answer what is wrong.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::OnDamage;
use crate::state::{State, StateFile};
use crate::writer::EXIT_CODE_DAMAGED;

/// What readers call when the engine gives them what cannot be.
pub(crate) fn stopper(folder: &Path, state: &Arc<Mutex<StateFile>>) -> Arc<OnDamage> {
    let (folder, state) = (folder.to_owned(), Arc::clone(state));
    Arc::new(move |reason: &str| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        note_and_stop(&folder, &mut state, reason)
    })
}

/// Notes, for the next opening, that the engine is damaged, and ends the process.
pub(crate) fn note_and_stop(folder: &Path, state: &mut StateFile, reason: &str) -> ! {
    let noted = state.set(State { damaged: true, clean: false, ..state.state() });
    if let Err(error) = noted {
        tracing::error!(%error, "the damage could not be noted");
    }
    stop(folder, "the database is damaged", &reason, EXIT_CODE_DAMAGED)
}

/// Says why, and ends the process.
pub(crate) fn stop(folder: &Path, what: &str, error: &dyn Display, code: i32) -> ! {
    let folder = folder.display();
    tracing::error!(%folder, %error, "{what}: stopping, so that nothing is acknowledged that may be lost");
    if !tracing::dispatcher::has_been_set() {
        let _ = writeln!(io::stderr(), "store {folder}: {what}: {error}");
    }
    std::process::exit(code)
}
