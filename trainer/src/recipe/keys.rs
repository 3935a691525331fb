//! Every key of a recipe: its values and its meaning. The one table that
//! [`super::Recipe::check`], `neuroprune recipe` and `docs/method.md` share.

use core::fmt;

use toml::{Table, Value};

use super::methods::{Method, MethodKind};
use super::{Recipe, RecipeError};

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
    /// A number above the first and no larger than the second.
    RealAbove(f64, f64),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// What the text says.
    Other(&'static str),
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(least, most) => write!(f, "{least} to {most}"),
            Self::Real(least, most) => write!(f, "{least} to {most}"),
            Self::RealAbove(above, most) => write!(f, "above {above}, up to {most}"),
            Self::Words(words) => f.write_str(&words.join(", ")),
            Self::Switch => f.write_str("true, false"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Values {
    /// Whether a number is in range; what the type of the key decides, such as a word, is.
    fn contain(&self, value: &Value) -> bool {
        let number = match value {
            #[expect(clippy::cast_precision_loss, reason = "compared with small bounds")]
            Value::Integer(whole) => *whole as f64,
            Value::Float(real) => decimal(*real),
            Value::String(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => return true,
        };
        match *self {
            #[expect(clippy::cast_precision_loss, reason = "small bounds")]
            Self::Whole(least, most) => (least as f64..=most as f64).contains(&number),
            Self::Real(least, most) => (least..=most).contains(&number),
            Self::RealAbove(above, most) => number > above && number <= most,
            Self::Words(_) | Self::Switch | Self::Other(_) => true,
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

/// The decimal number that was written: a single of TOML has the digits of a double, and
/// 0.1 as a single is above 0.1.
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

/// Checks every number of `recipe` against [`KEYS`].
pub(super) fn check_ranges(recipe: &Recipe) -> Result<(), RecipeError> {
    // Before anything is made into TOML, whose whole numbers end there: nothing could be checked.
    let numbers = serde_json::to_value(recipe).unwrap_or_default();
    for key in KEYS {
        let path = key.path.replace('.', "/");
        let number = numbers.pointer(&format!("/{path}"));
        let number = number.and_then(serde_json::Value::as_u64);
        if let Some(number) = number.filter(|&number| i64::try_from(number).is_err()) {
            return Err(RecipeError::Range {
                key: key.path,
                value: number.to_string(),
                expected: key.values.to_string(),
            });
        }
    }
    for key in KEYS {
        match recipe.value(key.path) {
            Some(value) if !key.values.contain(&value) => {
                return Err(RecipeError::Range {
                    key: key.path,
                    value: shown(&value),
                    expected: key.values.to_string(),
                });
            }
            // A key of another method than the recipe's.
            Some(_) | None => {}
        }
    }
    Ok(())
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

use Values::{Other, Real, RealAbove, Switch, Whole, Words};

/// Every key, in the order of a resolved recipe.
// A table is read line by line.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("seed", Whole(0, i64::MAX), "random seed: the same recipe, data and seed give the same file"),
    key("target", Words(&["portable", "cortex-m4", "cortex-m0", "cortex-m3", "riscv32", "cortex-m55", "wasm", "x86-64"]),
        "processor for which the layouts of the file are chosen; any file runs everywhere"),
    key("model.from", Other("a folder, hf:OWNER/NAME@REVISION"), "pretrained checkpoint to start from; empty: random weights"),
    key("model.from_sha256", Other("64 hexadecimal digits"), "digest of that checkpoint's weights; filled in if empty, else checked"),
    key("model.hidden", Whole(1, 4096), "width of the residual stream, d"),
    key("model.layers", Whole(1, 64), "encoder layers"),
    // The exact minimum dominating set tries every subset of the heads.
    key("model.heads", Whole(1, 16), "attention heads in a layer; a divisor of `hidden`"),
    key("model.intermediate", Whole(1, 16384), "neurons in a layer's MLP, m"),
    key("model.vocabulary", Other("16 to 60000, used, all"),
        "most pieces of the WordPiece vocabulary; of a pretrained one also `used`, the pieces that the \
         training texts use, or `all`"),
    key("model.tokens", Whole(3, 2048), "longest sequence, special tokens included; longer texts are truncated"),
    key("model.activation", Words(&["relu", "gelu"]), "function between the matrices of an MLP"),
    key("model.pooling", Words(&["mean", "cls"]), "what the classifier reads: the mean of all tokens, or the first token"),
    key("model.norm_epsilon", Real(0.0, 0.1), "added to the variance in every LayerNorm"),
    key("training.epochs", Whole(1, 10_000), "passes over the data in the dense phase"),
    key("training.batch", Whole(1, 4096), "texts in a step, in both phases"),
    key("training.learning_rate", Real(0.0, 1.0), "peak, in the dense phase"),
    key("training.warmup", Real(0.0, 1.0), "share of a phase's steps in which the rate rises from 0; after it, the rate falls to 0"),
    key("training.weight_decay", Real(0.0, 1.0), "AdamW's, decoupled"),
    key("training.word_noise", Real(0.0, 0.9), "share of the words that are changed, in the dense phase"),
    key("training.label_smoothing", Real(0.0, 0.9), "share of the target that is spread over all classes"),
    key("training.precision", Words(&["f32", "bf16"]),
        "factors of the products with the encoder's and the classifier's matrices, forward and backward; \
         `f32` is TF32 on a GPU. Sums, weights and moments are f32 in both cases, and so are attention's own \
         products and the steps trained as int8"),
    key("pruning.method", Words(&["neuroprune", "paper", "l1", "magnitude", "sensitivity", "movement"]), "how weights are chosen: \"Methods\""),
    key("pruning.sparsity", Real(0.0, 0.999), "S, the share of encoder weights that end as zero"),
    key("pruning.epochs", Whole(1, 10_000), "passes over the data in the sparse phase"),
    key("pruning.learning_rate", Real(0.0, 1.0), "peak, in the sparse phase"),
    key("pruning.schedule_end", Real(0.0, 1.0), "E / N, the share of the steps after which no more weights are removed"),
    key("pruning.blocks", Words(&["1x1", "1x2", "1x4"]),
        "neighbouring inputs of an output that are pruned together; the width must divide that of a head"),
    key("pruning.word_noise", Real(0.0, 0.9), "share of the words that are changed, in the sparse phase"),
    key("pruning.distillation", Real(0.0, 1.0), "λ, the share of the loss that follows the dense network's answers; 0: no teacher"),
    key("pruning.temperature", RealAbove(0.0, 100.0), "τ of those answers"),
    key("pruning.hidden_distillation", Real(0.0, 1000.0), "μ, the weight of the squared distance from the dense network's layer outputs"),
    key("pruning.interval", Whole(1, 100_000), "steps from one removal to the next"),
    key("pruning.score", Words(&["sensitivity", "magnitude", "movement"]), "s, the importance of a weight; the methods of these names fix it"),
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
    key("quantization.calibration_texts", Other("a whole number from 0"),
        "training texts whose activations choose the scales of rows; 0: the weights alone do"),
    key("quantization.aware", Real(0.0, 1.0), "share of the sparse phase's steps, the last ones, that are trained as int8"),
];

#[cfg(test)]
mod tests;
