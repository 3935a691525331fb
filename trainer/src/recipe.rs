//! Everything that shapes a run, as a TOML file.
//!
//! Every key has a default; a recipe names only what differs. The resolved recipe,
//! defaults and command-line overrides included, is written beside the model.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub mod target;
mod vocabulary_size;

use crate::recipe::target::Target;

pub use vocabulary_size::VocabularySize;

/// A whole recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Random seed: same recipe, same data, same seed: same file.
    pub seed: u64,
    /// Where the model is to run: what the file's layouts are chosen for.
    pub target: Target,
    /// Shape of the network.
    pub model: ModelRecipe,
    /// Training of the dense network.
    pub training: TrainingRecipe,
    /// NeuroPrune: training of the sparse network.
    pub pruning: PruningRecipe,
    /// From floats to int8.
    pub quantization: QuantizationRecipe,
}

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelRecipe {
    /// Folder of the pretrained checkpoint to start from, or `hf:OWNER/NAME@REVISION`, where
    /// the commit is filled in; random weights where it is empty.
    pub from: String,
    /// SHA-256 of that checkpoint's weights, in hexadecimal; filled in where it is empty,
    /// held to where it is not.
    pub from_sha256: String,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads in a layer.
    pub heads: usize,
    /// Neurons in a layer's MLP.
    pub intermediate: usize,
    /// WordPiece vocabulary.
    pub vocabulary: VocabularySize,
    /// Longest token sequence, special tokens included.
    pub tokens: usize,
    /// Function between the MLP's matrices.
    pub activation: ActivationKind,
    /// How the sequence becomes one vector.
    pub pooling: PoolingKind,
    /// Added to the variance in every LayerNorm.
    pub norm_epsilon: f32,
}

/// Function between the MLP's matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationKind {
    /// max(0, x): the cheapest on a microcontroller.
    Relu,
    /// GELU, for networks that were trained with it.
    Gelu,
}

/// How the sequence becomes one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolingKind {
    /// Mean over all tokens.
    Mean,
    /// The first token.
    Cls,
}

/// Training of the dense network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRecipe {
    /// Passes over the training data.
    pub epochs: usize,
    /// Examples a step.
    pub batch: usize,
    /// Peak learning rate (linear warm-up, then linear to zero).
    pub learning_rate: f64,
    /// Share of the steps spent warming up.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Probability that a word is lost, replaced or moved in training.
    pub word_noise: f32,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// What products of matrices read, in both phases.
    pub precision: FloatPrecision,
}

/// NeuroPrune: training of the sparse network from the dense one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruningRecipe {
    /// How weights are chosen; some methods fix keys below ([`Recipe::settle`]).
    pub method: Method,
    /// Share of encoder weights (Q, K, V, W_O, L_in, L_out) that end as zero.
    pub sparsity: f64,
    /// Passes over the training data.
    pub epochs: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Share of the steps after which no more weights are removed.
    pub schedule_end: f64,
    /// Steps from one removal to the next.
    pub interval: usize,
    /// What is removed and kept as one.
    pub blocks: Blocks,
    /// What a weight's survival depends on.
    pub score: ScoreKind,
    /// Memory of the sensitivity, per step (exponential moving average).
    pub score_memory: f64,
    /// MLP: weights of well-connected neurons are cheaper (preferential attachment).
    pub preferential_attachment: bool,
    /// Attention: input dimensions die as groups (l_{1,0.5}).
    pub group_sparsity: bool,
    /// Attention: heads that say the same are merged.
    pub head_redundancy: bool,
    /// Smallest cost of a weight; the cost of a neuron with all its weights.
    pub cost_floor: f32,
    /// What a neuron costs besides its weights, in weights that only just stay.
    pub neuron_cost: f32,
    /// Largest relative distance of two heads' outputs that counts as the same.
    pub head_distance: f32,
    /// Strength of the penalty on L_in and L_out (`paper`), on all matrices (`l1`).
    pub alpha: f64,
    /// Strength of the penalty on Q, K, V (`paper`).
    pub beta: f64,
    /// Largest difference of any weights of two heads that counts as the same (`paper`).
    pub theta: f32,
    /// Probability that a word is lost, replaced or moved in training.
    pub word_noise: f32,
    /// Share of the loss that follows the dense network's answers.
    pub distillation: f64,
    /// Temperature of those answers.
    pub temperature: f64,
    /// Weight of the mean squared distance from what the dense network's layers make.
    pub hidden_distillation: f64,
}

