//! Backups: copies of all five stores and of the media, of one moment, taken while everything runs.
//!
//! ```text
//! BACKUPS/20261124T173200Z-1f3a9c/     one backup (0700); an unfinished one is called unfinished-…
//!   manifest.json                      what is in it, when it was made and when it was last verified
//!   stores/<service>.store             one store each, of the same moment
//!   media.jsonl                        every media file: path, size, time, SHA-256, how it was taken
//!   media/<video>/<file>               the files: hard links where possible, else copies
//! ```
//!
//! Owns: that layout, what each process does for a backup ([`Part`] for a store, [`media`] for the media folder),
//! checking one ([`check`]), bringing one back ([`restore`]), and which ones are kept. Deliberately absent: when a
//! backup is made and in which order the processes are asked; that is the gateway's.

mod check;
mod error;
mod file;
mod folder;
mod manifest;
pub mod media;
mod part;
pub mod protocol;
pub mod restore;
mod routes;
pub mod schedule;

pub use check::{Depth, check};
pub use error::Error;
pub use file::{Digest, sync_tree};
pub use folder::{Entry, Folder, Unfinished, store_files};
pub use manifest::{FORMAT, Manifest, MediaFile, MediaSummary, StoreFile, Taken, read_list};
pub(crate) use part::Part;
pub(crate) use routes::before;

#[cfg(test)]
mod tests;
