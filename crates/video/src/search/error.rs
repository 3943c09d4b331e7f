//! What can go wrong with the index.

use std::io;
use std::path::PathBuf;

use proto::{Problem, codes};

/// The index cannot be read or written. A damaged index is no error: it is rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index engine failed.
    #[error("the search index: {0}")]
    Index(String),
    /// The videos to index cannot be read.
    #[error(transparent)]
    Read(#[from] store::ReadError),
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(error.to_string())
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        tracing::error!(%error, "search failed");
        Self::new(codes::INTERNAL, "The search index cannot be read.")
    }
}
