//! Everything that shapes a run, as a TOML file.
//!
//! Every key has a default; a recipe names only what differs. The resolved recipe,
//! defaults and command-line overrides included, is written next to the model.

use core::fmt;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use toml::de::DeTable;
use toml::{Table, Value};

mod blocks;
mod budget;
mod bundled;
mod changes;
pub mod keys;
mod methods;
mod mixings;
mod model;
mod parts;
mod pruning;
mod quantization;
mod student;
pub mod target;
mod training;
mod vocabulary_size;
mod words;

use crate::input_file;
use crate::recipe::target::Target;

pub use blocks::Blocks;
pub use budget::{Budget, Count, Shape, Size, TOKENS as BUDGET_TOKENS};
pub use keys::KeyError;
pub use methods::{Averaged, Gradual, L1, Method, MethodKind, Neuroprune, Paper, ScoreKind};
pub use mixings::{MixingKind, Mixings};
pub use model::{
    ActivationKind, KeyConflict, ModelRecipe, PoolingKind, PositionsKind, Splitting, TokenValues,
};
pub use pruning::PruningRecipe;
pub use quantization::QuantizationRecipe;
pub use student::StudentRecipe;
pub use training::{ClassWeights, FloatPrecision, Keep, TrainingRecipe};
pub use vocabulary_size::VocabularySize;

/// A whole recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
// As associated functions: every way to read a recipe checks its keys first.
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct Recipe {
    /// Random seed; the same recipe, data and seed give the same file.
    pub seed: u64,
    /// Processor that the file's layouts are chosen for.
    pub target: Target,
    /// Shape of the network.
    pub model: ModelRecipe,
    /// Training of the dense network.
    pub training: TrainingRecipe,
    /// A small network that the dense one teaches, if there is to be one.
    pub student: StudentRecipe,
    /// Training of the sparse network.
    pub pruning: PruningRecipe,
    /// From floats to int8.
    pub quantization: QuantizationRecipe,
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("{path}: {source}{}", bundled_names(.source))]
    Read {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not a recipe.
    #[error("{path}{problem}")]
    Parse {
        /// The file.
        path: String,
        /// Where, and what is wrong.
        problem: NotToml,
    },
    /// A key of a file.
    #[error("{path}, line {line}: {problem}")]
    InFile {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: KeyError,
    },
    /// A key, wherever it was set.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key contradicts the pretrained checkpoint that the run starts from.
    #[error(transparent)]
    Conflict(Box<KeyConflict>),
}

