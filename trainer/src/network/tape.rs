//! What a forward pass did, so that gradients can walk it back.
//!
//! Every operation runs at once and is noted as a step with what its backward reads.
//! [`Tape::backward`] visits the steps from the last to the first. The gradients of a node
//! remain a list until the step that made the node reads them: a LayerNorm adds them in its
//! own kernel. candle's autograd instead fills every gradient with zeros and adds to it, a
//! quarter of a step on a GPU.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::{Result, Tensor, TensorId, bail};

use super::parameter::Parameter;
use super::precision::Operands;
use crate::ops::{
    self, DeferredSums, Heads, RowIndex, Sequences, activation_backward, attention_backward,
    column_sums, layer_norm_backward, mean_backward, rows_backward,
};
use crate::recipe::ActivationKind;

/// Where the gradients of a node are collected: the number of the step that made it.
type Place = usize;

/// A tensor that a step made.
#[derive(Clone, Debug)]
pub struct Node {
    /// The numbers.
    pub value: Tensor,
    place: Place,
}

/// The steps of a forward pass; none where nobody asks for gradients.
#[derive(Debug)]
pub struct Tape {
    steps: Option<Vec<Noted>>,
    scope: Arc<str>,
}

/// A step and the part of the network that it belongs to.
#[derive(Debug)]
struct Noted {
    step: Step,
    scope: Arc<str>,
    /// Numbers of the tensor that it made.
    count: usize,
}

/// What was done. A node where the backward reads the value, a place where only a gradient
/// goes there.
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
    LayerNorm {
        x: Node,
        gain: Node,
        shift: Place,
        epsilon: f32,
    },
    Product {
        x: Node,
        weight: Node,
        operands: Operands,
    },
    AddBias {
        product: Place,
        bias: Place,
    },
    AddAndNormalize {
        /// In the place of the product, which became the sum.
        sum: Node,
        bias: Place,
        residual: Place,
        gain: Node,
        shift: Place,
        epsilon: f32,
    },
    BiasAndActivate {
        /// With the bias.
        product: Node,
        bias: Place,
        kind: ActivationKind,
    },
    Attention {
        projected: Node,
        context: Tensor,
        heads: Heads,
        sequences: Sequences,
    },
    Mean {
        x: Place,
        sequences: Sequences,
    },
}

/// Gain and shift of a LayerNorm, and what is added to the variance.
#[derive(Clone, Copy, Debug)]
pub struct NormWeights<'p> {
    /// `[width]`.
    pub gain: &'p Parameter,
    /// `[width]`.
    pub shift: &'p Parameter,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Forward: each operation of [`crate::ops`], on nodes.
impl Tape {
    /// Notes every step.
    #[must_use]
    pub fn recording() -> Self {
        Self {
            steps: Some(Vec::new()),
            scope: "".into(),
        }
    }

