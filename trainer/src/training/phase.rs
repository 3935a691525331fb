//! The phases of a run.

use serde::{Deserialize, Serialize};

/// Which network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// With every weight.
    Dense,
    /// From the dense network to its sparse form.
    Sparse,
    /// Nothing is left to train.
    Finished,
}

impl Phase {
    /// Name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
            Self::Finished => "finished",
        }
    }

    /// Each phase has streams of random numbers of its own.
    pub(super) fn stream_index(self, index: u64) -> u64 {
        (self as u64) << 48 | index
    }
}
