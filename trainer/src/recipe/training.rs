//! Section `training` of a recipe: training of the dense network.

use serde::{Deserialize, Serialize};

use super::words::words;

/// Training of the dense network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRecipe {
    /// Passes over the training data.
    pub epochs: usize,
    /// Fewest steps: small data are passed over more often than `epochs`, up to that many steps.
    pub least_steps: usize,
    /// Examples per step.
    pub batch: usize,
    /// Peak learning rate (linear warm-up, then linear to zero).
    pub learning_rate: f64,
    /// Share of the steps spent warming up.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Probability that a word is dropped, replaced or moved in training.
    pub word_noise: f32,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// What a text of a rare class weighs, in both phases.
    pub class_weights: ClassWeights,
    /// Which epoch's network a phase ends with.
    pub keep: Keep,
    /// Decides which texts are set aside where there is no dev file: the same ones for every
    /// `seed`.
    pub dev_seed: u64,
    /// Precision of matrix products, in both phases.
    pub precision: FloatPrecision,
}

words! {
    /// What a text weighs in the loss.
    #[derive(Default)]
    pub enum ClassWeights {
        /// Every text the same
        #[default]
        Even = "even",
        /// Every class the same in sum: n / (classes · texts of the class)
        Balanced = "balanced",
    }
}

words! {
    /// Which epoch's network a phase ends with.
    #[derive(Default)]
    pub enum Keep {
        /// The last
        #[default]
        Last = "last",
        /// The most accurate on the dev set, the later of equals; in the sparse phase of those at
        /// the final sparsity
        Best = "best",
    }
}

words! {
    /// Precision of the factors of matrix products in float training. Sums, weights and
    /// everything else are `f32`.
    #[derive(Default)]
    pub enum FloatPrecision {
        /// `f32` on a CPU, TF32 (10 bits of fraction) on a GPU
        #[default]
        F32 = "f32",
        /// bfloat16: 7 bits of fraction
        Bf16 = "bf16",
    }
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            epochs: 12,
            least_steps: 0,
            batch: 32,
            learning_rate: 1e-3,
            warmup: 0.1,
            weight_decay: 0.01,
            word_noise: 0.2,
            label_smoothing: 0.05,
            class_weights: ClassWeights::Even,
            keep: Keep::Last,
            dev_seed: 0,
            precision: FloatPrecision::F32,
        }
    }
}