    /// Notes nothing: a tensor is freed when the last node of it is.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            steps: None,
            scope: "".into(),
        }
    }

    /// Steps from here on belong to this part of the network.
    pub fn enter(&mut self, scope: &str) {
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

    /// See [`ops::rows`].
    ///
    /// # Errors
    /// As the operation.
    pub fn rows(&mut self, table: &Parameter, index: &RowIndex) -> Result<Node> {
        let table = self.parameter(table);
        self.rows_of(&table, index)
    }

    /// [`Tape::rows`] of a node.
    ///
    /// # Errors
    /// As the operation.
    pub fn rows_of(&mut self, table: &Node, index: &RowIndex) -> Result<Node> {
        let step = Step::Rows {
            table: table.place,
            table_rows: table.value.dim(0)?,
            index: index.clone(),
        };
        Ok(self.note(ops::rows(&table.value, index)?, step))
    }

    /// The sum of two nodes of one shape.
    ///
    /// # Errors
    /// When they differ in shape.
    pub fn add(&mut self, a: &Node, b: &Node) -> Result<Node> {
        let sum = (&a.value + &b.value)?;
        Ok(self.note(sum, Step::Add([a.place, b.place])))
    }

    /// Each `width` columns of each row rounded on their own, see [`ops::fake_quantize`].
    ///
    /// # Errors
    /// As the operation.
    pub fn fake_quantize(&mut self, x: &Node, width: usize) -> Result<Node> {
        let parts = x.value.reshape(((), width))?;
        let rounded = ops::fake_quantize(&parts)?.reshape(x.value.shape())?;
        Ok(self.note(rounded, Step::FakeQuantize(x.place)))
    }

    /// See [`ops::layer_norm`].
    ///
    /// # Errors
    /// As the operation.
    pub fn layer_norm(&mut self, x: &Node, weights: NormWeights) -> Result<Node> {
        let [gain, shift] = [weights.gain, weights.shift].map(|it| self.parameter(it));
        let epsilon = weights.epsilon;
        let y = ops::layer_norm(&x.value, &gain.value, &shift.value, epsilon)?;
        let step = Step::LayerNorm {
            x: x.clone(),
            gain,
            shift: shift.place,
            epsilon,
        };
        Ok(self.note(y, step))
    }

    /// x·Wᵀ, see [`ops::product`]. What is multiplied is made of `x` and `weight` here and
    /// again in the backward, instead of being kept.
    ///
    /// # Errors
    /// As the operation.
    pub fn product(&mut self, x: &Node, weight: &Parameter, operands: Operands) -> Result<Node> {
        let weight = self.parameter(weight);
        let [left, right] = operands.of(&x.value, &weight.value)?;
        let step = Step::Product {
            x: x.clone(),
            weight,
            operands,
        };
        Ok(self.note(ops::product(&left, &right)?, step))
    }

    /// Adds a bias to a product, which is used up.
    ///
    /// # Errors
    /// As the operation.
    pub fn add_bias(&mut self, product: Node, bias: &Parameter) -> Result<Node> {
        let bias = self.parameter(bias);
        ops::add_bias(&product.value, &bias.value)?;
        let step = Step::AddBias {
            product: product.place,
            bias: bias.place,
        };
        Ok(self.note(product.value, step))
    }

    /// The LayerNorm of residual + (product + bias), see [`ops::add_and_normalize`]. The
    /// product is used up.
    ///
    /// # Errors
    /// As the operation.
    pub fn add_and_normalize(
        &mut self,
        product: Node,
        bias: &Parameter,
        residual: &Node,
        weights: NormWeights,
    ) -> Result<Node> {
        let [bias, gain, shift] = [bias, weights.gain, weights.shift].map(|it| self.parameter(it));
        let epsilon = weights.epsilon;
        let (sum, normalized) = ops::add_and_normalize(
            product.value,
            [&bias.value, &residual.value],
            [&gain.value, &shift.value],
            epsilon,
        )?;
        let step = Step::AddAndNormalize {
            sum: Node {
                value: sum,
                place: product.place,
            },
            bias: bias.place,
            residual: residual.place,
            gain,
            shift: shift.place,
            epsilon,
        };
        Ok(self.note(normalized, step))
    }

    /// The activation of product + bias, see [`ops::bias_and_activate`]. The product is used
    /// up.
    ///
    /// # Errors
    /// As the operation.
    pub fn bias_and_activate(
        &mut self,
        product: Node,
        bias: &Parameter,
        kind: ActivationKind,
    ) -> Result<Node> {
        let bias = self.parameter(bias);
        let (x, activated) = ops::bias_and_activate(product.value, &bias.value, kind)?;
        let step = Step::BiasAndActivate {
            product: Node {
                value: x,
                place: product.place,
            },
            bias: bias.place,
            kind,
        };
        Ok(self.note(activated, step))
    }

    /// See [`ops::attention`].
    ///
    /// # Errors
    /// As the operation.
    pub fn attention(
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

    /// See [`ops::mean`].
    ///
    /// # Errors
    /// As the operation.
    pub fn mean(&mut self, x: &Node, sequences: &Sequences) -> Result<Node> {
        let step = Step::Mean {
            x: x.place,
            sequences: sequences.clone(),
        };
        Ok(self.note(ops::mean(&x.value, sequences)?, step))
    }
}

/// Gradients of parameters.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of `parameter`, if the steps read it.
    #[must_use]
    pub fn get(&self, parameter: &Parameter) -> Option<&Tensor> {
        self.0.get(&parameter.value.id())
    }

    /// Adds to the gradient of `parameter`.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn add(&mut self, parameter: &Parameter, more: Tensor) -> Result<()> {
        self.add_to(parameter.value.id(), more)
    }

    fn add_to(&mut self, parameter: TensorId, more: Tensor) -> Result<()> {
        let sum = match self.0.remove(&parameter) {
            Some(gradient) => (gradient + more)?,
            None => more,
        };
        self.0.insert(parameter, sum);
        Ok(())
    }
}

