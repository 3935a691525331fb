//! The parameters of a LayerNorm.

use candle_core::Result;

use super::parameter::Parameter;

/// Gain and shift of a LayerNorm.
#[derive(Clone, Debug)]
pub struct Norm {
    /// `[hidden]`.
    pub gain: Parameter,
    /// `[hidden]`.
    pub shift: Parameter,
}

impl Norm {
    /// One that changes nothing: gain 1, shift 0.
    pub(super) fn new(width: usize) -> Result<Self> {
        Ok(Self {
            gain: Parameter::new(vec![1.0; width], &[width])?,
            shift: Parameter::new(vec![0.0; width], &[width])?,
        })
    }
}