/// How weights are chosen: `docs/method.md`, "Methods".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Score for its cost, exact sparsity, heads compared by what they say (default).
    #[default]
    Neuroprune,
    /// As published: penalties, heads compared by their weights, zeros at the end.
    Paper,
    /// A plain l1 penalty, magnitude decides.
    L1,
    /// Magnitude alone decides.
    Magnitude,
    /// |w·∂L/∂w| alone decides.
    Sensitivity,
    /// −w·∂L/∂w alone decides (Sanh et al. 2020).
    Movement,
}

impl Method {
    /// Every method, the default first.
    pub const ALL: [Self; 6] = [
        Self::Neuroprune,
        Self::Paper,
        Self::L1,
        Self::Magnitude,
        Self::Sensitivity,
        Self::Movement,
    ];

    /// The name in recipes, `paper`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Neuroprune => "neuroprune",
            Self::Paper => "paper",
            Self::L1 => "l1",
            Self::Magnitude => "magnitude",
            Self::Sensitivity => "sensitivity",
            Self::Movement => "movement",
        }
    }
}

/// What is removed and kept as one: neighbouring inputs of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Blocks {
    /// Each weight for itself.
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

/// What a weight's survival depends on.
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

/// What products of matrices read while a network is trained in floats. Their sums, weights
/// and everything else are `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FloatPrecision {
    /// `f32` on a CPU, TF32 (10 bits of fraction) on a GPU
    #[default]
    F32,
    /// bfloat16: 7 bits of fraction
    Bf16,
}

/// From floats to int8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantizationRecipe {
    /// Training texts whose activations choose the scales; 0 looks at the weights alone.
    pub calibration_texts: usize,
    /// Share of the sparse network's steps, the last ones, in which it is trained as the int8
    /// that the file will hold.
    pub aware: f64,
}

impl Default for ModelRecipe {
    fn default() -> Self {
        Self {
            from: String::new(),
            from_sha256: String::new(),
            hidden: 128,
            layers: 2,
            heads: 4,
            intermediate: 512,
            vocabulary: VocabularySize::Pieces(1200),
            tokens: 64,
            activation: ActivationKind::Relu,
            pooling: PoolingKind::Mean,
            norm_epsilon: 1e-5,
        }
    }
}

impl ModelRecipe {
    /// Whether a run starts from a pretrained checkpoint.
    #[must_use]
    pub fn is_pretrained(&self) -> bool {
        !self.from.is_empty()
    }

    /// Takes over what a pretrained checkpoint decides: its commit, shape, ε and
    /// digest.
    ///
    /// # Errors
    /// [`RecipeError::Conflict`] where a key that the user `named`, or a digest that is
    /// there, says otherwise.
    pub fn adopt(
        &mut self,
        pretrained: &Self,
        named: impl Fn(&str) -> bool,
    ) -> Result<(), RecipeError> {
        let shown = |model: &Self| {
            [
                ("hidden", model.hidden.to_string()),
                ("layers", model.layers.to_string()),
                ("heads", model.heads.to_string()),
                ("intermediate", model.intermediate.to_string()),
                ("activation", model.activation.name().to_owned()),
                ("norm_epsilon", model.norm_epsilon.to_string()),
                ("from_sha256", model.from_sha256.clone()),
            ]
        };
        for ((key, value), (_, found)) in shown(self).into_iter().zip(shown(pretrained)) {
            let holds = if key == "from_sha256" {
                !value.is_empty()
            } else {
                named(key)
            };
            if holds && value != found {
                return Err(RecipeError::Conflict(Box::new(KeyConflict {
                    key,
                    value,
                    from: self.from.clone(),
                    found,
                })));
            }
        }
        *self = Self {
            vocabulary: self.vocabulary,
            tokens: self.tokens,
            pooling: self.pooling,
            ..pretrained.clone()
        };
        Ok(())
    }
}

impl ActivationKind {
    /// The name in recipes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
        }
    }
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            epochs: 12,
            batch: 32,
            learning_rate: 1e-3,
            warmup: 0.1,
            weight_decay: 0.01,
            word_noise: 0.2,
            label_smoothing: 0.05,
            precision: FloatPrecision::F32,
        }
    }
}