/// Gradients that wait for the step that reads them, by place.
struct Waiting(Vec<Vec<Tensor>>);

impl Waiting {
    fn give(&mut self, place: Place, gradient: Tensor) {
        self.0[place].push(gradient);
    }
}

impl Tape {
    /// Gradients of every parameter, where `given` are those of some nodes; they are added
    /// after those from later steps.
    ///
    /// # Errors
    /// When nothing was recorded, or a shape does not fit.
    pub fn backward(&self, given: &[(&Node, &Tensor)]) -> Result<Gradients> {
        let Some(steps) = &self.steps else {
            bail!("a backward without a recording");
        };
        let mut waiting = Waiting(vec![Vec::new(); steps.len()]);
        let mut sums = DeferredSums::default();
        let mut found = Vec::new();
        for (place, noted) in steps.iter().enumerate().rev() {
            let mut gradients = core::mem::take(&mut waiting.0[place]);
            let given = given.iter().filter(|(node, _)| node.place == place);
            gradients.extend(given.map(|(_, gradient)| (*gradient).clone()));
            match (&noted.step, gradients.is_empty()) {
                (_, true) => {}
                (Step::Parameter(id), false) => {
                    found.extend(gradients.into_iter().map(|it| (*id, it)));
                }
                (step, false) => step.back(gradients, &mut waiting, &mut sums)?,
            }
        }
        sums.finish()?;
        let mut all = Gradients::default();
        for (parameter, gradient) in found {
            all.add_to(parameter, gradient)?;
        }
        Ok(all)
    }

    /// What was multiplied with `weight`, all columns of it.
    #[must_use]
    pub fn input_of(&self, weight: &Parameter) -> Option<&Tensor> {
        let id = weight.value.id();
        self.steps
            .iter()
            .flatten()
            .find_map(|noted| match &noted.step {
                Step::Product { x, weight, .. } if weight.value.id() == id => Some(&x.value),
                _ => None,
            })
    }

    /// Every tensor that is kept for the backward, parameters aside, with a name for
    /// messages, in the order in which they were made.
    #[must_use]
    pub fn kept(&self) -> Vec<(String, &Tensor)> {
        let named = self.kept_by_place().into_iter().map(|(place, tensor)| {
            let Noted { step, scope, .. } = &self.noted()[place];
            (format!("the {} of {scope}", step.result()), tensor)
        });
        named.collect()
    }

    /// Numbers in what is kept, and in these nodes where they are not.
    pub(super) fn count_with<'n>(&self, nodes: impl Iterator<Item = &'n Node>) -> u64 {
        let mut kept = self.kept_by_place();
        let nodes: Vec<_> = nodes.map(|node| (node.place, node.value.clone())).collect();
        kept.extend(nodes.iter().map(|(place, tensor)| (*place, tensor)));
        kept.values().map(|it| it.elem_count() as u64).sum()
    }

    /// Numbers of the gradients that a backward makes in each part of the network, with
    /// those that arrive there from two sides.
    #[must_use]
    pub fn gradients_by_scope(&self) -> Vec<u64> {
        let scopes = self.noted().chunk_by(|a, b| a.scope == b.scope);
        let counts = scopes.map(|scope| {
            let made = scope.iter().filter(|noted| noted.step.makes_a_gradient());
            let arriving = scope.last().map_or(0, |last| 2 * last.count);
            (made.map(|noted| noted.count).sum::<usize>() + arriving) as u64
        });
        counts.collect()
    }

    fn noted(&self) -> &[Noted] {
        self.steps.as_deref().unwrap_or_default()
    }

    fn kept_by_place(&self) -> BTreeMap<Place, &Tensor> {
        let kept = self.noted().iter().filter_map(|noted| noted.step.kept());
        kept.collect()
    }
}

fn sum(gradients: Vec<Tensor>) -> Result<Tensor> {
    let mut gradients = gradients.into_iter();
    let Some(first) = gradients.next() else {
        bail!("a sum of no gradients");
    };
    gradients.try_fold(first, |sum, gradient| sum + gradient)
}

