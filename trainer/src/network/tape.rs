//! What a forward pass did, for its backward.
//!
//! Every operation runs at once and is recorded as a `Step` with what its backward reads; the
//! backward is in `backward.rs`. candle's autograd instead fills every gradient with zeros and adds
//! to it, which takes a quarter of a step on a GPU.

use std::sync::Arc;

use candle_core::{Result, Tensor, TensorId};
use neuroprune_format::tensor::TableValues;

use super::norm::Norm;
use super::parameter::Parameter;
use super::precision::Operands;
use crate::ops::{self, Direction, Heads, RowIndex, Sequences};
use crate::recipe::ActivationKind;

mod backward;
mod kept;

pub(crate) use backward::Gradients;

/// Where the gradients of a node are collected: the number of the step that made it.
type Place = usize;

/// A tensor that a step made.
#[derive(Clone, Debug)]
pub struct Node {
    /// The numbers.
    pub value: Tensor,
    place: Place,
}

/// The steps of a forward pass; none where no gradients are asked for.
#[derive(Debug)]
pub struct Tape {
    steps: Option<Vec<Noted>>,
    /// The part of the network that steps belong to from here on.
    scope: Arc<str>,
}

#[derive(Debug)]
struct Noted {
    step: Step,
    scope: Arc<str>,
    /// How many numbers the tensor that it made has.
    count: usize,
}

/// What was done. A node where the backward reads the value, a place where it only sends a gradient
/// there.
#[derive(Debug)]
enum Step {
    Parameter(TensorId),
    Rows {
        table: Place,
        table_rows: usize,
        index: RowIndex,
    },
    Add([Place; 2]),
    FakeQuantize(Place),
    LayerNorm(Normalized),
    Product {
        x: Node,
        weight: Node,
        operands: Operands,
    },
    AddBias {
        product: Place,
        bias: Place,
    },
    /// Of residual + (product + bias), which is in the place of the product.
    AddAndNormalize {
        sum: Normalized,
        bias: Place,
        residual: Place,
    },
    /// Of product + bias, which is in the place of the product.
    BiasAndActivate {
        sum: Node,
        bias: Place,
        kind: ActivationKind,
    },
    Attention {
        projected: Node,
        context: Tensor,
        heads: Heads,
        sequences: Sequences,
    },
    WithNeighbours {
        x: Place,
        sequences: Sequences,
        direction: Direction,
    },
    Recurrence {
        gates: [Node; 2],
        states: Tensor,
        sequences: Sequences,
    },
    Mean {
        x: Place,
        sequences: Sequences,
    },
}

/// What a LayerNorm read.
#[derive(Debug)]
struct Normalized {
    x: Node,
    gain: Node,
    shift: Place,
    epsilon: f32,
}

/// The operations of [`crate::ops`] on nodes; each fails as its operation does. A product that is
/// passed by value is overwritten with the sum.
impl Tape {
    /// Records every step.
    pub(super) fn recording() -> Self {
        Self::new(Some(Vec::new()))
    }

    /// Records nothing: a tensor is freed when the last node of it is.
    pub(super) fn silent() -> Self {
        Self::new(None)
    }

    fn new(steps: Option<Vec<Noted>>) -> Self {
        let scope = Arc::default();
        Self { steps, scope }
    }

    pub(super) fn enter(&mut self, scope: &str) {
        self.scope = scope.into();
    }

    fn note(&mut self, value: Tensor, step: Step) -> Node {
        let mut place = 0;
        if let Some(steps) = &mut self.steps {
            place = steps.len();
            steps.push(Noted {
                step,
                scope: self.scope.clone(),
                count: value.elem_count(),
            });
        }
        Node { value, place }
    }

    fn parameter(&mut self, parameter: &Parameter) -> Node {
        let value = parameter.value.clone();
        let step = Step::Parameter(value.id());
        self.note(value, step)
    }

    pub(super) fn rows(&mut self, table: &Parameter, index: &RowIndex) -> Result<Node> {
        let table = self.parameter(table);
        self.rows_of(&table, index)
    }

    pub(super) fn rows_of(&mut self, table: &Node, index: &RowIndex) -> Result<Node> {
        let step = Step::Rows {
            table: table.place,
            table_rows: table.value.dim(0)?,
            index: index.clone(),
        };
        Ok(self.note(ops::rows(&table.value, index)?, step))
    }

    pub(super) fn add(&mut self, a: &Node, b: &Node) -> Result<Node> {
        let sum = (&a.value + &b.value)?;
        Ok(self.note(sum, Step::Add([a.place, b.place])))
    }

