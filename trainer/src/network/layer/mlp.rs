//! The MLP of a layer.

use candle_core::Result;

use super::Linear;
use crate::network::Shape;
use crate::network::norm::Norm;
use crate::network::precision::Precision;
use crate::network::tape::{Node, Tape};

/// The MLP of a layer.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// `[neurons, hidden]`: L_in.
    pub input: Linear,
    /// `[hidden, neurons]`: L_out.
    pub output: Linear,
    /// LayerNorm after MLP and residual.
    pub norm: Norm,
}

impl Mlp {
    /// Neurons that are left.
    #[must_use]
    pub fn neurons(&self) -> usize {
        self.input.bias.value.elem_count()
    }

    /// ```text
    /// x ─┬──────────────────────┬─► + ─► LayerNorm
    ///    └─► L_in ─► f ─► L_out ─┘
    /// ```
    pub(super) fn forward(
        &self,
        tape: &mut Tape,
        x: &Node,
        shape: &Shape,
        precision: Precision,
    ) -> Result<Node> {
        let (input, output) = (&self.input, &self.output);
        let neurons = input.product(tape, x, precision)?;
        let activated = tape.bias_and_activate(neurons, &input.bias, shape.activation)?;
        let product = output.product(tape, &activated, precision)?;
        tape.add_and_normalize(product, &output.bias, x, &self.norm, shape.norm_epsilon)
    }
}
