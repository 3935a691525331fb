//! What a model has to be better than: an answer without a model, and a linear model on the words
//! of a text and its pairs of words, trained on the same texts before the run begins.

mod linear;
mod majority;

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::numbers::{percent, thousands};
use crate::text::vocabulary::{Normalization, VocabularyError};
use linear::Linear;
pub use majority::Majority;

/// What the baselines get on the measured set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// The most frequent class.
    pub majority: Majority,
    /// A linear model on words.
    pub linear: LinearScore,
}

/// How a linear model does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinearScore {
    /// In per cent, with weights in int8; 0 in outcomes of version 0.1.
    pub accuracy: f64,
    /// Words that it knows, pairs of neighbouring ones among them.
    pub words: usize,
    /// Whether there are pairs.
    #[serde(default)]
    pub has_pairs: bool,
    /// What it takes: its words, weights in int8, scales and biases.
    pub bytes: usize,
}

impl Baselines {
    /// Trains them on `train` and measures them on `measured`, whose classes are those of `train`.
    ///
    /// # Errors
    /// Errors of the `tokenizers` crate.
    pub fn new(
        train: &Dataset,
        measured: &Dataset,
        normalization: Normalization,
    ) -> Result<Self, VocabularyError> {
        let linear = Linear::best(train, normalization)?;
        Ok(Self {
            majority: Majority::new(train, measured),
            linear: LinearScore {
                accuracy: linear.accuracy(measured, normalization)?,
                words: linear.words(),
                has_pairs: linear.has_pairs(),
                bytes: linear.bytes(),
            },
        })
    }

    /// What a model of this accuracy and size is not better than; nothing where it is better.
    #[must_use]
    pub fn warning(&self, accuracy: f64, bytes: usize) -> Option<String> {
        if accuracy <= self.majority.accuracy {
            return Some("the model is not better than always answering the same".to_owned());
        }
        let linear = &self.linear;
        (accuracy <= linear.accuracy).then(|| {
            let size = if linear.bytes < bytes {
                ", which is smaller"
            } else {
                ""
            };
            format!("the model is not better than a linear model{size}")
        })
    }
}

/// For people, a line each.
impl fmt::Display for Baselines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.majority)?;
        let linear = &self.linear;
        if linear.words == 0 {
            return Ok(());
        }
        write!(
            f,
            "\na linear model on {} {} gives {} in {} bytes",
            thousands(linear.words),
            match linear.has_pairs {
                true => "words and pairs of words",
                false => "words",
            },
            percent(linear.accuracy),
            thousands(linear.bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_no_better_is_said_to_be_so() {
        let baselines = Baselines {
            majority: Majority {
                label: "on".to_owned(),
                accuracy: 60.0,
            },
            linear: LinearScore {
                accuracy: 80.0,
                words: 10,
                has_pairs: false,
                bytes: 1000,
            },
        };
        let warning = |accuracy, bytes| baselines.warning(accuracy, bytes).unwrap_or_default();
        assert!(warning(60.0, 10).ends_with("always answering the same"));
        assert!(warning(80.0, 1001).ends_with("a linear model, which is smaller"));
        assert!(warning(70.0, 1000).ends_with("a linear model"));
        assert_eq!(baselines.warning(80.1, 5000), None);
    }
}
