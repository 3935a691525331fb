//! Where the files of a run are.

use std::path::PathBuf;

/// The files of a run, all next to the model.
#[derive(Clone, Debug)]
pub struct Files {
    /// The model, `NAME.neuro`.
    pub model: PathBuf,
}

impl Files {
    /// Name of the model.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.model.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The dense baseline.
    #[must_use]
    pub fn dense(&self) -> PathBuf {
        self.model.with_extension("dense.neuro")
    }

    /// The resolved recipe.
    #[must_use]
    pub fn recipe(&self) -> PathBuf {
        self.model.with_extension("recipe.toml")
    }

    /// The state of the run, to resume it from.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.model.with_extension("checkpoint")
    }

    /// The state of a run that is to replace a finished one. Until it is finished, the files of
    /// that one stay as they are.
    #[must_use]
    pub fn next_checkpoint(&self) -> PathBuf {
        self.model.with_extension("next.checkpoint")
    }

    /// Where an unfinished run is saved.
    #[must_use]
    pub fn checkpoint_in_progress(&self) -> PathBuf {
        let next = self.next_checkpoint();
        match next.exists() || self.outcome().exists() {
            true => next,
            false => self.checkpoint(),
        }
    }

    /// What is resumed: the run that is to replace a finished one, or else the only one.
    #[must_use]
    pub fn checkpoint_to_resume(&self) -> PathBuf {
        let next = self.next_checkpoint();
        match next.exists() {
            true => next,
            false => self.checkpoint(),
        }
    }

    /// The result; it is written last, so once it exists everything else does.
    #[must_use]
    pub fn outcome(&self) -> PathBuf {
        self.model.with_extension("outcome.json")
    }

    /// All of them, the outcome last.
    #[must_use]
    pub fn all(&self) -> [PathBuf; 6] {
        [
            self.model.clone(),
            self.dense(),
            self.recipe(),
            self.checkpoint(),
            self.report(),
            self.outcome(),
        ]
    }

    /// Exists while a program works on the run.
    pub(crate) fn lock(&self) -> PathBuf {
        let name = format!(".{}.lock", self.name());
        self.model.with_file_name(name)
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.model.with_extension("report.html")
    }
}
