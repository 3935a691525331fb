//! Why a search has no result.

use std::io;
use std::path::PathBuf;

use crate::recipe::Size;
use crate::run::error::PipelineError;
use crate::run::outcome::OutcomeError;
use crate::sweep::CellError;

/// Why a search has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// No candidate of a size could be trained.
    #[error("{size}: {source}")]
    Size {
        /// The size.
        size: Size,
        /// Why its first candidate could not.
        source: CellError,
    },
    /// A finished trial cannot be read.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// Its file cannot be read.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// What is there would be written over.
    #[error("{0}: is there already; --resume continues that search, --overwrite replaces it")]
    Exists(PathBuf),
    /// A folder, where a file would be.
    #[error("{0}: is a folder, expected a file")]
    Folder(PathBuf),
    /// A trial cannot be read.
    #[error(
        "the trial in {folder}: {problem}; remove this folder to have it trained again, or \
         --overwrite replaces the whole search"
    )]
    Trial {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another search.
    #[error(
        "{0}: a search with other sizes, shapes or keys; expected the same options to resume it, or \
         --overwrite to replace it"
    )]
    Differs(PathBuf),
    /// A folder that no search has made.
    #[error("{0}: is no folder of a search; choose another name for the model")]
    NotTrials(PathBuf),
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The page or the table.
    #[error("{0}")]
    Render(String),
}