impl Step {
    /// From the gradients of the result, which add up, to those of what was read.
    fn back(
        &self,
        gradients: Vec<Tensor>,
        waiting: &mut Waiting,
        sums: &mut DeferredSums,
    ) -> Result<()> {
        match self {
            Self::Parameter(_) => bail!("a parameter is made by no operation"),
            Self::Rows {
                table,
                table_rows,
                index,
            } => {
                let gradient = rows_backward(index, *table_rows, &sum(gradients)?)?;
                waiting.give(*table, gradient);
            }
            Self::Add(addends) => {
                let gradient = sum(gradients)?;
                for place in addends {
                    waiting.give(*place, gradient.clone());
                }
            }
            // As if nothing had been rounded.
            Self::FakeQuantize(x) => waiting.give(*x, sum(gradients)?),
            Self::LayerNorm {
                x,
                gain,
                shift,
                epsilon,
            } => {
                let found = layer_norm_backward(&x.value, &gain.value, *epsilon, &gradients, sums)?;
                waiting.give(gain.place, found.grad_gain);
                waiting.give(*shift, found.grad_shift);
                waiting.give(x.place, found.grad_x);
            }
            Self::Product {
                x,
                weight,
                operands,
            } => {
                let [grad_x, grad_weight] =
                    operands.backward(&x.value, &weight.value, &sum(gradients)?)?;
                waiting.give(weight.place, grad_weight);
                waiting.give(x.place, grad_x);
            }
            Self::AddBias { product, bias } => {
                let gradient = sum(gradients)?.contiguous()?;
                waiting.give(*bias, column_sums(&gradient, sums)?);
                waiting.give(*product, gradient);
            }
            Self::AddAndNormalize {
                sum: x,
                bias,
                residual,
                gain,
                shift,
                epsilon,
            } => {
                let found = layer_norm_backward(&x.value, &gain.value, *epsilon, &gradients, sums)?;
                waiting.give(gain.place, found.grad_gain);
                waiting.give(*shift, found.grad_shift);
                waiting.give(*bias, found.grad_bias);
                waiting.give(*residual, found.grad_x.clone());
                waiting.give(x.place, found.grad_x);
            }
            Self::BiasAndActivate {
                product,
                bias,
                kind,
            } => {
                let (grad_x, grad_bias) =
                    activation_backward(&product.value, *kind, &sum(gradients)?, sums)?;
                waiting.give(*bias, grad_bias);
                waiting.give(product.place, grad_x);
            }
            Self::Attention {
                projected,
                context,
                heads,
                sequences,
            } => {
                let gradient = sum(gradients)?;
                let grad_projected =
                    attention_backward(&projected.value, context, *heads, sequences, &gradient)?;
                waiting.give(projected.place, grad_projected);
            }
            Self::Mean { x, sequences } => {
                waiting.give(*x, mean_backward(sequences, &sum(gradients)?)?);
            }
        }
        Ok(())
    }

    /// The node of an operation that is kept.
    fn kept(&self) -> Option<(Place, &Tensor)> {
        match self {
            Self::LayerNorm { x: node, .. }
            | Self::Product { x: node, .. }
            | Self::AddAndNormalize { sum: node, .. }
            | Self::BiasAndActivate { product: node, .. }
            | Self::Attention {
                projected: node, ..
            } => Some((node.place, &node.value)),
            Self::Parameter(_)
            | Self::Rows { .. }
            | Self::Add(_)
            | Self::FakeQuantize(_)
            | Self::AddBias { .. }
            | Self::Mean { .. } => None,
        }
    }

    /// Whether the gradient of its result is a tensor of its own, neither of a parameter nor
    /// the one that the next step has.
    fn makes_a_gradient(&self) -> bool {
        match self {
            Self::LayerNorm { .. }
            | Self::Product { .. }
            | Self::AddAndNormalize { .. }
            | Self::BiasAndActivate { .. }
            | Self::Attention { .. }
            | Self::Mean { .. } => true,
            Self::Parameter(_)
            | Self::Rows { .. }
            | Self::Add(_)
            | Self::FakeQuantize(_)
            | Self::AddBias { .. } => false,
        }
    }

    /// Name of what it makes.
    fn result(&self) -> &'static str {
        match self {
            Self::Parameter(_) => "parameter",
            Self::Rows { .. } => "rows",
            Self::Add(_) => "sum",
            Self::FakeQuantize(_) => "rounded values",
            Self::LayerNorm { .. } | Self::AddAndNormalize { .. } => "output of a LayerNorm",
            Self::Product { .. } => "product",
            Self::AddBias { .. } => "output of a matrix",
            Self::BiasAndActivate { .. } => "activated neurons",
            Self::Attention { .. } => "attention output",
            Self::Mean { .. } => "pooled vectors",
        }
    }
}