    /// Each `width` columns of each row on their own, as int8.
    pub(super) fn fake_quantize(&mut self, x: &Node, width: usize) -> Result<Node> {
        self.round(x, width, TableValues::I8)
    }

    /// Each `width` columns of each row on their own, to these values.
    pub(super) fn round(&mut self, x: &Node, width: usize, values: TableValues) -> Result<Node> {
        let parts = x.value.reshape(((), width))?;
        let rounded = ops::fake_quantize(&parts, values)?.reshape(x.value.shape())?;
        Ok(self.note(rounded, Step::FakeQuantize(x.place)))
    }

    pub(super) fn layer_norm(&mut self, x: &Node, norm: &Norm, epsilon: f32) -> Result<Node> {
        let [gain, shift] = [&norm.gain, &norm.shift].map(|it| self.parameter(it));
        let y = ops::layer_norm(&x.value, &gain.value, &shift.value, epsilon)?;
        let step = Step::LayerNorm(Normalized {
            x: x.clone(),
            gain,
            shift: shift.place,
            epsilon,
        });
        Ok(self.note(y, step))
    }

    /// The operands are made from `x` and `weight` here and again in the backward, instead of being
    /// kept.
    pub(super) fn product(
        &mut self,
        x: &Node,
        weight: &Parameter,
        operands: Operands,
    ) -> Result<Node> {
        let (x, weight) = (x.clone(), self.parameter(weight));
        let [left, right] = operands.of(&x.value, &weight.value)?;
        let product = ops::product(&left, &right)?;
        let step = Step::Product {
            x,
            weight,
            operands,
        };
        Ok(self.note(product, step))
    }

    pub(super) fn add_bias(&mut self, product: Node, bias: &Parameter) -> Result<Node> {
        let bias = self.parameter(bias);
        ops::add_bias(&product.value, &bias.value)?;
        let step = Step::AddBias {
            product: product.place,
            bias: bias.place,
        };
        Ok(self.note(product.value, step))
    }

    pub(super) fn add_and_normalize(
        &mut self,
        product: Node,
        bias: &Parameter,
        residual: &Node,
        norm: &Norm,
        epsilon: f32,
    ) -> Result<Node> {
        let [bias, gain, shift] = [bias, &norm.gain, &norm.shift].map(|it| self.parameter(it));
        let addends = [&bias.value, &residual.value];
        let weights = [&gain.value, &shift.value];
        let (value, normalized) = ops::add_and_normalize(product.value, addends, weights, epsilon)?;
        let sum = Normalized {
            x: Node { value, ..product },
            gain,
            shift: shift.place,
            epsilon,
        };
        let step = Step::AddAndNormalize {
            sum,
            bias: bias.place,
            residual: residual.place,
        };
        Ok(self.note(normalized, step))
    }

    pub(super) fn bias_and_activate(
        &mut self,
        product: Node,
        bias: &Parameter,
        kind: ActivationKind,
    ) -> Result<Node> {
        let bias = self.parameter(bias);
        let (value, activated) = ops::bias_and_activate(product.value, &bias.value, kind)?;
        let step = Step::BiasAndActivate {
            sum: Node { value, ..product },
            bias: bias.place,
            kind,
        };
        Ok(self.note(activated, step))
    }

    pub(super) fn attention(
        &mut self,
        projected: &Node,
        heads: Heads,
        sequences: &Sequences,
    ) -> Result<Node> {
        let context = ops::attention(&projected.value, heads, sequences)?;
        let step = Step::Attention {
            projected: projected.clone(),
            context: context.clone(),
            heads,
            sequences: sequences.clone(),
        };
        Ok(self.note(context, step))
    }

    pub(super) fn with_neighbours(
        &mut self,
        x: &Node,
        sequences: &Sequences,
        direction: Direction,
    ) -> Result<Node> {
        let step = Step::WithNeighbours {
            x: x.place,
            sequences: sequences.clone(),
            direction,
        };
        let pairs = ops::with_neighbours(&x.value, sequences, direction)?;
        Ok(self.note(pairs, step))
    }

    pub(super) fn recurrence(&mut self, gates: [&Node; 2], sequences: &Sequences) -> Result<Node> {
        let states = ops::recurrence(gates.map(|gates| &gates.value), sequences)?;
        let step = Step::Recurrence {
            gates: gates.map(Node::clone),
            states: states.clone(),
            sequences: sequences.clone(),
        };
        Ok(self.note(states, step))
    }

    pub(super) fn mean(&mut self, x: &Node, sequences: &Sequences) -> Result<Node> {
        let step = Step::Mean {
            x: x.place,
            sequences: sequences.clone(),
        };
        Ok(self.note(ops::mean(&x.value, sequences)?, step))
    }
}
