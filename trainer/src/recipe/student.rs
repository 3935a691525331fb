//! Section `student` of a recipe: a small network that the dense one teaches.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::keys::KEYS;
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
    /// Bytes of scratch memory and stack that it may take on a Cortex-M4 for texts of the longest
    /// length; 0: any.
    pub ram: usize,
    /// Instructions of a Cortex-M4F that it may take for a text of 16 tokens; 0: any.
    pub instructions: usize,
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
    /// Digest of texts without classes that are among them; empty: none, or those given.
    pub unlabelled_sha256: String,
    /// Texts in a step.
    pub batch: usize,
}

impl Default for StudentRecipe {
    fn default() -> Self {
        Self {
            vocabulary: 0,
            bytes: 0,
            ram: 0,
            instructions: 0,
            embedding: 24,
            token_values: TokenValues::Int4,
            hidden: 128,
            layers: 2,
            mixing: super::MixingKind::Recurrence.into(),
            heads: 4,
            intermediate: 0,
            positions: PositionsKind::None,
            texts: 200_000,
            unlabelled_sha256: String::new(),
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

    /// A key that is set though there is no student, and its value.
    pub(super) fn idle(&self) -> Option<(&'static str, String)> {
        let usual = Self::default();
        if self.exists() || *self == usual {
            return None;
        }
        let table = |recipe: &Self| Table::try_from(recipe).unwrap_or_default();
        let (set, usual) = (table(self), table(&usual));
        let keys = KEYS.iter().map(|key| (key.path, key.parts()));
        let mut keys = keys.filter(|(_, (section, _))| *section == Some("student"));
        keys.find_map(|(path, (_, name))| {
            let value = set
                .get(name)
                .filter(|value| usual.get(name) != Some(value))?;
            Some((path, value.to_string()))
        })
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
