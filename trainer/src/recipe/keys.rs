//! Every key of a recipe: its values and its meaning. The one table that
//! [`super::Recipe::check`], `neuroprune recipe` and `docs/method.md` share.

mod error;

use core::fmt;

use toml::{Table, Value};

use super::methods::{Method, MethodKind, ScoreKind};
use super::model::{ActivationKind, PoolingKind, PositionsKind, Splitting, TokenValues};
use super::target::Target;
use super::{Blocks, ClassWeights, FloatPrecision, Keep, MixingKind, Mixings, Recipe};

use error::keys_of;

pub use error::KeyError;

/// A key of a recipe.
#[derive(Debug)]
pub struct Key {
    /// Section and name, `pruning.sparsity`.
    pub path: &'static str,
    /// What it may be.
    pub values: Values,
    /// What it does.
    pub meaning: &'static str,
}

/// What a key may be.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// A whole number, both ends included.
    Whole(i64, i64),
    /// A number, both ends included.
    Real(f64, f64),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// Mixings of layers.
    Mixings,
    /// What the text says.
    Other(&'static str),
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(least, most) => write!(f, "{least} to {most}"),
            Self::Real(least, most) => write!(f, "{least} to {most}"),
            Self::Words(words) => f.write_str(&words.join(", ")),
            Self::Switch => f.write_str("true, false"),
            Self::Mixings => f.write_str(&MixingKind::WORDS.join(", ")),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Values {
    /// Whether `value` is of this kind and in range.
    fn contain(&self, value: &Value) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "compared with small bounds")]
        let number = match value {
            Value::Integer(whole) => Some(*whole as f64),
            Value::Float(real) => Some(decimal(*real)),
            Value::String(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => None,
        };
        match *self {
            Self::Whole(least, most) => {
                let whole = value.as_integer();
                whole.is_some_and(|whole| (least..=most).contains(&whole))
            }
            Self::Real(least, most) => number.is_some_and(|it| (least..=most).contains(&it)),
            Self::Words(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Switch => value.is_bool(),
            Self::Mixings => value
                .as_str()
                .is_some_and(|it| it.parse::<Mixings>().is_ok()),
            Self::Other(_) => true,
        }
    }
}

impl Key {
    /// The section and the name in it; no section for keys at the top.
    #[must_use]
    pub fn parts(&self) -> (Option<&'static str>, &'static str) {
        match self.path.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, self.path),
        }
    }

    /// The methods that have this key; none for a key that has nothing to do with methods.
    #[must_use]
    pub fn methods(&self) -> Vec<MethodKind> {
        match self.parts() {
            (Some("pruning"), name) => MethodKind::with_key(name),
            (Some(_) | None, _) => Vec::new(),
        }
    }

    /// The default, as a recipe writes it.
    #[must_use]
    pub fn default(&self) -> String {
        let kind = self.methods().first().copied().unwrap_or_default();
        let mut recipe = Recipe::default();
        recipe.pruning.method = Method::new(kind);
        recipe
            .value(self.path)
            .as_ref()
            .map_or_else(String::new, shown)
    }
}

/// A value of a recipe as the shortest text that gives it again.
fn shown(value: &Value) -> String {
    let real = value.as_float().map(decimal);
    real.map_or_else(|| value.to_string(), |real| real.to_string())
}

/// The decimal number that was written: an `f32` in TOML has the digits of an `f64`, and 0.1 as an
/// `f32` is above 0.1.
fn decimal(real: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "compared with the original"
    )]
    let single = real as f32;
    match single.to_string().parse() {
        Ok(written) if f64::from(single) == real => written,
        Ok(_) | Err(_) => real,
    }
}

