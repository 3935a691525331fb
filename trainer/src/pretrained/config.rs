//! `config.json`: what kind of network a checkpoint is, and its shape.

use std::path::Path;

use super::error::{PretrainedError, Problem};
use super::file::{CONFIGURATION, optional, read_text, wrong};
use crate::json::Object;
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
        let text = read_text(path, CONFIGURATION);
        let parsed = text.and_then(|text| Self::parse(&text));
        parsed.map_err(|problem| problem.at(path))
    }

    fn parse(json: &str) -> Result<Self, Problem> {
        let keys = Keys(Object::parse(json)?);
        let family = family(&keys)?;
        keys.reject_what_has_no_place()?;
        let is_distilled = family == Family::DistilBert;
        let key = |usual, distilled| if is_distilled { distilled } else { usual };
        let hidden = keys.count(key("hidden_size", "dim"))?;
        if family == Family::Electra {
            keys.reject_narrow_embeddings(hidden)?;
        }
        let heads_key = key("num_attention_heads", "n_heads");
        let heads = keys.count(heads_key)?;
        if !hidden.is_multiple_of(heads) {
            let expected = format!("a divisor of {hidden}, the width of the layers");
            return Err(keys.wrong(heads_key, &expected));
        }
        Ok(Self {
            family,
            hidden,
            layers: keys.count(key("num_hidden_layers", "n_layers"))?,
            heads,
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

fn family(keys: &Keys<'_>) -> Result<Family, Problem> {
    const EXPECTED: &str = "\"bert\", \"distilbert\" or \"electra\"";
    let why = match keys.text("model_type", EXPECTED)?.as_deref() {
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

struct Keys<'t>(Object<'t>);

impl Keys<'_> {
    fn wrong(&self, key: &str, expected: &str) -> Problem {
        wrong(&self.0, key, expected)
    }

    fn text(&self, key: &str, expected: &str) -> Result<Option<String>, Problem> {
        optional(&self.0, key, expected)
    }

    fn count(&self, key: &str) -> Result<usize, Problem> {
        const EXPECTED: &str = "a number above 0";
        let count: Option<usize> = optional(&self.0, key, EXPECTED)?;
        count
            .filter(|&count| count > 0)
            .ok_or_else(|| self.wrong(key, EXPECTED))
    }

    #[expect(clippy::cast_possible_truncation, reason = "ε needs no 53 bits")]
    fn epsilon(&self, key: &str) -> Result<f32, Problem> {
        const EXPECTED: &str = "a number from 0 to 0.1";
        // The default of these families.
        let epsilon: f64 = optional(&self.0, key, EXPECTED)?.unwrap_or(1e-12);
        match (0.0..=0.1).contains(&epsilon) {
            true => Ok(epsilon as f32),
            false => Err(self.wrong(key, EXPECTED)),
        }
    }

    fn activation(&self, key: &str) -> Result<ActivationKind, Problem> {
        const EXPECTED: &str = "\"relu\", \"gelu\" or a form of it, such as \"gelu_new\"";
        match self.text(key, EXPECTED)?.as_deref().unwrap_or("gelu") {
            "relu" => Ok(ActivationKind::Relu),
            // The runtime has the tanh form of all of these, which is within 0.0005 of
            // the exact one.
            "gelu" | "gelu_python" | "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => {
                Ok(ActivationKind::Gelu)
            }
            _ => Err(self.wrong(key, EXPECTED)),
        }
    }

    fn reject_what_has_no_place(&self) -> Result<(), Problem> {
        const POSITIONS: &str = "position_embedding_type";
        const ABSOLUTE: &str = "\"absolute\"; model files have no relative positions";
        let positions = self.text(POSITIONS, ABSOLUTE)?;
        if positions.is_some_and(|positions| positions != "absolute") {
            return Err(self.wrong(POSITIONS, ABSOLUTE));
        }
        for key in ["is_decoder", "add_cross_attention"] {
            const NO: &str = "false; model files have encoders";
            if optional(&self.0, key, NO)? == Some(true) {
                return Err(self.wrong(key, NO));
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
