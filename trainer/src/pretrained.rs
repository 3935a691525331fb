//! Pretrained encoders of the BERT family as the start of a run.
//!
//! ```text
//! config.json ───────────────► shape ─────────────┐
//! tokenizer.json or vocab.txt ► pieces to keep ───┼► Vocabulary, Network ─► Run
//! model.safetensors ──────────► weights ──────────┘
//! ```
//!
//! A checkpoint is a folder as Hugging Face's libraries write it, or the name of one in their hub.
//! BERT, DistilBERT and ELECTRA are one network under several names; MiniLM and many others are
//! saved as BERT. What has no place in a model file (poolers, heads of pretraining) is left out;
//! what cannot be expressed (relative positions, tokenizers other than WordPiece) is rejected.

mod config;
mod error;
mod file;
mod hub;
mod names;
mod other;
mod sentences;
mod settings;
mod tensors;
mod tokenizer;
mod vocabulary;

use std::path::PathBuf;

use candle_core::Tensor;

pub use error::PretrainedError;
pub use hub::FetchObserver;
pub(crate) use hub::is_same_source;
pub(crate) use vocabulary::Respelled;

use crate::network::parameter::Parameter;
use crate::network::{Layer, Mixing, Network, Norm, Shape};
use crate::recipe::{ModelRecipe, PoolingKind, Recipe};
use crate::text::vocabulary::{Normalization, Vocabulary, VocabularyError};
use config::{CONFIG, Config};
use error::Problem;
use file::is_there;
use hub::{Fetched, Name};
use names::{LayerNames, POSITIONS, PREFIXES, TOKENS};
use other::recognised;
use sentences::Sentences;
use tensors::Tensors;
use vocabulary::{Chosen, PretrainedVocabulary};

/// A checkpoint, read but not used yet.
pub struct Pretrained {
    /// Its name; that of a repository with the commit.
    from: String,
    config_path: PathBuf,
    config: Config,
    sentences: Sentences,
    vocabulary: PretrainedVocabulary,
    tensors: Tensors,
    /// The prefix of each tensor's name.
    prefix: &'static str,
}

/// What a run starts from.
pub struct Beginning {
    /// The pieces that are kept.
    pub vocabulary: Vocabulary,
    /// The pretrained weights, and a fresh classifier.
    pub network: Network,
}

impl Pretrained {
    /// Reads the checkpoint that a recipe names: a folder, or `hf:OWNER/NAME@REVISION`, which is
    /// fetched while `observer` watches.
    ///
    /// # Errors
    /// [`PretrainedError`] with the file, and what was expected of it.
    pub fn open(from: &str, observer: &mut dyn FetchObserver) -> Result<Self, PretrainedError> {
        let Fetched { folder, from } = match Name::parse(from)? {
            Some(name) => name.fetch(observer)?,
            None => Fetched {
                folder: from.into(),
                from: from.to_owned(),
            },
        };
        let folder = folder.as_path();
        if !folder.is_dir() {
            return Err(match folder.exists() {
                true => Problem::NoFolderButFile.at(folder),
                false => Problem::NoFolder.at(folder),
            });
        }
        let config_path = folder.join(CONFIG);
        if let (false, Some(what)) = (
            is_there(&config_path),
            recognised(|it| is_there(&folder.join(it))),
        ) {
            return Err(Problem::Unsupported(format!("has no {CONFIG}; it is {what}")).at(folder));
        }
        let config = Config::read(&config_path)?;
        let vocabulary = PretrainedVocabulary::read(folder)?;
        vocabulary.check_rows(config.vocabulary)?;
        let tensors = Tensors::read(folder)?;
        let prefix = PREFIXES
            .into_iter()
            .find(|prefix| tensors.has(&format!("{prefix}{TOKENS}")))
            .ok_or_else(|| {
                let prefixes = PREFIXES.map(|prefix| format!("`{prefix}{TOKENS}`"));
                tensors.error(Problem::Unsupported(format!(
                    "has no token embedding, expected a tensor {}; it has `{}` and others",
                    prefixes.join(" or "),
                    tensors.first_names().join("`, `")
                )))
            })?;
        let pretrained = Self {
            sentences: Sentences::read(folder)?,
            from,
            config_path,
            config,
            vocabulary,
            tensors,
            prefix,
        };
        pretrained.check_sizes()?;
        Ok(pretrained)
    }

