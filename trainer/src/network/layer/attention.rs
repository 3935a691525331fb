//! Attention (Vaswani et al. 2017) of a layer.

use candle_core::Result;

use super::Linear;
use crate::network::Shape;
use crate::network::norm::Norm;
use crate::network::precision::Precision;
use crate::network::tape::{Node, Tape};
use crate::numbers::{real, single};
use crate::ops::{Heads, Sequences};

/// The attention of a layer. Rows of the projection: all queries, all keys, all values.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Numbers of the heads that are left, as counted before pruning.
    pub heads: Vec<u16>,
    /// `[3 · heads · head width, hidden]`.
    pub projection: Linear,
    /// `[hidden, heads · head width]`: W_O.
    pub output: Linear,
    /// LayerNorm after attention and residual.
    pub norm: Norm,
}

impl Attention {
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

    /// ```text
    /// x ─┬────────────────────────────────┬─► + ─► LayerNorm
    ///    └─► Q, K, V ─► attention ─► W_O ─┘
    /// ```
    pub(super) fn forward(
        &self,
        tape: &mut Tape,
        x: &Node,
        sequences: &Sequences,
        shape: &Shape,
        precision: Precision,
    ) -> Result<Node> {
        let heads = self.heads_in(shape);
        let mut projected = self.projection.forward(tape, x, precision)?;
        if precision.is_int8() {
            // The file has one scale per head.
            projected = tape.fake_quantize(&projected, heads.width)?;
        }
        let context = tape.attention(&projected, heads, sequences)?;
        let product = self.output.product(tape, &context, precision)?;
        tape.add_and_normalize(
            product,
            &self.output.bias,
            x,
            &self.norm,
            shape.norm_epsilon,
        )
    }
}
