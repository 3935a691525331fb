//! What is done to text before it is split into pieces.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::recipe::{ModelRecipe, Splitting};

/// What is done to text before it is split into pieces: BERT's normaliser.
///
/// Control characters are removed and white space becomes spaces in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalization {
    /// Letters become lower case.
    pub lowercase: bool,
    /// Letters lose their accents.
    pub strip_accents: bool,
    /// What ends a word, and what is one of its own.
    #[serde(alias = "split_chinese", deserialize_with = "splitting")]
    pub splitting: Splitting,
}

impl Default for Normalization {
    /// As in BERT.
    fn default() -> Self {
        Self::of(&ModelRecipe::default())
    }
}

impl Normalization {
    /// What a recipe says of it.
    #[must_use]
    pub fn of(model: &ModelRecipe) -> Self {
        Self {
            lowercase: model.lowercase,
            strip_accents: model.strip_accents,
            splitting: model.splitting,
        }
    }
}

/// For people, after a number of pieces.
impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = if self.lowercase {
            "lower case"
        } else {
            "case kept"
        };
        let marks = if self.strip_accents {
            "without marks"
        } else {
            "marks kept"
        };
        write!(f, " ({case}, {marks}, words: {})", self.splitting.name())
    }
}

/// Checkpoints of version 3 and 4 before it had names have whether Chinese is split.
fn splitting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Splitting, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Chinese(bool),
        Named(Splitting),
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::Chinese(true) => Splitting::Chinese,
        Stored::Chinese(false) => Splitting::Spaces,
        Stored::Named(splitting) => splitting,
    })
}
