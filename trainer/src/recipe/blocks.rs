//! Which weights are pruned together.

use serde::{Deserialize, Serialize};

/// Weights that are pruned together: neighbouring inputs of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Blocks {
    /// Each weight by itself.
    #[default]
    #[serde(rename = "1x1")]
    #[value(name = "1x1")]
    One,
    /// Pairs.
    #[serde(rename = "1x2")]
    #[value(name = "1x2")]
    Two,
    /// Groups of four.
    #[serde(rename = "1x4")]
    #[value(name = "1x4")]
    Four,
}

impl Blocks {
    /// Weights of one block.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The name in recipes, `1x4`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "1x1",
            Self::Two => "1x2",
            Self::Four => "1x4",
        }
    }
}