/// Checks every key that is set in `root`, a recipe as it is written.
pub(super) fn check(root: &Table) -> Result<(), KeyError> {
    let values = flat(root, "");
    for (path, value) in &values {
        let key = KEYS.iter().find(|key| key.path == path);
        let unknown = || match keys_of(path).is_empty() {
            true => KeyError::Unknown(path.clone()),
            false => KeyError::IsSection(path.clone()),
        };
        let key = key.ok_or_else(unknown)?;
        if !key.values.contain(value) {
            return Err(match (key.values, value) {
                (Values::Whole(..), Value::Float(real)) => KeyError::Value {
                    key: key.path,
                    value: format!("{real:?}"),
                    expected: format!("a whole number, {}", key.values),
                },
                _ => KeyError::value(key, shown(value)),
            });
        }
    }
    let value = |wanted: &str| {
        values
            .iter()
            .find(|(path, _)| path == wanted)
            .map(|(_, value)| value)
    };
    let kind = value("pruning.method")
        .and_then(Value::as_str)
        .and_then(MethodKind::by_name);
    let kind = kind.unwrap_or_default();
    let settings = KEYS
        .iter()
        .map(|key| (key, key.methods()))
        .filter(|(_, of)| !of.is_empty());
    // Version 0.1 wrote every key into a resolved recipe, read or not.
    if settings.clone().all(|(key, _)| value(key.path).is_some()) {
        return Ok(());
    }
    let foreign =
        |(key, of): &(&Key, Vec<MethodKind>)| value(key.path).is_some() && !of.contains(&kind);
    match settings.clone().find(foreign) {
        Some((key, _)) => Err(KeyError::OfAnotherMethod {
            key: key.parts().1,
            kind,
        }),
        None => Ok(()),
    }
}

/// Checks every key of `recipe`.
pub(super) fn check_all(recipe: &Recipe) -> Result<(), KeyError> {
    // Before anything becomes TOML, whose whole numbers end at `i64::MAX`: larger ones could not be
    // checked.
    let numbers = serde_json::to_value(recipe).unwrap_or_default();
    for key in KEYS {
        let number = numbers.pointer(&format!("/{}", key.path.replace('.', "/")));
        let number = number.and_then(serde_json::Value::as_u64);
        if let Some(number) = number.filter(|&number| i64::try_from(number).is_err()) {
            return Err(KeyError::value(key, number.to_string()));
        }
    }
    let root = Table::try_from(recipe).map_err(|error| KeyError::Section(error.to_string()))?;
    check(&root)
}

/// `pruning.sparsity` and its value, for every value of a table of tables.
pub(crate) fn flat(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    let pairs = table
        .iter()
        .flat_map(|(key, value)| match value.as_table() {
            Some(inner) => flat(inner, &format!("{prefix}{key}.")),
            None => vec![(format!("{prefix}{key}"), value.clone())],
        });
    pairs.collect()
}

const fn key(path: &'static str, values: Values, meaning: &'static str) -> Key {
    Key {
        path,
        values,
        meaning,
    }
}

use Values::{Other, Real, Switch, Whole, Words};

