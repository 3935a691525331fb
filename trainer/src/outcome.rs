//! What a run came to: what the table prints, `--json` and the report show.

use std::path::PathBuf;

use serde::Serialize;

use crate::inspection::Inspection;
use crate::pruning::MergedHead;
use crate::training::EpochRecord;

/// A finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Name of the model.
    pub name: String,
    /// What the accuracies were measured on: `test` or `dev`.
    pub scored_on: &'static str,
    /// Examples in that set.
    pub examples: usize,
    /// In per cent.
    pub accuracy: Accuracies,
    /// Share of encoder weights that were to be zero.
    pub target_sparsity: f64,
    /// Share that is zero in the float network: the target, but for the weights of less
    /// than one neuron or head.
    pub sparsity: f64,
    /// Heads before pruning, all layers together.
    pub heads: usize,
    /// Neurons before pruning, all layers together.
    pub neurons: usize,
    /// The sparse file.
    pub sparse: FileOutcome,
    /// The dense file, int8 without any cut.
    pub dense: FileOutcome,
    /// Heads that were merged into others.
    pub merged: Vec<MergedHead>,
    /// Epoch by epoch.
    pub history: Vec<EpochRecord>,
    /// Seconds of training since the program began; a resumed run counts its own only.
    pub seconds: Seconds,
}

/// Accuracies in per cent. Those of int8 are the runtime's, on the files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Training the dense network.
    pub dense: f64,
    /// NeuroPrune.
    pub sparse: f64,
    /// Quantising, writing and scoring.
    pub export: f64,
}