impl Default for PruningRecipe {
    fn default() -> Self {
        Self {
            method: Method::Neuroprune,
            sparsity: 0.9,
            epochs: 12,
            learning_rate: 1e-3,
            schedule_end: 0.6,
            interval: 10,
            blocks: Blocks::One,
            score: ScoreKind::Sensitivity,
            score_memory: 0.95,
            preferential_attachment: true,
            group_sparsity: true,
            head_redundancy: true,
            cost_floor: 0.2,
            neuron_cost: 0.0,
            head_distance: 0.5,
            alpha: 1e-3,
            beta: 1e-3,
            theta: 0.15,
            word_noise: 0.2,
            distillation: 0.5,
            temperature: 2.0,
            hidden_distillation: 0.0,
        }
    }
}

impl Default for QuantizationRecipe {
    fn default() -> Self {
        Self {
            calibration_texts: 256,
            aware: 0.0,
        }
    }
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a recipe.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong, with its line.
        source: Box<toml::de::Error>,
    },
    /// A value is outside its range.
    #[error("recipe key `{key}` is {value}, expected {expected}")]
    Range {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A key says otherwise than the pretrained checkpoint that it starts from.
    #[error(transparent)]
    Conflict(Box<KeyConflict>),
}

/// A key of `[model]` says otherwise than the pretrained checkpoint.
#[derive(Debug, thiserror::Error)]
#[error("recipe key `model.{key}` is {value}, but {from} has {found}; leave the key out")]
pub struct KeyConflict {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The checkpoint.
    pub from: String,
    /// The checkpoint's value.
    pub found: String,
}

/// The recipes that come with the program.
const SMALL: &str = include_str!("../../recipes/small.toml");
const TINY: &str = include_str!("../../recipes/tiny.toml");
const QUICKSTART: &str = include_str!("../../recipes/quickstart.toml");
const PRETRAINED: &str = include_str!("../../recipes/pretrained.toml");

