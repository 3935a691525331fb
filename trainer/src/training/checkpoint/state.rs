//! What a checkpoint says besides its tensors.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Problem;
use super::layer_state::LayerState;
use crate::network::Shape;
use crate::pruning::MergedHead;
use crate::recipe::Recipe;
use crate::text::vocabulary::Vocabulary;
use crate::training::{EpochRecord, Journal, Phase};

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub(super) version: u32,
    pub(super) recipe: Recipe,
    pub(super) vocabulary: Vocabulary,
    pub(super) labels: Vec<String>,
    pub(super) data: [u8; 32],
    pub(super) examples: [u8; 32],
    pub(super) shape: Shape,
    pub(super) layers: Vec<LayerState>,
    pub(super) phase: Phase,
    pub(super) step: u64,
    pub(super) epoch_loss: f64,
    pub(super) history: Vec<EpochRecord>,
    pub(super) merged: Vec<MergedHead>,
    pub(super) journal: Journal,
    #[serde(default)]
    pub(super) best: Option<BestState>,
    #[serde(default)]
    pub(super) student: Option<StudentState>,
}

/// The student that takes the place of the sparse network, apart from its tensors.
#[derive(Serialize, Deserialize)]
pub(super) struct StudentState {
    pub(super) vocabulary: Vocabulary,
    pub(super) shape: Shape,
}

/// The best network of the phase, apart from its tensors.
#[derive(Serialize, Deserialize)]
pub(super) struct BestState {
    pub(super) epoch: usize,
    pub(super) dev_accuracy: f64,
    pub(super) layers: Vec<LayerState>,
}

impl State {
    /// Shape of the network that is trained, before anything was cut.
    pub(super) fn trained_shape(&self) -> &Shape {
        self.student.as_ref().map_or(&self.shape, |it| &it.shape)
    }

    /// Checks what the rest of the program relies on, before anything of the stated sizes is allocated;
    /// the file has `bytes` bytes.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Problem> {
        self.recipe.check()?;
        let (vocabulary, labels) = (self.vocabulary.len(), self.labels.len());
        let shape = Shape::new(&self.recipe.model, vocabulary, labels, self.shape.pair);
        if shape != self.shape {
            return Err(Problem::RecipeShape);
        }
        let wrong = |what| Err(Problem::Contradiction(what));
        if let Some(student) = &self.student {
            let model = self.recipe.student.model(&self.recipe.model);
            let pieces = student.vocabulary.len();
            let mut expected = Shape::new(&model, pieces, labels, shape.pair);
            expected.bridge = shape.hidden;
            if !self.recipe.student.exists() || expected != student.shape {
                return Err(Problem::RecipeShape);
            }
            if self.phase == Phase::Dense || pieces > vocabulary {
                return wrong("a student before its teacher is finished");
            }
        }
        let trained = self.trained_shape();
        // One network in it is whole: the only one, or the dense one.
        let weights = shape.encoder_weights() + shape.row_width() * vocabulary;
        if weights.saturating_mul(size_of::<f32>()) > bytes {
            return wrong("it is shorter than the weights of its shape");
        }
        let names: HashSet<&str> = self.labels.iter().map(String::as_str).collect();
        if names.len() < labels || names.iter().any(|name| name.trim().is_empty()) {
            return wrong("a class occurs twice, or has no name");
        }
        let best = self.best.iter().map(|best| &best.layers);
        for layers in core::iter::once(&self.layers).chain(best) {
            if layers.len() != trained.layers || !layers.iter().all(|layer| layer.fits(trained)) {
                return wrong("what is left of a layer is not part of it");
            }
        }
        let merged = self.merged.iter().map(|it| it.layer);
        let mut compared = merged.chain(self.journal.kept.iter().map(|it| it.layer));
        if compared.any(|layer| layer >= trained.layers) {
            return wrong("heads of a layer that it has not");
        }
        let last = self.journal.curve.last();
        if last.is_some_and(|last| last.phase == self.phase && last.step > self.step) {
            return wrong("a loss was recorded after its step");
        }
        Ok(())
    }
}
