//! One layer, post-LayerNorm: a mixing of the tokens, and perhaps an MLP.

use candle_core::Result;

use super::Shape;
use super::parameter::Parameter;
use super::precision::{Operands, Precision};
use super::tape::{Node, Tape};
use crate::ops::Sequences;

mod attention;
mod mlp;
mod recurrence;

pub(crate) use attention::Attention;
pub(crate) use mlp::Mlp;
pub(crate) use recurrence::Recurrence;

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

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// How its tokens read others.
    pub mixing: Mixing,
    /// What each token goes through by itself.
    pub mlp: Option<Mlp>,
}

/// How a layer lets tokens read others.
#[derive(Clone, Debug)]
pub enum Mixing {
    /// Any token any other.
    Attention(Attention),
    /// Each token what came before and after it, through a state.
    Recurrence(Recurrence),
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
    /// Its attention, if it has one.
    #[must_use]
    pub fn attention(&self) -> Option<&Attention> {
        match &self.mixing {
            Mixing::Attention(attention) => Some(attention),
            Mixing::Recurrence(_) => None,
        }
    }

    /// Its attention, if it has one.
    pub fn attention_mut(&mut self) -> Option<&mut Attention> {
        match &mut self.mixing {
            Mixing::Attention(attention) => Some(attention),
            Mixing::Recurrence(_) => None,
        }
    }

    /// Heads that are left.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.attention()
            .map_or(0, |attention| attention.heads.len())
    }

    /// Neurons that are left.
    #[must_use]
    pub fn neurons(&self) -> usize {
        self.mlp.as_ref().map_or(0, Mlp::neurons)
    }

    /// ```text
    /// x ─┬────────────┬─► + ─► LayerNorm ─┬─────────┬─► + ─► LayerNorm
    ///    └─► mixing ──┘                   └─► MLP ──┘
    /// ```
    pub(super) fn forward(
        &self,
        tape: &mut Tape,
        x: &Node,
        sequences: &Sequences,
        shape: &Shape,
        precision: Precision,
    ) -> Result<Node> {
        let mixed = match &self.mixing {
            Mixing::Attention(attention) => {
                attention.forward(tape, x, sequences, shape, precision)?
            }
            Mixing::Recurrence(recurrence) => {
                recurrence.forward(tape, x, sequences, shape, precision)?
            }
        };
        match &self.mlp {
            Some(mlp) => mlp.forward(tape, &mixed, shape, precision),
            None => Ok(mixed),
        }
    }
}