impl Recipe {
    /// The recipe of this name that comes with the program.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        // A test reads all of them.
        toml::from_str(Self::text_by_name(name)?).ok()
    }

    fn text_by_name(name: &str) -> Option<&'static str> {
        match name {
            "small" => Some(SMALL),
            "tiny" => Some(TINY),
            "quickstart" => Some(QUICKSTART),
            "pretrained" => Some(PRETRAINED),
            _ => None,
        }
    }

    /// A recipe file, or else the recipe of that name that comes with the program, and
    /// the keys of its section `model`.
    ///
    /// # Errors
    /// [`RecipeError`], with file and line.
    pub fn find(path: &Path) -> Result<(Self, Vec<String>), RecipeError> {
        let known = path.to_str().and_then(Self::text_by_name);
        let text = match known {
            Some(text) if !path.exists() => text.to_owned(),
            _ => read_text(path)?,
        };
        let recipe = parse(path, &text)?;
        let table = text.parse::<toml::Table>().unwrap_or_default();
        let model = table.get("model").and_then(toml::Value::as_table);
        let keys = model.into_iter().flat_map(toml::Table::keys).cloned();
        Ok((recipe, keys.collect()))
    }

    /// The recipe for what begins with a pretrained checkpoint.
    #[must_use]
    pub fn pretrained() -> Self {
        Self::by_name("pretrained").unwrap_or_default()
    }

    /// The recipe of the quickstart.
    #[must_use]
    pub fn quickstart() -> Self {
        Self::by_name("quickstart").unwrap_or_default()
    }

    /// This recipe with one key changed: `model.hidden`, `64`.
    ///
    /// # Errors
    /// A message when there is no such key, or the value does not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, String> {
        let mut root = toml::Table::try_from(self).map_err(|error| error.to_string())?;
        let parsed = format!("value = {value}").parse::<toml::Table>().ok();
        let parsed = parsed.and_then(|mut table| table.remove("value"));
        // Words need no quotes on a command line.
        let new = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let (section, name) = match key.rsplit_once('.') {
            None => (&mut root, key),
            Some((section, name)) => match root.get_mut(section) {
                Some(toml::Value::Table(table)) => (table, name),
                _ => return Err(format!("there is no section `{section}`")),
            },
        };
        let Some(old) = section.get_mut(name) else {
            let keys = section
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(format!("there is no key `{name}` here; there are {keys}"));
        };
        *old = match (&*old, new) {
            #[expect(clippy::cast_precision_loss, reason = "0 and 1, typically")]
            (toml::Value::Float(_), toml::Value::Integer(whole)) => {
                toml::Value::Float(whole as f64)
            }
            (_, new) => new,
        };
        root.try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())
    }

    /// Sets the keys that the method fixes, so that a resolved recipe says what happens.
    ///
    /// Baselines have one score and none of the paper's mechanisms; `paper` has magnitude,
    /// and keeps the switches of its penalties and of its test of heads. Distillation and
    /// blocks are left to every method. Neurons have a price where weights go one by one.
    pub fn settle(&mut self) {
        let pruning = &mut self.pruning;
        if pruning.blocks != Blocks::One {
            pruning.neuron_cost = 0.0;
        }
        pruning.score = match pruning.method {
            Method::Neuroprune => return,
            Method::Paper | Method::L1 | Method::Magnitude => ScoreKind::Magnitude,
            Method::Sensitivity => ScoreKind::Sensitivity,
            Method::Movement => ScoreKind::Movement,
        };
        if pruning.method != Method::Paper {
            pruning.preferential_attachment = false;
            pruning.group_sparsity = false;
            pruning.head_redundancy = false;
        }
        pruning.neuron_cost = 0.0;
    }

    /// What shapes the dense network; the rest, which it does not read, at its default. So
    /// equal dense networks have equal ones.
    #[must_use]
    pub fn dense_part(&self) -> Self {
        Self {
            seed: self.seed,
            model: self.model.clone(),
            training: self.training.clone(),
            ..Self::default()
        }
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// [`RecipeError`], with file and line.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        parse(path, &read_text(path)?)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`RecipeError::Range`] for the first value outside.
    pub fn check(&self) -> Result<(), RecipeError> {
        let model = &self.model;
        let training = &self.training;
        let pruning = &self.pruning;
        let range = |fits: bool, key, value: String, expected| {
            if fits {
                Ok(())
            } else {
                Err(RecipeError::Range {
                    key,
                    value,
                    expected,
                })
            }
        };
        let size = |key, value: usize, largest, expected| {
            range(
                (1..=largest).contains(&value),
                key,
                value.to_string(),
                expected,
            )
        };
        range(
            i64::try_from(self.seed).is_ok(),
            "seed",
            self.seed.to_string(),
            "0 to 9223372036854775807, the whole numbers of TOML",
        )?;
        size("model.hidden", model.hidden, 4096, "1 to 4096")?;
        size("model.layers", model.layers, 64, "1 to 64")?;
        range(
            model.heads > 0 && model.hidden.is_multiple_of(model.heads),
            "model.heads",
            model.heads.to_string(),
            "a divisor of model.hidden",
        )?;
        // The exact dominating set looks at every subset of the heads.
        size("model.heads", model.heads, 16, "1 to 16")?;
        // Or a head that goes would tear blocks of W_O.
        range(
            (model.hidden / model.heads).is_multiple_of(pruning.blocks.width()),
            "pruning.blocks",
            pruning.blocks.name().to_owned(),
            "blocks whose width divides that of a head, model.hidden / model.heads",
        )?;
        size(
            "model.intermediate",
            model.intermediate,
            16384,
            "1 to 16384",
        )?;
        let (fits, expected) = match (model.vocabulary, model.is_pretrained()) {
            (VocabularySize::Pieces(pieces), _) => ((16..=60_000).contains(&pieces), "16 to 60000"),
            (_, is_pretrained) => (
                is_pretrained,
                "a number of pieces; `used` and `all` need a pretrained checkpoint, `--from`",
            ),
        };
        range(
            fits,
            "model.vocabulary",
            model.vocabulary.to_string(),
            expected,
        )?;
        range(
            (0.0..=0.1).contains(&model.norm_epsilon),
            "model.norm_epsilon",
            model.norm_epsilon.to_string(),
            "0 to 0.1",
        )?;
        range(
            (3..=2048).contains(&model.tokens),
            "model.tokens",
            model.tokens.to_string(),
            "3 to 2048",
        )?;
        size("training.epochs", training.epochs, 10_000, "1 to 10000")?;
        size("training.batch", training.batch, 4096, "1 to 4096")?;
        size("pruning.epochs", pruning.epochs, 10_000, "1 to 10000")?;
        size("pruning.interval", pruning.interval, 100_000, "1 to 100000")?;
        let share = |key, value: f64, below: f64, expected| {
            range(
                (0.0..=below).contains(&value),
                key,
                value.to_string(),
                expected,
            )
        };
        share(
            "pruning.head_distance",
            f64::from(pruning.head_distance),
            10.0,
            "0 to 10",
        )?;
        share("quantization.aware", self.quantization.aware, 1.0, "0 to 1")?;
        share("pruning.alpha", pruning.alpha, 1.0, "0 to 1")?;
        share("pruning.beta", pruning.beta, 1.0, "0 to 1")?;
        share("pruning.theta", f64::from(pruning.theta), 10.0, "0 to 10")?;
        share("pruning.sparsity", pruning.sparsity, 0.999, "0 to 0.999")?;
        share("pruning.schedule_end", pruning.schedule_end, 1.0, "0 to 1")?;
        share(
            "pruning.score_memory",
            pruning.score_memory,
            0.9999,
            "0 to 0.9999",
        )?;
        share("pruning.distillation", pruning.distillation, 1.0, "0 to 1")?;
        share(
            "pruning.hidden_distillation",
            pruning.hidden_distillation,
            1000.0,
            "0 to 1000",
        )?;
        share(
            "pruning.word_noise",
            f64::from(pruning.word_noise),
            0.9,
            "0 to 0.9",
        )?;
        share("training.warmup", training.warmup, 1.0, "0 to 1")?;
        share(
            "training.label_smoothing",
            training.label_smoothing,
            0.9,
            "0 to 0.9",
        )?;
        share(
            "training.word_noise",
            f64::from(training.word_noise),
            0.9,
            "0 to 0.9",
        )?;
        share(
            "training.learning_rate",
            training.learning_rate,
            1.0,
            "0 to 1",
        )?;
        share(
            "pruning.learning_rate",
            pruning.learning_rate,
            1.0,
            "0 to 1",
        )?;
        share(
            "training.weight_decay",
            training.weight_decay,
            1.0,
            "0 to 1",
        )?;
        range(
            pruning.temperature > 0.0 && pruning.temperature <= 100.0,
            "pruning.temperature",
            pruning.temperature.to_string(),
            "above 0, up to 100",
        )?;
        range(
            (0.001..=4.0).contains(&pruning.cost_floor),
            "pruning.cost_floor",
            pruning.cost_floor.to_string(),
            "0.001 to 4",
        )?;
        range(
            (0.0..=10_000.0).contains(&pruning.neuron_cost),
            "pruning.neuron_cost",
            pruning.neuron_cost.to_string(),
            "0 to 10000",
        )
    }

    /// The resolved recipe as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Plain structs of numbers and enums always serialise.
        toml::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of [`Recipe::to_toml`].
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.to_toml()).into()
    }
}

