//! A recurrence in both directions: a quasi-recurrent network of width 2 (Bradbury et al. 2017).

use candle_core::Result;

use super::Linear;
use crate::network::Shape;
use crate::network::norm::Norm;
use crate::network::precision::Precision;
use crate::network::tape::{Node, Tape};
use crate::ops::{Direction, Sequences};

/// The recurrence of a layer. Each direction has half of the residual stream; rows of its matrix:
/// all forget gates, all candidates.
#[derive(Clone, Debug)]
pub struct Recurrence {
    /// `[hidden, 2 · hidden]`: reads (previous token, token).
    pub forward: Linear,
    /// `[hidden, 2 · hidden]`: reads (next token, token).
    pub backward: Linear,
    /// LayerNorm after recurrence and residual.
    pub norm: Norm,
}

impl Recurrence {
    /// ```text
    /// x ─┬───────────────────────────────────────────────┬─► + ─► LayerNorm
    ///    ├─► (x[t-1], x[t]) ─► f, z ─► h = z + f·(h' − z) ─┤
    ///    └─► (x[t+1], x[t]) ─► f, z ─► h = z + f·(h' − z) ─┘
    /// ```
    pub(super) fn forward(
        &self,
        tape: &mut Tape,
        x: &Node,
        sequences: &Sequences,
        shape: &Shape,
        precision: Precision,
    ) -> Result<Node> {
        let mut gates = |linear: &Linear, direction| {
            let pairs = tape.with_neighbours(x, sequences, direction)?;
            linear.forward(tape, &pairs, precision)
        };
        let forward = gates(&self.forward, Direction::Forward)?;
        let backward = gates(&self.backward, Direction::Backward)?;
        let states = tape.recurrence([&forward, &backward], sequences)?;
        let sum = tape.add(&states, x)?;
        tape.layer_norm(&sum, &self.norm, shape.norm_epsilon)
    }
}
