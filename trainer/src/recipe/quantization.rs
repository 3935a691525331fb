//! Section `quantization` of a recipe: from floats to int8.

use serde::{Deserialize, Serialize};

/// From floats to int8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantizationRecipe {
    /// Training texts whose activations choose the scales; 0 looks at the weights alone.
    pub calibration_texts: usize,
    /// Share of the sparse network's steps, the last ones, in which it is trained as the int8
    /// that the file will hold.
    pub aware: f64,
}

impl Default for QuantizationRecipe {
    fn default() -> Self {
        Self {
            calibration_texts: 256,
            aware: 0.0,
        }
    }
}