fn read_text(path: &Path) -> Result<String, RecipeError> {
    std::fs::read_to_string(path).map_err(|source| RecipeError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn parse(path: &Path, text: &str) -> Result<Recipe, RecipeError> {
    toml::from_str(text).map_err(|source| RecipeError::Parse {
        path: path.display().to_string(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_that_come_along_are_valid() {
        for text in [SMALL, TINY, QUICKSTART, PRETRAINED] {
            let mut recipe: Recipe = toml::from_str(text).unwrap();
            if text == PRETRAINED {
                recipe.model.from = "folder".to_owned();
            }
            recipe.check().unwrap();
            assert_eq!(toml::from_str::<Recipe>(&recipe.to_toml()).unwrap(), recipe);
        }
    }

    #[test]
    fn single_keys_can_be_changed() {
        let recipe = Recipe::default();
        assert_eq!(recipe.with("model.hidden", "64").unwrap().model.hidden, 64);
        assert_eq!(recipe.with("seed", "7").unwrap().seed, 7);
        let moved = recipe.with("target", "x86-64").unwrap();
        assert_eq!(moved.target, Target::X86_64);
        assert_eq!(
            recipe
                .with("pruning.sparsity", "0")
                .unwrap()
                .pruning
                .sparsity,
            0.0
        );
        let gelu = recipe.with("model.activation", "gelu").unwrap();
        assert_eq!(gelu.model.activation, ActivationKind::Gelu);
        for (value, size) in [
            ("300", VocabularySize::Pieces(300)),
            ("used", VocabularySize::Used),
            ("all", VocabularySize::All),
        ] {
            let changed = recipe.with("model.vocabulary", value).unwrap();
            assert_eq!(changed.model.vocabulary, size);
            assert_eq!(value.parse(), Ok(size));
        }
        let blocks = recipe.with("pruning.blocks", "1x4").unwrap();
        assert_eq!(blocks.pruning.blocks, Blocks::Four);
        for (key, value, message) in [
            ("model.width", "64", "there is no key `width`"),
            ("shape.hidden", "64", "there is no section `shape`"),
            ("model.hidden", "wide", "invalid type"),
            ("model.pooling", "max", "unknown variant"),
            ("model.vocabulary", "many", "expected a number of pieces"),
            ("model.vocabulary", "-3", "expected a number of pieces"),
            ("pruning.blocks", "2x1", "unknown variant"),
        ] {
            let error = recipe.with(key, value).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn values_outside_their_range_are_named() {
        let mut recipe = Recipe::default();
        recipe.pruning.sparsity = 1.5;
        let error = recipe.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "recipe key `pruning.sparsity` is 1.5, expected 0 to 0.999"
        );
    }

    #[test]
    fn parts_of_a_vocabulary_need_a_pretrained_one() {
        let mut recipe = Recipe::default();
        recipe.model.vocabulary = VocabularySize::Used;
        let error = recipe.check().unwrap_err().to_string();
        assert!(
            error.starts_with("recipe key `model.vocabulary` is used, expected a number"),
            "{error}"
        );
        recipe.model.from = "folder".to_owned();
        recipe.check().unwrap();
    }

    #[test]
    fn blocks_must_fit_into_a_head() {
        let mut recipe = Recipe::default();
        recipe.pruning.blocks = Blocks::Four;
        recipe.check().unwrap();
        recipe.model.heads = 2;
        recipe.model.hidden = 60;
        let error = recipe.check().unwrap_err().to_string();
        assert!(error.contains("`pruning.blocks` is 1x4"), "{error}");
        recipe.pruning.blocks = Blocks::Two;
        recipe.check().unwrap();
        recipe.pruning.neuron_cost = 64.0;
        recipe.settle();
        assert!(recipe.pruning.neuron_cost.abs() < f32::EPSILON);
    }

    #[test]
    fn names_of_methods_are_those_of_recipes() {
        for method in Method::ALL {
            let recipe = Recipe::default().with("pruning.method", method.name());
            assert_eq!(recipe.unwrap().pruning.method, method);
        }
    }

    #[test]
    fn a_method_fixes_its_keys_and_no_others() {
        let settled = |method| {
            let mut recipe = Recipe::default();
            recipe.pruning.method = method;
            recipe.settle();
            let pruning = &recipe.pruning;
            let switches = [
                pruning.preferential_attachment,
                pruning.group_sparsity,
                pruning.head_redundancy,
            ];
            assert_eq!(pruning.distillation, PruningRecipe::default().distillation);
            (pruning.score, switches)
        };
        assert_eq!(
            settled(Method::Neuroprune),
            (ScoreKind::Sensitivity, [true; 3])
        );
        assert_eq!(settled(Method::Paper), (ScoreKind::Magnitude, [true; 3]));
        assert_eq!(settled(Method::L1), (ScoreKind::Magnitude, [false; 3]));
        assert_eq!(
            settled(Method::Magnitude),
            (ScoreKind::Magnitude, [false; 3])
        );
        assert_eq!(
            settled(Method::Sensitivity),
            (ScoreKind::Sensitivity, [false; 3])
        );
        assert_eq!(settled(Method::Movement), (ScoreKind::Movement, [false; 3]));
    }

    #[test]
    fn names_of_blocks_are_those_of_recipes() {
        for blocks in [Blocks::One, Blocks::Two, Blocks::Four] {
            let recipe = Recipe::default().with("pruning.blocks", blocks.name());
            assert_eq!(recipe.unwrap().pruning.blocks, blocks);
        }
    }

    proptest::proptest! {
        /// A run is repeated from the recipe that stands beside its model.
        #[test]
        fn every_float_comes_back_from_toml_as_the_same_bits(double: u64, single: u32) {
            let (double, single) = (f64::from_bits(double), f32::from_bits(single));
            proptest::prop_assume!(double.is_finite() && single.is_finite());
            let mut recipe = Recipe::default();
            recipe.training.learning_rate = double;
            recipe.model.norm_epsilon = single;
            let read: Recipe = toml::from_str(&recipe.to_toml()).unwrap();
            assert_eq!(read.training.learning_rate.to_bits(), double.to_bits());
            assert_eq!(read.model.norm_epsilon.to_bits(), single.to_bits());
        }
    }
}
