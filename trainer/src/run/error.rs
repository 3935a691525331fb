//! Why a run wrote no files.

use std::io;
use std::path::PathBuf;

use neuroprune_format::FormatError;
use neuroprune_format::writer::WriteError;

use crate::model_file::export::ExportError;
use crate::model_file::scoring::ScoringError;
use crate::numbers::{counted, thousands};
use crate::report::ReportError;
use crate::training::TrainingError;
use crate::training::checkpoint::CheckpointError;
use crate::training::memory::OutOfMemory;

/// Why a run wrote no files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Training stopped.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// Training diverged, and there is an earlier checkpoint of this run.
    #[error("{source}; the last good checkpoint is {}", checkpoint.display())]
    Diverged {
        /// Where it stopped.
        source: TrainingError,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// A step takes more memory than is available.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The model was not scored.
    #[error("scoring: {0}")]
    Scoring(#[from] ScoringError),
    /// The report.
    #[error("report: {0}")]
    Report(#[from] ReportError),
    /// Whoever watches the run does not want it with these data.
    #[error("the data has {}; --strict makes them errors", counted(*warnings, "warning"))]
    Misleading {
        /// Warnings of the summary.
        warnings: usize,
    },
    /// Not even the characters fit.
    #[error(
        "{limit} is {allowed}: a student of this shape with no pieces but characters \
         takes {}; expected more, or a smaller student.hidden, student.layers or \
         student.embedding",
        thousands(*least)
    )]
    TooSmall {
        /// The key and the option that limit it.
        limit: &'static str,
        /// What it may take.
        allowed: usize,
        /// What it takes at least.
        least: usize,
    },
    /// Another program works on the run.
    #[error("{}: another program is training this model", model.display())]
    Busy {
        /// The model.
        model: PathBuf,
    },
    /// A file cannot be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl From<FormatError> for PipelineError {
    fn from(error: FormatError) -> Self {
        Self::Scoring(error.into())
    }
}

impl From<WriteError> for PipelineError {
    fn from(error: WriteError) -> Self {
        Self::Export(error.into())
    }
}

impl From<candle_core::Error> for PipelineError {
    fn from(error: candle_core::Error) -> Self {
        Self::Training(error.into())
    }
}