    /// Compares the sizes that the configuration states with the tensors, before anything of
    /// these sizes is allocated: a few bytes of it can state any size.
    fn check_sizes(&self) -> Result<(), PretrainedError> {
        let Config {
            hidden,
            intermediate,
            positions,
            layers,
            ..
        } = self.config;
        let check = |part: &str, rows| self.tensors.check(&self.name(part), &[rows, hidden]);
        check(TOKENS, self.config.vocabulary)?;
        check(POSITIONS, positions)?;
        for layer in 0..layers {
            let names = LayerNames::new(self.config.family, self.prefix, layer);
            for (name, rows) in [(names.query, hidden), (names.mlp_input, intermediate)] {
                self.tensors
                    .check(&format!("{name}.weight"), &[rows, hidden])?;
            }
        }
        Ok(())
    }

    /// The keys of a recipe that the checkpoint decides; the others have their defaults.
    #[must_use]
    pub fn model(&self) -> ModelRecipe {
        let Normalization {
            lowercase,
            strip_accents,
            splitting,
        } = self.vocabulary.normalization();
        ModelRecipe {
            lowercase,
            strip_accents,
            splitting,
            from: self.from.clone(),
            from_sha256: self.tensors.sha256(),
            hidden: self.config.hidden,
            layers: self.config.layers,
            heads: self.config.heads,
            intermediate: self.config.intermediate,
            activation: self.config.activation,
            norm_epsilon: self.config.norm_epsilon,
            pooling: self.sentences.pooling.unwrap_or(PoolingKind::Mean),
            ..ModelRecipe::default()
        }
    }

    /// Where a recipe does something else than the folder says, a sentence each; such a model may
    /// be less accurate than it could be.
    #[must_use]
    pub fn contradictions(&self, model: &ModelRecipe) -> Vec<String> {
        self.sentences.contradictions(model)
    }

