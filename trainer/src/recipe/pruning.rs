//! Section `pruning` of a recipe: training of the sparse network.

use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::methods::Method;
use super::settings::{ForeignKey, PruningKeys, SETTINGS};

/// Training of the sparse network from the dense one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PruningKeys", into = "PruningKeys")]
pub struct PruningRecipe {
    /// How weights are chosen, with the settings of that method.
    pub method: Method,
    /// Share of encoder weights (Q, K, V, W_O, L_in, L_out) that end as zero.
    pub sparsity: f64,
    /// Passes over the training data.
    pub epochs: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Share of the steps after which no more weights are removed.
    pub schedule_end: f64,
    /// Weights that are pruned together.
    pub blocks: Blocks,
    /// Probability that a word is dropped, replaced or moved in training.
    pub word_noise: f32,
    /// Share of the loss that follows the dense network's answers.
    pub distillation: f64,
    /// Temperature of those answers.
    pub temperature: f64,
    /// Weight of the mean squared distance from the dense network's layer outputs.
    pub hidden_distillation: f64,
}

impl PruningKeys {
    /// The recipe of these keys that every method has.
    fn with(self, method: Method) -> PruningRecipe {
        PruningRecipe {
            method,
            sparsity: self.sparsity,
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            schedule_end: self.schedule_end,
            blocks: self.blocks,
            word_noise: self.word_noise,
            distillation: self.distillation,
            temperature: self.temperature,
            hidden_distillation: self.hidden_distillation,
        }
    }
}

impl From<PruningRecipe> for PruningKeys {
    fn from(recipe: PruningRecipe) -> Self {
        let PruningRecipe {
            mut method,
            sparsity,
            epochs,
            learning_rate,
            schedule_end,
            blocks,
            word_noise,
            distillation,
            temperature,
            hidden_distillation,
        } = recipe;
        let mut keys = Self {
            method: method.kind(),
            sparsity,
            epochs,
            learning_rate,
            schedule_end,
            blocks,
            word_noise,
            distillation,
            temperature,
            hidden_distillation,
            ..Self::default()
        };
        method.write_to(&mut keys);
        keys
    }
}

impl TryFrom<PruningKeys> for PruningRecipe {
    type Error = ForeignKey;

    fn try_from(mut keys: PruningKeys) -> Result<Self, ForeignKey> {
        // Version 0.1 wrote every key into a resolved recipe, read or not.
        let is_resolved_by_0_1 = keys.settings().len() == SETTINGS;
        let mut method = Method::new(keys.method);
        method.read_from(&mut keys);
        match keys.settings().first() {
            Some(key) if !is_resolved_by_0_1 => Err(ForeignKey {
                key,
                kind: keys.method,
            }),
            Some(_) | None => Ok(keys.with(method)),
        }
    }
}

impl Default for PruningRecipe {
    fn default() -> Self {
        PruningKeys::default().with(Method::default())
    }
}

impl PruningRecipe {
    /// Changes the blocks. Neurons have a price only where weights are removed one by one:
    /// wider blocks drop it.
    pub fn set_blocks(&mut self, blocks: Blocks) {
        self.blocks = blocks;
        if let (Blocks::Two | Blocks::Four, Method::Neuroprune(settings)) =
            (blocks, &mut self.method)
        {
            settings.neuron_cost = 0.0;
        }
    }
}