/// Every key, in the order of a resolved recipe.
// A table is read line by line.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("seed", Whole(0, i64::MAX), "random seed: the same recipe, data and seed give the same file"),
    key("target", Words(Target::WORDS),
        "processor for which the layouts of the file are chosen; any file runs everywhere"),
    key("model.from", Other("a folder, hf:OWNER/NAME@REVISION"), "pretrained checkpoint to start from; empty: random weights"),
    key("model.from_sha256", Other("64 hexadecimal digits"), "digest of that checkpoint's weights; filled in if empty, else checked"),
    key("model.hidden", Whole(1, 4096), "width of the residual stream, d"),
    key("model.embedding", Whole(0, 4096),
        "width of the token table's rows, e: a matrix `[hidden, e]` makes vectors of them; 0: rows are as wide as \
         the residual stream"),
    key("model.token_values", Words(TokenValues::WORDS), "how the file writes the token table's rows: a byte a weight, or half of one"),
    key("model.positions", Words(PositionsKind::WORDS),
        "a learned row for each position, or none: a recurrence knows the order of the tokens"),
    key("model.layers", Whole(0, 64), "encoder layers; 0: the classifier reads the mean of the embeddings"),
    key("model.mixing", Values::Mixings,
        "how the tokens of a layer read others; several, with commas, are those of the first layers, and the last \
         is that of all further ones"),
    // The exact minimum dominating set tries every subset of the heads.
    key("model.heads", Whole(1, 16), "attention heads in a layer; a divisor of `hidden`"),
    key("model.intermediate", Whole(0, 16384), "neurons in a layer's MLP, m; 0: layers have none"),
    key("model.vocabulary", Other("16 to 60000, used, all"),
        "most pieces of the WordPiece vocabulary; of a pretrained one also `used`, the pieces that the \
         training texts use, or `all`"),
    key("model.lowercase", Switch, "letters become lower case before anything else; a pretrained vocabulary decides it"),
    key("model.strip_accents", Switch,
        "letters lose their marks; off where these tell words apart, as in Vietnamese, Thai and most of Europe; \
         a pretrained vocabulary decides it"),
    key("model.splitting", Words(Splitting::WORDS),
        "what ends a word: white space and punctuation; besides, each `chinese` character is one of its own; so \
         are the `letters` of Japanese, Thai, Lao, Khmer, Burmese and Tibetan; a pretrained vocabulary decides it"),
    key("model.tokens", Whole(3, 2048), "longest sequence, special tokens included; longer texts are truncated"),
    key("model.activation", Words(ActivationKind::WORDS), "function between the matrices of an MLP"),
    key("model.pooling", Words(PoolingKind::WORDS), "what the classifier reads: the mean of all tokens, or the first token"),
    key("model.norm_epsilon", Real(0.0, 0.1), "added to the variance in every LayerNorm"),
    key("training.epochs", Whole(1, 10_000), "passes over the data in the dense phase"),
    key("training.least_steps", Whole(0, 10_000_000), "fewest steps of the dense phase: small data are passed over more often than `epochs`"),
    key("training.batch", Whole(1, 4096), "texts in a step, in both phases"),
    key("training.learning_rate", Real(0.0, 1.0), "peak, in the dense phase"),
    key("training.warmup", Real(0.0, 1.0), "share of a phase's steps in which the rate rises from 0; after it, the rate falls to 0"),
    key("training.weight_decay", Real(0.0, 1.0), "AdamW's, decoupled"),
    key("training.word_noise", Real(0.0, 0.9), "share of the words that are changed, in the dense phase"),
    key("training.label_smoothing", Real(0.0, 0.9), "share of the target that is spread over all classes"),
    key("training.class_weights", Words(ClassWeights::WORDS),
        "what a text weighs in both phases: the same, or its class the same as any other"),
    key("training.keep", Words(Keep::WORDS),
        "network a phase ends with: the last, or the one of the epoch that was best on the dev set (in the \
         sparse phase of those at the final sparsity); accuracies on that dev set are then too good"),
    key("training.dev_seed", Whole(0, i64::MAX), "which texts are set aside where there is no dev file"),
    key("training.precision", Words(FloatPrecision::WORDS),
        "factors of the products with the encoder's and the classifier's matrices, forward and backward; \
         `f32` is TF32 on a GPU. Sums, weights and moments are f32 in both cases, and so are attention's own \
         products and the steps trained as int8"),
    key("student.vocabulary", Whole(0, 60_000),
        "pieces of a small network that the dense one teaches in the sparse phase, those that its texts use most; 0: \
         the sparse network begins as the dense one"),
    key("student.bytes", Whole(0, i64::MAX), "most bytes of its file: as many pieces are kept as fit; 0: `vocabulary` decides"),
    key("student.ram", Whole(0, i64::MAX),
        "most bytes of scratch memory and stack on a Cortex-M4, for texts of `model.tokens`; a shape that takes more \
         is refused before anything is trained; 0: any"),
    key("student.instructions", Whole(0, i64::MAX),
        "most instructions of a Cortex-M4F for a text of 16 tokens, without the tokenizer, likewise; 0: any"),
    key("student.embedding", Whole(0, 4096), "width of its token table's rows; 0: that of its residual stream"),
    key("student.token_values", Words(TokenValues::WORDS), "how the file writes these rows"),
    key("student.hidden", Whole(1, 4096), "width of its residual stream"),
    key("student.layers", Whole(0, 64), "its layers; 0: the classifier reads the mean of the embeddings"),
    key("student.mixing", Values::Mixings, "how the tokens of its layers read others, as for `model.mixing`"),
    key("student.heads", Whole(1, 16), "attention heads in a layer; a divisor of `hidden`"),
    key("student.intermediate", Whole(0, 16384), "neurons in a layer's MLP; 0: layers have none"),
    key("student.positions", Words(PositionsKind::WORDS), "a learned row for each position, or none"),
    key("student.texts", Whole(1, 10_000_000),
        "texts that it learns from: those of the data, and others made of them, whose words are replaced by the nearest \
         in the teacher's table, dropped, swapped and spliced; the dense network answers all"),
    key("student.unlabelled_sha256", Other("64 hexadecimal digits"),
        "digest of the texts without classes (`--unlabelled`) that 15 % of those it learns from are taken from; \
         filled in if empty, else checked"),
    key("student.batch", Whole(1, 65_536), "its texts in a step"),
    key("pruning.method", Words(MethodKind::WORDS), "how weights are chosen: \"Methods\""),
    key("pruning.sparsity", Real(0.0, 0.999), "S, the share of encoder weights that end as zero"),
    key("pruning.epochs", Whole(1, 10_000), "passes over the data in the sparse phase"),
    key("pruning.least_steps", Whole(0, 10_000_000), "fewest steps of the sparse phase, likewise"),
    key("pruning.learning_rate", Real(0.0, 1.0), "peak, in the sparse phase"),
    key("pruning.schedule_end", Real(0.0, 1.0), "E / N, the share of the steps after which no more weights are removed"),
    key("pruning.blocks", Words(Blocks::WORDS),
        "neighbouring inputs of an output that are pruned together; the width must divide that of a head"),
    key("pruning.word_noise", Real(0.0, 0.9), "share of the words that are changed, in the sparse phase"),
    key("pruning.distillation", Real(0.0, 1.0), "λ, the share of the loss that follows the dense network's answers; 0: no teacher"),
    key("pruning.temperature", Real(0.1, 100.0), "τ of those answers"),
    key("pruning.hidden_distillation", Real(0.0, 1000.0), "μ, the weight of the squared distance from the dense network's layer outputs; for a student, from its pooled vectors"),
    key("pruning.interval", Whole(1, 100_000), "steps from one removal to the next"),
    key("pruning.score", Words(ScoreKind::WORDS), "s, the importance of a weight; the methods of these names fix it"),
    key("pruning.score_memory", Real(0.0, 0.9999), "ρ, the memory of the sensitivity, per step"),
    key("pruning.preferential_attachment", Switch, "L_in and L_out: weights of well-connected rows cost less, or are penalised less"),
    key("pruning.group_sparsity", Switch, "Q, K, V: the weights of an input dimension are pruned as a group"),
    key("pruning.head_redundancy", Switch, "redundant heads are merged, or removed"),
    key("pruning.cost_floor", Real(0.001, 4.0), "smallest cost of a weight; smallest factor of the penalty on L_in and L_out"),
    key("pruning.neuron_cost", Real(0.0, 10_000.0), "κ, what a neuron costs besides its weights; 0 with blocks wider than `1x1`"),
    key("pruning.head_distance", Real(0.0, 10.0), "largest relative distance of two heads' outputs that counts as equivalent"),
    key("pruning.alpha", Real(0.0, 1.0), "α, the strength of the penalty on L_in and L_out; for `l1` on all matrices"),
    key("pruning.beta", Real(0.0, 1.0), "β, the strength of the penalty on Q, K and V"),
    key("pruning.theta", Real(0.0, 10.0), "θ, the largest difference between weights of two heads that count as the same"),
    key("quantization.calibration_texts", Whole(0, i64::MAX),
        "training texts whose activations choose the scales of rows; 0: the weights alone do"),
    key("quantization.aware", Real(0.0, 1.0), "share of the sparse phase's steps, the last ones, that are trained as int8"),
];

#[cfg(test)]
mod tests;