impl Recipe {
    /// A recipe file, or else the bundled recipe of that name, and the keys of its section
    /// `model`.
    ///
    /// # Errors
    /// [`RecipeError`], with file and line.
    pub fn find(path: &Path) -> Result<(Self, Vec<String>), RecipeError> {
        let known = path.to_str().and_then(Self::text_by_name);
        let text = match known {
            // A folder of that name, as `quickstart` makes it, is not a recipe.
            Some(text) if !path.is_file() => text.to_owned(),
            _ => read_text(path)?,
        };
        let recipe = parse(path, &text)?;
        let table = text.parse::<Table>().unwrap_or_default();
        let model = table.get("model").and_then(Value::as_table);
        let keys = model.into_iter().flat_map(Table::keys).cloned();
        Ok((recipe, keys.collect()))
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
    /// [`RecipeError::Key`] for the first value outside.
    pub fn check(&self) -> Result<(), RecipeError> {
        let refused = |key, value: String, expected: &str| {
            Err(RecipeError::Key(KeyError::Value {
                key,
                value,
                expected: expected.to_owned(),
            }))
        };
        keys::check_all(self)?;
        let model = &self.model;
        let pruning = &self.pruning;
        let student = &self.student;
        if let Some((key, value)) = student.idle() {
            let expected = "to be left out: without `student.vocabulary` there is no student";
            return refused(key, value, expected);
        }
        let student_layers = if student.exists() { student.layers } else { 0 };
        let networks = [
            (model.hidden, model.heads, &model.mixing, model.layers),
            (
                student.hidden,
                student.heads,
                &student.mixing,
                student_layers,
            ),
        ];
        let names = [
            ["model.hidden", "model.heads", "model.mixing"],
            ["student.hidden", "student.heads", "student.mixing"],
        ];
        for ((hidden, heads, mixing, layers), [hidden_key, heads_key, mixing_key]) in
            networks.into_iter().zip(names)
        {
            if layers > 0 && mixing.named() > layers {
                let expected = format!("as many mixings as there are layers, {layers}, or fewer");
                return refused(mixing_key, mixing.to_string(), &expected);
            }
            let has = |kind| mixing.count(kind, layers) > 0;
            if has(MixingKind::Recurrence) && !hidden.is_multiple_of(2) {
                let expected = "an even width, of which each direction of a recurrence has half";
                return refused(hidden_key, hidden.to_string(), expected);
            }
            if !has(MixingKind::Attention) {
                continue;
            }
            if !hidden.is_multiple_of(heads) {
                let expected = format!("a divisor of {hidden_key}");
                return refused(heads_key, heads.to_string(), &expected);
            }
            // Otherwise removing a head would tear blocks of W_O apart.
            if !(hidden / heads).is_multiple_of(pruning.blocks.width()) {
                let expected = format!(
                    "blocks whose width divides that of a head, {hidden_key} / {heads_key}"
                );
                let blocks = pruning.blocks.name().to_owned();
                return refused("pruning.blocks", blocks, &expected);
            }
        }
        let digest = &model.from_sha256;
        let is_digest = digest.len() == 64 && digest.bytes().all(|it| it.is_ascii_hexdigit());
        if !digest.is_empty() && !is_digest {
            let expected = "64 hexadecimal digits, or nothing";
            return refused("model.from_sha256", digest.clone(), expected);
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
    fn value(&self, path: &str) -> Option<Value> {
        let (section, name) = path.split_once('.').unwrap_or(("", path));
        let mut root = Table::try_from(self).ok()?;
        match root.get_mut(section) {
            Some(Value::Table(table)) => table.remove(name),
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

/// For a name that is neither a file nor one of them.
fn bundled_names(error: &std::io::Error) -> String {
    if error.kind() != std::io::ErrorKind::NotFound {
        return String::new();
    }
    let names: Vec<&str> = bundled::BUNDLED.iter().map(|(name, _)| *name).collect();
    format!("; bundled recipes: {}", names.join(", "))
}

fn read_text(path: &Path) -> Result<String, RecipeError> {
    input_file::read_text(path, input_file::RECIPE).map_err(|source| RecipeError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn parse(path: &Path, text: &str) -> Result<Recipe, RecipeError> {
    let path = path.display().to_string();
    let table: Table = text.parse().map_err(|error| RecipeError::Parse {
        path: path.clone(),
        problem: NotToml::new(text, &error),
    })?;
    Recipe::try_from(table).map_err(|problem| {
        let line = problem.path().and_then(|key| line_of(text, &key));
        let line = line.unwrap_or(1);
        RecipeError::InFile {
            path,
            line,
            problem,
        }
    })
}

/// What is wrong with a text as TOML: `, line 3, column 5: …`.
#[derive(Debug)]
pub struct NotToml {
    place: Option<(usize, usize)>,
    message: String,
}

impl NotToml {
    pub(crate) fn new(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        Self {
            place: before.map(|before| {
                let line = before.rsplit('\n').next().unwrap_or_default();
                (1 + before.matches('\n').count(), 1 + line.chars().count())
            }),
            message: error.message().to_owned(),
        }
    }
}

impl fmt::Display for NotToml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.message.replace('\n', "; "))
    }
}

/// The line of this key, from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut start = None;
    for part in key.split('.') {
        let (name, value) = table.get_key_value(part)?;
        start = Some(name.span().start);
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    Some(1 + text.get(..start?)?.matches('\n').count())
}

impl TryFrom<Table> for Recipe {
    type Error = KeyError;

    fn try_from(root: Table) -> Result<Self, KeyError> {
        keys::check(&root)?;
        from_checked(root).map_err(|error| KeyError::Section(error.message().to_owned()))
    }
}

/// Reads a recipe with serde alone, its keys unchecked.
fn from_checked(mut root: Table) -> Result<Recipe, toml::de::Error> {
    // The method decides which settings there are.
    if let Some(Value::Table(pruning)) = root.get_mut("pruning") {
        let method = pruning.entry("method");
        method.or_insert_with(|| MethodKind::default().name().into());
    }
    Recipe::deserialize(root)
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not at once as TOML: where serde_json keeps numbers as they are written, only its own
        // type can take them.
        let root = serde_json::Map::deserialize(deserializer)?;
        let root = root
            .into_iter()
            .map(|(key, value)| (key, toml_value(value)));
        Self::try_from(root.collect::<Table>()).map_err(D::Error::custom)
    }
}

/// As TOML has it. There is no `null` in it: a word that no key may be.
fn toml_value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::String("null".to_owned()),
        Json::Bool(switch) => Value::Boolean(switch),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::Array(items.into_iter().map(toml_value).collect()),
        Json::Object(items) => {
            let items = items
                .into_iter()
                .map(|(key, value)| (key, toml_value(value)));
            Value::Table(items.collect())
        }
    }
}

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests;
