//! Section `student` of a recipe: a small network that the dense one teaches.

use serde::{Deserialize, Serialize};

use super::model::{ActivationKind, PoolingKind, PositionsKind, TokenValues};
use super::{Mixings, ModelRecipe, VocabularySize};

/// A small network that the dense one teaches; its training is the sparse phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudentRecipe {
    /// Pieces of the dense network's vocabulary that it keeps; 0: there is no student, and the sparse
    /// network begins as the dense one.
    pub vocabulary: usize,
    /// Bytes of its file, of which it keeps as many pieces as fit, up to `vocabulary`; 0: any.
    pub bytes: usize,
    /// Width of its token table's rows.
    pub embedding: usize,
    /// How the file writes them.
    pub token_values: TokenValues,
    /// Width of its residual stream.
    pub hidden: usize,
    /// Its layers.
    pub layers: usize,
    /// How the tokens of each layer read others.
    pub mixing: Mixings,
    /// Attention heads in a layer.
    pub heads: usize,
    /// Neurons in a layer's MLP.
    pub intermediate: usize,
    /// How positions are encoded.
    pub positions: PositionsKind,
    /// Texts that it learns from: those of the data, and others made of them.
    pub texts: usize,
    /// Texts in a step.
    pub batch: usize,
}

impl Default for StudentRecipe {
    fn default() -> Self {
        Self {
            vocabulary: 0,
            bytes: 0,
            embedding: 24,
            token_values: TokenValues::Int4,
            hidden: 128,
            layers: 2,
            mixing: super::MixingKind::Recurrence.into(),
            heads: 4,
            intermediate: 0,
            positions: PositionsKind::None,
            texts: 200_000,
            batch: 256,
        }
    }
}

impl StudentRecipe {
    /// Whether there is one.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.vocabulary > 0
    }

    /// Its shape, where `teacher` is that of the dense network.
    #[must_use]
    pub fn model(&self, teacher: &ModelRecipe) -> ModelRecipe {
        ModelRecipe {
            hidden: self.hidden,
            embedding: self.embedding,
            token_values: self.token_values,
            positions: self.positions,
            layers: self.layers,
            mixing: self.mixing.clone(),
            heads: self.heads,
            intermediate: self.intermediate,
            vocabulary: VocabularySize::Pieces(self.vocabulary),
            activation: ActivationKind::Relu,
            pooling: PoolingKind::Mean,
            norm_epsilon: ModelRecipe::default().norm_epsilon,
            ..teacher.clone()
        }
    }
}
