//! The result of a run: what the table, `--json` and the report show.

use std::path::{Path, PathBuf};

use neuroprune_format::FormatError;
use serde::{Deserialize, Serialize};

use crate::baselines::Baselines;
use crate::input_file::{self, OUTCOME};
use crate::model_file::inspection::Inspection;
use crate::model_file::scoring::Scored;
use crate::pruning::{DegreeSpread, MergedHead};
use crate::recipe::Recipe;
use crate::run::files::Files;
use crate::run::summary::Summary;
use crate::training::{EpochRecord, Journal};

/// A finished run and its two files.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The result, apart from the files.
    #[serde(flatten)]
    pub run: RunOutcome,
    /// The sparse file.
    pub sparse: FileOutcome,
    /// The dense file, int8 without any cut.
    pub dense: FileOutcome,
}

/// The result of a run, apart from what its files contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// Name of the model.
    pub name: String,
    /// Everything that shaped it.
    pub recipe: Recipe,
    /// SHA-256 of the training data.
    pub data_sha256: String,
    /// What was in the data; nothing in outcomes of version 0.1.
    #[serde(default)]
    pub summary: Option<Summary>,
    /// What the accuracies were measured on: `test` or `dev`.
    pub scored_on: String,
    /// SHA-256 of that file.
    pub scored_sha256: String,
    /// Examples in that set.
    pub examples: usize,
    /// In per cent.
    pub accuracy: Accuracies,
    /// Mean F1 of the classes, in per cent; 0 in outcomes of version 0.1.
    #[serde(default)]
    pub macro_f1: MacroF1,
    /// The answers of the sparse file; nothing in outcomes of version 0.1.
    #[serde(default)]
    pub scored: Option<Scored>,
    /// What a model has to be better than.
    #[serde(default)]
    pub baselines: Baselines,
    /// Share of encoder weights that were to be zero.
    pub target_sparsity: f64,
    /// Share that is zero in the float network: the target, but for the weights of less
    /// than one neuron or head.
    pub sparsity: f64,
    /// Heads before pruning, all layers together.
    pub heads: usize,
    /// Neurons before pruning, all layers together.
    pub neurons: usize,
    /// Spread of the connections of the dense network, in L_in and L_out.
    pub dense_degrees: [DegreeSpread; 2],
    /// Spread of those of the sparse network.
    pub sparse_degrees: [DegreeSpread; 2],
    /// Heads that were merged into others.
    pub merged: Vec<MergedHead>,
    /// Epoch by epoch.
    pub history: Vec<EpochRecord>,
    /// What was recorded during training.
    pub journal: Journal,
    /// Seconds of training since the program began; a resumed run counts its own only.
    pub seconds: Seconds,
}

/// Accuracies in per cent. Those of int8 are the runtime's, on the files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracies {
    /// The dense network in floats.
    pub dense_float: f64,
    /// The dense file.
    pub dense_int8: f64,
    /// The sparse network in floats.
    pub sparse_float: f64,
    /// The sparse file.
    pub sparse_int8: f64,
}

/// Mean F1 of the classes, in per cent: the runtime's, on the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MacroF1 {
    /// The dense file.
    pub dense_int8: f64,
    /// The sparse file.
    pub sparse_int8: f64,
}

/// A file that was written.
#[derive(Clone, Debug, Serialize)]
pub struct FileOutcome {
    /// Where it is; nothing for a file that was only measured.
    pub path: Option<PathBuf>,
    /// What is in it.
    #[serde(flatten)]
    pub inspection: Inspection,
}

/// How long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Training the dense network.
    pub dense: f64,
    /// NeuroPrune.
    pub sparse: f64,
    /// Quantising, writing and scoring.
    pub export: f64,
}

/// Why a finished run cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// A file is missing, or cannot be read.
    #[error("{path}: {source}; `neuroprune train` writes it beside the model")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The outcome file does not decode.
    #[error("{path}: {source}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        source: serde_json::Error,
    },
    /// A model file does not open.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
}

impl RunOutcome {
    /// Reads `NAME.outcome.json`, as [`crate::run::pipeline::train`] writes it.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, OutcomeError> {
        serde_json::from_slice(&read(path, |path| input_file::read(path, OUTCOME))?).map_err(
            |source| OutcomeError::Decode {
                path: path.to_owned(),
                source,
            },
        )
    }
}

impl Outcome {
    /// What the sparse model is not better than, if anything.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let accuracy = self.run.accuracy.sparse_int8;
        self.run
            .baselines
            .warning(accuracy, self.sparse.inspection.bytes)
    }

    /// Reads a finished run from its files, and the sparse file's bytes.
    ///
    /// # Errors
    /// When one of the two models or `NAME.outcome.json` is missing, or not whole.
    pub fn read(files: &Files) -> Result<(Self, Vec<u8>), OutcomeError> {
        let run = RunOutcome::read(&files.outcome())?;
        let sparse_file = read(&files.model, input_file::read_model)?;
        let outcome = Self {
            run,
            sparse: FileOutcome::new(&files.model, &sparse_file)?,
            dense: FileOutcome::new(
                &files.dense(),
                &read(&files.dense(), input_file::read_model)?,
            )?,
        };
        Ok((outcome, sparse_file))
    }
}

impl FileOutcome {
    fn new(path: &Path, bytes: &[u8]) -> Result<Self, OutcomeError> {
        let inspection = Inspection::new(bytes).map_err(|source| OutcomeError::Model {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: Some(path.to_owned()),
            inspection,
        })
    }
}

fn read(
    path: &Path,
    read: impl Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<u8>, OutcomeError> {
    read(path).map_err(|source| OutcomeError::Read {
        path: path.to_owned(),
        source,
    })
}
