//! Section `pruning` of a recipe: training of the sparse network.

use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::methods::Method;

/// Training of the sparse network from the dense one.
// `flatten` and `deny_unknown_fields` exclude each other: a recipe's keys are checked before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PruningRecipe {
    /// How weights are chosen, with the settings of that method.
    #[serde(flatten)]
    pub method: Method,
    /// Share of encoder weights (Q, K, V, W_O, L_in, L_out) that end as zero.
    pub sparsity: f64,
    /// Passes over the training data.
    pub epochs: usize,
    /// Fewest steps: small data are passed over more often than `epochs`, up to that many steps.
    pub least_steps: usize,
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

impl Default for PruningRecipe {
    fn default() -> Self {
        Self {
            method: Method::default(),
            sparsity: 0.9,
            epochs: 12,
            least_steps: 0,
            learning_rate: 1e-3,
            schedule_end: 0.6,
            blocks: Blocks::One,
            word_noise: 0.2,
            distillation: 0.5,
            temperature: 2.0,
            hidden_distillation: 0.0,
        }
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
