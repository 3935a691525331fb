//! What decides a part of a run: runs whose recipes agree in it share its result.

use super::{Recipe, StudentRecipe};

impl Recipe {
    /// The keys that shape the dense network; the others, which it does not depend on, have their
    /// defaults. So equal dense networks have equal ones.
    #[must_use]
    pub fn dense_part(&self) -> Self {
        Self {
            seed: self.seed,
            model: self.model.clone(),
            training: self.training.clone(),
            ..Self::default()
        }
    }

    /// What decides the texts that a student learns from and their answers: students of other shapes
    /// share them.
    #[must_use]
    pub fn pool_part(&self) -> Self {
        let usual = StudentRecipe::default();
        Self {
            student: StudentRecipe {
                texts: self.student.texts,
                unlabelled_sha256: self.student.unlabelled_sha256.clone(),
                ..usual
            },
            ..self.dense_part()
        }
    }

    /// What decides the file of the dense network.
    #[must_use]
    pub fn dense_file_part(&self) -> Self {
        Self {
            target: self.target,
            quantization: self.quantization.clone(),
            ..self.dense_part()
        }
    }
}
