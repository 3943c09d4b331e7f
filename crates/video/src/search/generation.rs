//! One index on the disk: `search/0000000001`, `search/0000000002` … A rebuild makes the next one beside
//! the old one, and its last commit, which says that it is complete, is the swap.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tantivy::directory::error::{OpenDirectoryError, OpenReadError};
use tantivy::{Index, IndexReader, ReloadPolicy, TantivyError};

use super::error::SearchError;
use super::limits::STORE_CACHE_BLOCKS;
use super::schema::{Fields, VERSION, schema};
use super::view::View;

/// What a commit says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// How documents are indexed.
    pub(super) version: u32,
    /// Which history of the log the sequence belongs to.
    pub(super) epoch: u64,
    /// The last event that is in the index.
    pub(super) sequence: u64,
    /// False while a rebuild goes on.
    pub(super) complete: bool,
}

/// An opened index.
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) index: Index,
    pub(super) fields: Fields,
    reader: IndexReader,
    view: RwLock<Arc<View>>,
}

/// Whether the index on the disk can be used.
pub(super) enum Opened {
    Usable(Box<Generation>, Progress),
    /// Damaged, unfinished or of another version: to be made anew.
    Unusable(String),
}

impl Generation {
    /// An empty one in a new folder.
    pub(super) fn create(folder: &Path, number: u64) -> Result<Self, SearchError> {
        let path = path(folder, number);
        fs::create_dir_all(&path).map_err(|source| SearchError::Io { path: path.clone(), source })?;
        let (schema, fields) = schema();
        let index = Index::create_in_dir(&path, schema)?;
        Self::with(index, fields, number).map_err(SearchError::from)
    }

    /// Opens the one of this number. An error is of the disk or of its rights: nothing to rebuild for.
    pub(super) fn open(folder: &Path, number: u64) -> Result<Opened, SearchError> {
        let attempt = || -> tantivy::Result<Opened> {
            let index = Index::open_in_dir(path(folder, number))?;
            let (schema, fields) = schema();
            if index.schema() != schema {
                return Ok(Opened::Unusable("it has another schema".to_owned()));
            }
            let payload = index.load_metas()?.payload.unwrap_or_default();
            let Ok(progress) = serde_json::from_str::<Progress>(&payload) else {
                return Ok(Opened::Unusable("it does not say how far it is".to_owned()));
            };
            if progress.version != VERSION || !progress.complete {
                return Ok(Opened::Unusable("it is unfinished or of another version".to_owned()));
            }
            Ok(Opened::Usable(Box::new(Self::with(index, fields, number)?), progress))
        };
        match attempt() {
            Ok(opened) => Ok(opened),
            Err(error) if is_damage(&error) => Ok(Opened::Unusable(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    fn with(index: Index, fields: Fields, number: u64) -> tantivy::Result<Self> {
        let reader: IndexReader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(STORE_CACHE_BLOCKS)
            .try_into()?;
        let view = RwLock::new(Arc::new(View::new(&reader, fields)?));
        Ok(Self { number, index, fields, reader, view })
    }

    /// The last commit that was [`Self::reload`]ed.
    pub(super) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the last commit visible.
    pub(super) fn reload(&self) -> tantivy::Result<()> {
        self.reader.reload()?;
        let view = Arc::new(View::new(&self.reader, self.fields)?);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(())
    }

    /// Whether every file of the index still is what was written.
    pub(super) fn is_sound(&self) -> Result<bool, SearchError> {
        match self.index.validate_checksum() {
            Ok(damaged) => Ok(damaged.is_empty()),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether an error means that the files are not what was written: never so for errors of the disk, of
/// rights or of locks.
fn is_damage(error: &TantivyError) -> bool {
    match error {
        TantivyError::OpenDirectoryError(OpenDirectoryError::NotADirectory(_))
        | TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(_) | OpenReadError::IncompatibleIndex(_))
        | TantivyError::DataCorruption(_)
        | TantivyError::SchemaError(_)
        | TantivyError::FieldNotFound(_)
        | TantivyError::IncompatibleIndex(_)
        | TantivyError::InternalError(_)
        | TantivyError::DeserializeError(_)
        | TantivyError::InvalidArgument(_) => true,
        TantivyError::IoError(error) => is_bad_data(error),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => is_bad_data(io_error),
        _ => false,
    }
}

fn is_bad_data(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    error.raw_os_error().is_none() && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}"))
}

/// The numbers of the generations in `folder`, the newest first.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, SearchError> {
    let failed = |source| SearchError::Io { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(name.to_str().filter(|name| name.len() == 10).and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable_by(|left, right| right.cmp(left));
    Ok(numbers)
}

/// Removes generation `number`. What cannot be removed now is removed at the next start.
pub(super) fn remove(folder: &Path, number: u64) {
    if let Err(error) = fs::remove_dir_all(path(folder, number)) {
        tracing::warn!(number, %error, "an old search index could not be removed");
    }
}