    /// Number of pieces of the whole vocabulary.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.vocabulary.len()
    }

    /// The vocabulary that is kept for `texts`, and the network over it. `recipe` has
    /// adopted [`Pretrained::model`].
    ///
    /// # Errors
    /// [`PretrainedError`] for a tensor that is missing or has another shape or type, and
    /// for a vocabulary that is too small or too large.
    pub fn begin<'t>(
        &self,
        recipe: &Recipe,
        texts: impl Iterator<Item = &'t str>,
        labels: usize,
        pair: bool,
    ) -> Result<Beginning, PretrainedError> {
        let (seed, recipe) = (recipe.seed, &recipe.model);
        if recipe.tokens > self.config.positions {
            let problem = Problem::Key {
                key: "max_position_embeddings".to_owned(),
                found: self.config.positions.to_string(),
                expected: format!("{} or more, the recipe's `model.tokens`", recipe.tokens),
            };
            return Err(problem.at(&self.config_path));
        }
        let Chosen { vocabulary, rows } = self.vocabulary.choose(texts, recipe.vocabulary)?;
        let shape = Shape::new(recipe, vocabulary.len(), labels, pair);
        let mut network =
            Network::new(shape, seed).map_err(|error| self.tensors.error(error.into()))?;
        self.fill(&mut network, &rows)?;
        Ok(Beginning {
            vocabulary,
            network,
        })
    }

    /// How `vocabulary`, which [`Pretrained::begin`] made, spells texts differently from the whole
    /// one.
    ///
    /// # Errors
    /// Errors of the `tokenizers` crate.
    pub fn respelled<'t>(
        &self,
        vocabulary: &Vocabulary,
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<Respelled, VocabularyError> {
        self.vocabulary.respelled(vocabulary, texts)
    }

    /// Writes the pretrained weights over the fresh ones; `rows` are those of the token
    /// embedding that are kept.
    fn fill(&self, network: &mut Network, rows: &[usize]) -> Result<(), PretrainedError> {
        let hidden = network.shape.hidden;
        let all = self.matrix(TOKENS, self.config.vocabulary, hidden)?;
        let kept = rows.iter().flat_map(|row| &all[row * hidden..][..hidden]);
        self.set(&mut network.token_embedding, kept.copied().collect())?;
        self.fill_positions(network)?;
        self.fill_norm(
            &mut network.embedding_norm,
            &self.name("embeddings.LayerNorm"),
        )?;
        let shape = &network.shape;
        for (index, layer) in network.layers.iter_mut().enumerate() {
            let names = LayerNames::new(self.config.family, self.prefix, index);
            self.fill_layer(layer, &names, shape)?;
        }
        Ok(())
    }

    /// Positions and segments. Without pairs every token is in segment 0, whose vector
    /// then belongs to each position.
    fn fill_positions(&self, network: &mut Network) -> Result<(), PretrainedError> {
        let hidden = network.shape.hidden;
        let mut positions = self.matrix(POSITIONS, self.config.positions, hidden)?;
        positions.truncate(network.shape.tokens * hidden);
        let segments = match self.config.segments {
            0 => vec![0.0; hidden],
            rows => self.matrix("embeddings.token_type_embeddings.weight", rows, hidden)?,
        };
        match &mut network.segment_embedding {
            Some(embedding) => {
                // A checkpoint of one segment, or none, has the same vector for both.
                let second = segments.get(hidden..2 * hidden).unwrap_or(&segments);
                self.set(embedding, [&segments[..hidden], second].concat())?;
            }
            None => {
                for position in positions.chunks_exact_mut(hidden) {
                    for (value, segment) in position.iter_mut().zip(&segments) {
                        *value += segment;
                    }
                }
            }
        }
        match &mut network.position_embedding {
            Some(table) => self.set(table, positions),
            None => Ok(()),
        }
    }

    fn fill_layer(
        &self,
        layer: &mut Layer,
        names: &LayerNames,
        shape: &Shape,
    ) -> Result<(), PretrainedError> {
        // The shape is that of the checkpoint, whose layers have both.
        let (Mixing::Attention(attention), Some(mlp)) = (&mut layer.mixing, &mut layer.mlp) else {
            return Ok(());
        };
        let (hidden, intermediate) = (shape.hidden, shape.intermediate);
        // Rows of the projection: all queries, all keys, all values.
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in [&names.query, &names.key, &names.value] {
            weight.extend(self.values(&format!("{name}.weight"), &[hidden, hidden])?);
            bias.extend(self.values(&format!("{name}.bias"), &[hidden])?);
        }
        self.set(&mut attention.projection.weight, weight)?;
        self.set(&mut attention.projection.bias, bias)?;
        for (linear, name, shape) in [
            (
                &mut attention.output,
                &names.attention_output,
                [hidden, hidden],
            ),
            (&mut mlp.input, &names.mlp_input, [intermediate, hidden]),
            (&mut mlp.output, &names.mlp_output, [hidden, intermediate]),
        ] {
            let values = |part: &str, shape| self.values(&format!("{name}.{part}"), shape);
            self.set(&mut linear.weight, values("weight", &shape)?)?;
            self.set(&mut linear.bias, values("bias", &shape[..1])?)?;
        }
        self.fill_norm(&mut attention.norm, &names.attention_norm)?;
        self.fill_norm(&mut mlp.norm, &names.mlp_norm)
    }

    fn fill_norm(&self, norm: &mut Norm, name: &str) -> Result<(), PretrainedError> {
        // Checkpoints converted from TensorFlow have other names for the same.
        let has_greek = self.tensors.has(&format!("{name}.gamma"));
        let [gain, shift] = if has_greek {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        for (parameter, part) in [(&mut norm.gain, gain), (&mut norm.shift, shift)] {
            let values = self.values(&format!("{name}.{part}"), parameter.value.dims())?;
            self.set(parameter, values)?;
        }
        Ok(())
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// The matrix of this name after the prefix.
    fn matrix(&self, part: &str, rows: usize, cols: usize) -> Result<Vec<f32>, PretrainedError> {
        self.values(&self.name(part), &[rows, cols])
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, PretrainedError> {
        self.tensors.values(name, shape)
    }

    fn set(&self, parameter: &mut Parameter, values: Vec<f32>) -> Result<(), PretrainedError> {
        let old = &parameter.value;
        parameter.value = Tensor::from_vec(values, old.shape(), old.device())
            .map_err(|error| self.tensors.error(error.into()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
