//! Why something cannot be written.

use core::fmt;

use crate::schema::Role;
use crate::tensor::Pattern;
use crate::{FormatError, Section};

/// Why a [`ModelSource`](super::ModelSource) is not a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A tensor's vectors do not have the lengths that its shape requires, or a weight of a table is
    /// too large for its values.
    Lengths {
        /// What the tensor is for.
        role: Role,
        /// Its layer.
        layer: u16,
    },
    /// A matrix cannot have the layout it must have.
    Layout {
        /// What the matrix is for.
        role: Role,
        /// Its layer.
        layer: u16,
        /// What [`LayoutChoice::Forced`](super::LayoutChoice::Forced) asked for.
        pattern: Pattern,
    },
    /// A bias, gain or shift is not a finite f16.
    NotFinite {
        /// What the tensor is for.
        role: Role,
        /// Its layer.
        layer: u16,
    },
    /// Something is larger than the format can express.
    TooLarge(Section),
    /// The finished bytes do not open.
    Format(FormatError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lengths { role, layer } => write!(
                f,
                "{} of layer {layer}: the number of weights, scales or biases is not that of its shape, or a weight is too large",
                role.name()
            ),
            Self::Layout {
                role,
                layer,
                pattern,
            } => write!(
                f,
                "{} of layer {layer}: cannot be laid out as {}",
                role.name(),
                pattern.name()
            ),
            Self::NotFinite { role, layer } => write!(
                f,
                "{} of layer {layer}: a bias or gain is beyond the largest f16, 65,504",
                role.name()
            ),
            Self::TooLarge(section) => write!(f, "{section}: larger than the format can say"),
            Self::Format(error) => write!(f, "the written model does not open: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

impl From<FormatError> for WriteError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}
