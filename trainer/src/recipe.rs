//! Everything that shapes a run, as a TOML file.
//!
//! Every key has a default; a recipe names only what differs. The resolved recipe,
//! defaults and command-line overrides included, is written beside the model.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub mod keys;
mod methods;
mod pruning;
pub mod target;
mod vocabulary_size;

use crate::recipe::target::Target;

pub use methods::{ForeignKey, Method, MethodKind, Neuroprune, Paper};
pub use pruning::{Blocks, PruningRecipe, ScoreKind};
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
        expected: String,
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
    /// A message when there is no such key, the method does not have it, or the value does
    /// not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, String> {
        if key == METHOD {
            let name = toml::Value::String(value.trim_matches('"').to_owned());
            let kind = name.try_into::<MethodKind>();
            let kind = kind.map_err(|error| error.message().to_owned())?;
            let mut changed = self.clone();
            changed.pruning.method = changed.pruning.method.changed_to(kind);
            return Ok(changed);
        }
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
            if let Some(key) = ForeignKey::find(key, self.pruning.method.kind()) {
                return Err(key.to_string());
            }
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
        let mut changed: Self = root
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        if key == BLOCKS {
            changed.pruning.set_blocks(changed.pruning.blocks);
        }
        Ok(changed)
    }

    /// This recipe with several keys changed. Those on which the meaning of others depends
    /// come first, whatever their order here; of a key that is there twice, the last counts.
    ///
    /// # Errors
    /// The place of the first change that cannot be made, and a message as of
    /// [`Recipe::with`].
    pub fn with_all(&self, changes: &[(String, String)]) -> Result<Self, (usize, String)> {
        let mut order: Vec<usize> = (0..changes.len()).collect();
        order.sort_by_key(|&at| match changes[at].0.as_str() {
            METHOD => 0,
            BLOCKS => 1,
            _ => 2,
        });
        let change = |recipe: Self, at: usize| {
            let (key, value) = &changes[at];
            recipe.with(key, value).map_err(|problem| (at, problem))
        };
        order.into_iter().try_fold(self.clone(), change)
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

    /// Checks every key against [`keys::KEYS`], and keys against each other.
    ///
    /// # Errors
    /// [`RecipeError::Range`] for the first value outside.
    pub fn check(&self) -> Result<(), RecipeError> {
        let refused = |key, value: String, expected: &str| {
            Err(RecipeError::Range {
                key,
                value,
                expected: expected.to_owned(),
            })
        };
        // Before anything is made into TOML, whose whole numbers end there.
        if i64::try_from(self.seed).is_err() {
            let expected = "0 to 9223372036854775807, the whole numbers of TOML";
            return refused("seed", self.seed.to_string(), expected);
        }
        keys::check_ranges(self)?;
        let model = &self.model;
        let pruning = &self.pruning;
        if !model.hidden.is_multiple_of(model.heads) {
            let expected = "a divisor of model.hidden";
            return refused("model.heads", model.heads.to_string(), expected);
        }
        // Or removing a head would tear blocks of W_O.
        if !(model.hidden / model.heads).is_multiple_of(pruning.blocks.width()) {
            let expected = "blocks whose width divides that of a head, model.hidden / model.heads";
            return refused("pruning.blocks", pruning.blocks.name().to_owned(), expected);
        }
        let neuron_cost = pruning.method.neuron_cost();
        if neuron_cost > 0.0 && pruning.blocks != Blocks::One {
            let expected = "0 with pruning.blocks wider than 1x1";
            return refused("pruning.neuron_cost", neuron_cost.to_string(), expected);
        }
        let expected = match model.vocabulary {
            VocabularySize::Pieces(16..=60_000) => return Ok(()),
            VocabularySize::Pieces(_) => "16 to 60000",
            VocabularySize::Used | VocabularySize::All if model.is_pretrained() => return Ok(()),
            VocabularySize::Used | VocabularySize::All => {
                "a number of pieces; `used` and `all` need a pretrained checkpoint, `--from`"
            }
        };
        refused("model.vocabulary", model.vocabulary.to_string(), expected)
    }

    /// The value of the key `pruning.sparsity`, if the recipe has it.
    fn value(&self, path: &str) -> Option<toml::Value> {
        let (section, name) = path.split_once('.').unwrap_or(("", path));
        let mut root = toml::Table::try_from(self).ok()?;
        match root.get_mut(section) {
            Some(toml::Value::Table(table)) => table.remove(name),
            _ => root.remove(name),
        }
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

/// Its value decides which other keys there are.
const METHOD: &str = "pruning.method";
/// Its value decides whether neurons have a price.
const BLOCKS: &str = "pruning.blocks";

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
    }

    #[test]
    fn wider_blocks_have_no_price_of_a_neuron() {
        let priced = Recipe::default().with("pruning.neuron_cost", "64").unwrap();
        assert_eq!(priced.pruning.method.neuron_cost(), 64.0);
        let mut wide = priced.with(BLOCKS, "1x2").unwrap();
        assert_eq!(wide.pruning.method.neuron_cost(), 0.0);
        wide = wide.with("pruning.neuron_cost", "64").unwrap();
        assert_eq!(
            wide.check().unwrap_err().to_string(),
            "recipe key `pruning.neuron_cost` is 64, expected 0 with pruning.blocks wider than 1x1"
        );
    }

    #[test]
    fn names_of_methods_are_those_of_recipes() {
        for kind in MethodKind::ALL {
            let recipe = Recipe::default().with(METHOD, kind.name()).unwrap();
            assert_eq!(recipe.pruning.method, Method::new(kind));
            let text = format!("[pruning]\nmethod = \"{}\"", kind.name());
            assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe);
        }
    }

    #[test]
    fn a_key_of_another_method_is_an_error_that_names_those_that_have_it() {
        let message =
            "`alpha` means nothing to the method `magnitude`; it is a key of paper and l1";
        let text = "[pruning]\nmethod = \"magnitude\"\nalpha = 0.1";
        let error = parse(Path::new("a.toml"), text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        let magnitude = Recipe::default().with(METHOD, "magnitude").unwrap();
        assert_eq!(magnitude.with("pruning.alpha", "0.1").unwrap_err(), message);
        assert!(!magnitude.to_toml().contains("alpha"));
    }

    /// Version 0.1 wrote every key; those that it never read may be there.
    #[test]
    fn a_recipe_resolved_by_version_0_1_opens() {
        let mut keys = String::new();
        for (key, value) in [
            ("method", "\"l1\""),
            ("interval", "12"),
            ("score", "\"magnitude\""),
            ("score_memory", "0.95"),
            ("preferential_attachment", "false"),
            ("group_sparsity", "false"),
            ("head_redundancy", "false"),
            ("cost_floor", "0.2"),
            ("neuron_cost", "0.0"),
            ("head_distance", "0.5"),
            ("alpha", "0.002"),
            ("beta", "0.001"),
            ("theta", "0.15"),
        ] {
            keys += &format!("{key} = {value}\n");
        }
        let recipe: Recipe = toml::from_str(&format!("[pruning]\n{keys}")).unwrap();
        let expected = Method::L1 {
            interval: 12,
            alpha: 0.002,
        };
        assert_eq!(recipe.pruning.method, expected);
    }

    #[test]
    fn the_method_is_changed_before_its_settings() {
        let changes = [("pruning.alpha", "2e-3"), (METHOD, "l1")];
        let changes = changes.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let recipe = Recipe::default().with_all(&changes).unwrap();
        let expected = Method::L1 {
            interval: 10,
            alpha: 2e-3,
        };
        assert_eq!(recipe.pruning.method, expected);
        let (at, _) = Recipe::default().with_all(&changes[..1]).unwrap_err();
        assert_eq!(at, 0);
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
