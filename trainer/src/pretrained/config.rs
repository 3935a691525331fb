//! `config.json`: what kind of network a checkpoint is, and its shape.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::{PretrainedError, Problem, read};
use crate::recipe::ActivationKind;

/// Families that have one network under several names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    DistilBert,
    Electra,
}

/// What `config.json` says, as far as it shapes the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub(super) family: Family,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    pub(super) activation: ActivationKind,
    pub(super) norm_epsilon: f32,
    /// Longest sequence there are positions for.
    pub(super) positions: usize,
    /// Rows of the segment embedding; 0 where there is none.
    pub(super) segments: usize,
    /// Rows of the token embedding.
    pub(super) vocabulary: usize,
}

/// The file.
pub(super) const CONFIG: &str = "config.json";

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self, PretrainedError> {
        let parsed = read(path).and_then(|bytes| Self::parse(&bytes));
        parsed.map_err(|problem: Problem| problem.at(path))
    }

    fn parse(json: &[u8]) -> Result<Self, Problem> {
        let keys = Keys(serde_json::from_slice(json)?);
        let family = family(&keys)?;
        keys.reject_what_has_no_place()?;
        let is_distilled = family == Family::DistilBert;
        let key = |usual, distilled| if is_distilled { distilled } else { usual };
        let hidden = keys.count(key("hidden_size", "dim"))?;
        if family == Family::Electra {
            keys.reject_narrow_embeddings(hidden)?;
        }
        Ok(Self {
            family,
            hidden,
            layers: keys.count(key("num_hidden_layers", "n_layers"))?,
            heads: keys.count(key("num_attention_heads", "n_heads"))?,
            intermediate: keys.count(key("intermediate_size", "hidden_dim"))?,
            activation: keys.activation(key("hidden_act", "activation"))?,
            norm_epsilon: if is_distilled {
                // Written into that network's code.
                1e-12
            } else {
                keys.epsilon("layer_norm_eps")?
            },
            positions: keys.count("max_position_embeddings")?,
            segments: if is_distilled {
                0
            } else {
                keys.count("type_vocab_size")?
            },
            vocabulary: keys.count("vocab_size")?,
        })
    }
}

fn family(keys: &Keys) -> Result<Family, Problem> {
    const EXPECTED: &str = "\"bert\", \"distilbert\" or \"electra\"";
    let why = match keys.0.get("model_type").and_then(Value::as_str) {
        Some("bert") => return Ok(Family::Bert),
        Some("distilbert") => return Ok(Family::DistilBert),
        Some("electra") => return Ok(Family::Electra),
        Some("roberta" | "xlm-roberta" | "camembert") => {
            " (its tokenizer is BPE or Unigram and its positions begin at 2; model files have \
             WordPiece)"
        }
        Some("albert") => " (its layers share weights, its tokenizer is Unigram)",
        Some("mpnet" | "deberta" | "deberta-v2") => {
            " (its attention adds relative positions, which model files have no place for)"
        }
        _ => "",
    };
    Err(keys.wrong("model_type", &format!("{EXPECTED}{why}")))
}

struct Keys(Map<String, Value>);

impl Keys {
    fn wrong(&self, key: &str, expected: &str) -> Problem {
        Problem::Key {
            key: key.to_owned(),
            found: self
                .0
                .get(key)
                .map_or_else(|| "not there".to_owned(), Value::to_string),
            expected: expected.to_owned(),
        }
    }

    fn count(&self, key: &str) -> Result<usize, Problem> {
        let count = self.0.get(key).and_then(Value::as_u64);
        count
            .and_then(|count| usize::try_from(count).ok())
            .filter(|&count| count > 0)
            .ok_or_else(|| self.wrong(key, "a number above 0"))
    }

    #[expect(clippy::cast_possible_truncation, reason = "ε needs no 53 bits")]
    fn epsilon(&self, key: &str) -> Result<f32, Problem> {
        match self.0.get(key) {
            // The default of these families.
            None => Ok(1e-12),
            Some(value) => value
                .as_f64()
                .filter(|epsilon| (0.0..=0.1).contains(epsilon))
                .map(|epsilon| epsilon as f32)
                .ok_or_else(|| self.wrong(key, "a number from 0 to 0.1")),
        }
    }

    fn activation(&self, key: &str) -> Result<ActivationKind, Problem> {
        match self.0.get(key).map_or(Some("gelu"), Value::as_str) {
            Some("relu") => Ok(ActivationKind::Relu),
            // The runtime has the tanh form of all of these, which is within 0.0005 of
            // the exact one.
            Some("gelu" | "gelu_python" | "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh") => {
                Ok(ActivationKind::Gelu)
            }
            _ => Err(self.wrong(
                key,
                "\"relu\", \"gelu\" or a form of it, such as \"gelu_new\"",
            )),
        }
    }

    fn reject_what_has_no_place(&self) -> Result<(), Problem> {
        let text = |key| self.0.get(key).map_or(Some("absolute"), Value::as_str);
        if text("position_embedding_type") != Some("absolute") {
            return Err(self.wrong(
                "position_embedding_type",
                "\"absolute\"; model files have no relative positions",
            ));
        }
        for key in ["is_decoder", "add_cross_attention"] {
            if self.0.get(key).and_then(Value::as_bool) == Some(true) {
                return Err(self.wrong(key, "false; model files have encoders"));
            }
        }
        Ok(())
    }

    /// ELECTRA may project embeddings to the width of the layers, after their LayerNorm.
    fn reject_narrow_embeddings(&self, hidden: usize) -> Result<(), Problem> {
        let key = "embedding_size";
        match self.0.get(key) {
            Some(_) if self.count(key)? != hidden => Err(self.wrong(
                key,
                &format!(
                    "{hidden}, the `hidden_size`: narrower embeddings are projected after their \
                     LayerNorm, and a LayerNorm over fewer dimensions cannot be folded into \
                     embeddings"
                ),
            )),
            _ => Ok(()),
        }
    }
}
