//! Section `model` of a recipe: the shape of the network.

use neuroprune_format::tensor::TableValues;
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Mixings, RecipeError, VocabularySize};

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelRecipe {
    /// Folder of the pretrained checkpoint to start from, or `hf:OWNER/NAME@REVISION`, where
    /// the commit is filled in; random weights where it is empty.
    pub from: String,
    /// SHA-256 of that checkpoint's weights, in hexadecimal; filled in where it is empty, checked
    /// where it is not.
    pub from_sha256: String,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the token table's rows, from which a matrix makes that of the residual stream; 0:
    /// they have it themselves.
    pub embedding: usize,
    /// How the file writes the token table's rows.
    pub token_values: TokenValues,
    /// How positions are encoded.
    pub positions: PositionsKind,
    /// Layers.
    pub layers: usize,
    /// How the tokens of each layer read others.
    pub mixing: Mixings,
    /// Attention heads in a layer.
    pub heads: usize,
    /// Neurons in a layer's MLP; 0: layers have none.
    pub intermediate: usize,
    /// WordPiece vocabulary.
    pub vocabulary: VocabularySize,
    /// Whether letters become lower case.
    pub lowercase: bool,
    /// Whether letters lose their marks.
    pub strip_accents: bool,
    /// What counts as a word.
    pub splitting: Splitting,
    /// Longest token sequence, special tokens included.
    pub tokens: usize,
    /// Function between the MLP's matrices.
    pub activation: ActivationKind,
    /// How the sequence is pooled into one vector.
    pub pooling: PoolingKind,
    /// Added to the variance in every LayerNorm.
    pub norm_epsilon: f32,
}

words! {
    /// What counts as a word, which pieces of a vocabulary do not reach beyond.
    pub enum Splitting {
        /// What stands between white space and punctuation
        Spaces = "spaces",
        /// The same, and each Chinese character
        Chinese = "chinese",
        /// The same, and each letter of the scripts that are written without spaces: Japanese
        /// kana, Thai, Lao, Khmer, Burmese, Tibetan
        Letters = "letters",
    }
}

words! {
    /// How the file writes the rows of the token table.
    #[derive(Default)]
    pub enum TokenValues {
        /// −127…127, a byte a weight
        #[default]
        Int8 = "int8",
        /// −7…7, half a byte a weight
        Int4 = "int4",
    }
}

impl TokenValues {
    /// The file's form of them.
    #[must_use]
    pub fn of_table(self) -> TableValues {
        match self {
            Self::Int8 => TableValues::I8,
            Self::Int4 => TableValues::I4,
        }
    }
}

words! {
    /// How positions are encoded.
    #[derive(Default)]
    pub enum PositionsKind {
        /// A learned row for each position
        #[default]
        Learned = "learned",
        /// Not at all
        None = "none",
    }
}

words! {
    /// Function between the MLP's matrices.
    pub enum ActivationKind {
        /// max(0, x): the cheapest on a microcontroller.
        Relu = "relu",
        /// GELU, for networks that were trained with it.
        Gelu = "gelu",
    }
}

words! {
    /// How the sequence becomes one vector.
    pub enum PoolingKind {
        /// Mean over all tokens.
        Mean = "mean",
        /// The first token.
        Cls = "cls",
    }
}

impl Default for ModelRecipe {
    fn default() -> Self {
        Self {
            from: String::new(),
            from_sha256: String::new(),
            hidden: 128,
            embedding: 0,
            token_values: TokenValues::Int8,
            positions: PositionsKind::Learned,
            layers: 2,
            mixing: Mixings::default(),
            heads: 4,
            intermediate: 512,
            vocabulary: VocabularySize::Pieces(1200),
            lowercase: true,
            strip_accents: true,
            splitting: Splitting::Chinese,
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

    /// Takes over what a pretrained checkpoint decides: its commit, shape, ε,
    /// normalisation of texts and digest, and its pooling unless the recipe has another.
    ///
    /// # Errors
    /// [`RecipeError::Conflict`] where a key that the user `named`, or a digest that is already
    /// set, has another value.
    pub fn adopt(
        &mut self,
        pretrained: &Self,
        named: impl Fn(&str) -> bool,
    ) -> Result<(), RecipeError> {
        let shown = |model: &Self| {
            [
                ("hidden", model.hidden.to_string()),
                ("embedding", model.embedding.to_string()),
                ("positions", model.positions.name().to_owned()),
                ("mixing", model.mixing.to_string()),
                ("layers", model.layers.to_string()),
                ("heads", model.heads.to_string()),
                ("intermediate", model.intermediate.to_string()),
                ("activation", model.activation.name().to_owned()),
                ("norm_epsilon", model.norm_epsilon.to_string()),
                ("lowercase", model.lowercase.to_string()),
                ("strip_accents", model.strip_accents.to_string()),
                ("splitting", model.splitting.name().to_owned()),
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
            token_values: self.token_values,
            tokens: self.tokens,
            // What the user names holds, and so does what is not usual.
            pooling: match named("pooling") || self.pooling != Self::default().pooling {
                true => self.pooling,
                false => pretrained.pooling,
            },
            ..pretrained.clone()
        };
        Ok(())
    }
}

/// A key of `[model]` contradicts the pretrained checkpoint.
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
