//! A run that is done, as part of an ablation.

use std::path::PathBuf;

use crate::run::outcome::{OutcomeError, RunOutcome};

/// A cell that is done.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// Its variant.
    pub variant: String,
    /// Its model.
    pub model: PathBuf,
    /// Its result.
    pub run: RunOutcome,
    /// Bytes of the model.
    pub bytes: u64,
}

impl Finished {
    /// The model at `model`, as part of a variant.
    ///
    /// # Errors
    /// When the model is missing.
    pub(crate) fn new(
        variant: &str,
        model: PathBuf,
        run: RunOutcome,
    ) -> Result<Self, OutcomeError> {
        let bytes = match std::fs::metadata(&model) {
            Ok(data) => data.len(),
            Err(source) => {
                return Err(OutcomeError::Read {
                    path: model,
                    source,
                });
            }
        };
        Ok(Self {
            variant: variant.to_owned(),
            model,
            run,
            bytes,
        })
    }
}
