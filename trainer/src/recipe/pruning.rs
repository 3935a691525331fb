//! Section `pruning` of a recipe: training of the sparse network.

use serde::{Deserialize, Serialize};

use super::methods::{ForeignKey, Method, MethodKind};

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

/// The section as it is written: every key that any method has, those of other methods than
/// `method` left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PruningKeys {
    method: MethodKind,
    sparsity: f64,
    epochs: usize,
    learning_rate: f64,
    schedule_end: f64,
    blocks: Blocks,
    word_noise: f32,
    distillation: f64,
    temperature: f64,
    hidden_distillation: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<ScoreKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score_memory: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) preferential_attachment: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_sparsity: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head_redundancy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_floor: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) neuron_cost: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head_distance: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alpha: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) theta: Option<f32>,
}

/// How many keys belong to single methods.
const SETTINGS: usize = 12;

impl PruningKeys {
    /// The keys of single methods that are set.
    pub(super) fn settings(&self) -> Vec<&'static str> {
        let keys: [(&str, bool); SETTINGS] = [
            ("interval", self.interval.is_some()),
            ("score", self.score.is_some()),
            ("score_memory", self.score_memory.is_some()),
            (
                "preferential_attachment",
                self.preferential_attachment.is_some(),
            ),
            ("group_sparsity", self.group_sparsity.is_some()),
            ("head_redundancy", self.head_redundancy.is_some()),
            ("cost_floor", self.cost_floor.is_some()),
            ("neuron_cost", self.neuron_cost.is_some()),
            ("head_distance", self.head_distance.is_some()),
            ("alpha", self.alpha.is_some()),
            ("beta", self.beta.is_some()),
            ("theta", self.theta.is_some()),
        ];
        let set = keys.into_iter().filter(|(_, is_set)| *is_set);
        set.map(|(key, _)| key).collect()
    }

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

impl Default for PruningKeys {
    fn default() -> Self {
        Self {
            method: MethodKind::Neuroprune,
            sparsity: 0.9,
            epochs: 12,
            learning_rate: 1e-3,
            schedule_end: 0.6,
            blocks: Blocks::One,
            word_noise: 0.2,
            distillation: 0.5,
            temperature: 2.0,
            hidden_distillation: 0.0,
            interval: None,
            score: None,
            score_memory: None,
            preferential_attachment: None,
            group_sparsity: None,
            head_redundancy: None,
            cost_floor: None,
            neuron_cost: None,
            head_distance: None,
            alpha: None,
            beta: None,
            theta: None,
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

/// Weights that are pruned together: neighbouring inputs of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Blocks {
    /// Each weight by itself.
    #[default]
    #[serde(rename = "1x1")]
    #[value(name = "1x1")]
    One,
    /// Pairs.
    #[serde(rename = "1x2")]
    #[value(name = "1x2")]
    Two,
    /// Groups of four.
    #[serde(rename = "1x4")]
    #[value(name = "1x4")]
    Four,
}

impl Blocks {
    /// Weights of one block.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The name in recipes, `1x4`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "1x1",
            Self::Two => "1x2",
            Self::Four => "1x4",
        }
    }
}

/// How the importance of a weight is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Moving average of |w · ∂L/∂w|.
    Sensitivity,
    /// |w|.
    Magnitude,
    /// Sum of −w · ∂L/∂w: how far training moved the weight away from zero.
    Movement,
}
