//! One layer, post-LayerNorm (Vaswani et al. 2017; Devlin et al. 2019).

use candle_core::Result;

use super::Shape;
use super::norm::Norm;
use super::parameter::Parameter;
use super::precision::{Operands, Precision};
use super::tape::{Node, Tape};
use crate::numbers::{real, single};
use crate::ops::{Heads, Sequences};

/// A matrix with its bias.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[rows, columns that are left]`.
    pub weight: Parameter,
    /// `[rows]`.
    pub bias: Parameter,
    /// Which columns are left, where some were cut.
    pub columns: Option<Vec<u32>>,
}

/// One layer. Rows of the projection: all queries, all keys, all values.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Numbers of the heads that are left, as counted before pruning.
    pub heads: Vec<u16>,
    /// `[3 · heads · head width, hidden]`.
    pub projection: Linear,
    /// `[hidden, heads · head width]`: W_O.
    pub attention_output: Linear,
    /// LayerNorm after attention and residual.
    pub attention_norm: Norm,
    /// `[neurons, hidden]`: L_in.
    pub mlp_input: Linear,
    /// `[hidden, neurons]`: L_out.
    pub mlp_output: Linear,
    /// LayerNorm after MLP and residual.
    pub mlp_norm: Norm,
}

impl Linear {
    pub(super) fn forward(&self, tape: &mut Tape, x: &Node, precision: Precision) -> Result<Node> {
        let product = self.product(tape, x, precision)?;
        tape.add_bias(product, &self.bias)
    }

    /// Without the bias, for an operation that adds it.
    fn product(&self, tape: &mut Tape, x: &Node, precision: Precision) -> Result<Node> {
        let columns = self.columns.clone();
        tape.product(x, &self.weight, Operands { precision, columns })
    }
}

impl Layer {
    /// Shape of the heads that are left.
    #[must_use]
    pub fn heads_in(&self, shape: &Shape) -> Heads {
        let width = shape.head_width();
        let scale = single(real(width)).sqrt().recip();
        Heads {
            count: self.heads.len(),
            width,
            scale,
        }
    }

    /// Neurons that are left.
    #[must_use]
    pub fn neurons(&self) -> usize {
        self.mlp_input.bias.value.elem_count()
    }

    /// ```text
    /// x ─┬────────────────────────────────┬─► + ─► LayerNorm ─┬──────────────────────┬─► + ─► LayerNorm
    ///    └─► Q, K, V ─► attention ─► W_O ─┘                   └─► L_in ─► f ─► L_out ─┘
    /// ```
    pub(super) fn forward(
        &self,
        tape: &mut Tape,
        x: &Node,
        sequences: &Sequences,
        shape: &Shape,
        precision: Precision,
    ) -> Result<Node> {
        let (heads, epsilon) = (self.heads_in(shape), shape.norm_epsilon);
        let mut projected = self.projection.forward(tape, x, precision)?;
        if precision.is_int8() {
            // The file has one scale per head.
            projected = tape.fake_quantize(&projected, heads.width)?;
        }
        let context = tape.attention(&projected, heads, sequences)?;
        let output = &self.attention_output;
        let attention_out = output.product(tape, &context, precision)?;
        let norm = &self.attention_norm;
        let attended = tape.add_and_normalize(attention_out, &output.bias, x, norm, epsilon)?;

        let input = &self.mlp_input;
        let neurons = input.product(tape, &attended, precision)?;
        let activated = tape.bias_and_activate(neurons, &input.bias, shape.activation)?;
        let output = &self.mlp_output;
        let mlp_out = output.product(tape, &activated, precision)?;
        tape.add_and_normalize(mlp_out, &output.bias, &attended, &self.mlp_norm, epsilon)
    }
}
