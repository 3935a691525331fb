//! What can go wrong once a model is open.

use core::fmt;

/// Why a text was not classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RuntimeError {
    /// The scratch buffer is too small.
    Scratch {
        /// Bytes needed, the loss to this buffer's alignment included.
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// The model was trained on pairs of texts, and one text was given.
    PairExpected,
    /// The model was trained on single texts, and a pair was given.
    SingleExpected,
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scratch { needed, given } => {
                write!(
                    f,
                    "the scratch buffer has {given} bytes; this model needs {needed}"
                )
            }
            Self::PairExpected => f.write_str("this model classifies pairs of texts"),
            Self::SingleExpected => f.write_str("this model classifies single texts"),
        }
    }
}

impl core::error::Error for RuntimeError {}
