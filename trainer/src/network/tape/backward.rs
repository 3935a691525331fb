//! From the last step to the first. The gradients of a node remain a list until the step
//! that made it reads them: a LayerNorm adds them in its own kernel.

use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId, bail};

use super::{Node, Normalized, Place, Step, Tape};
use crate::network::parameter::Parameter;
use crate::ops::{
    DeferredSums, NormGradients, activation_backward, attention_backward, column_sums,
    layer_norm_backward, mean_backward, recurrence_backward, rows_backward,
    with_neighbours_backward,
};

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

/// Gradients that wait for the step that reads them.
struct Walk {
    waiting: Vec<Vec<Tensor>>,
    sums: DeferredSums,
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
        let mut walk = Walk {
            waiting: vec![Vec::new(); steps.len()],
            sums: DeferredSums::default(),
        };
        let mut found = Vec::new();
        for (place, noted) in steps.iter().enumerate().rev() {
            let mut gradients = core::mem::take(&mut walk.waiting[place]);
            let given = given.iter().filter(|(node, _)| node.place == place);
            gradients.extend(given.map(|(_, gradient)| (*gradient).clone()));
            if let Step::Parameter(id) = &noted.step {
                found.extend(gradients.into_iter().map(|it| (*id, it)));
            } else if !gradients.is_empty() {
                walk.back(&noted.step, gradients)?;
            }
        }
        // Before sums of parts are added up.
        walk.sums.finish()?;
        let mut all = Gradients::default();
        for (parameter, gradient) in found {
            all.add_to(parameter, gradient)?;
        }
        Ok(all)
    }
}

impl Walk {
    fn give(&mut self, place: Place, gradient: Tensor) {
        self.waiting[place].push(gradient);
    }

    /// From the gradients of the result, which are added up, to those of what was read.
    fn back(&mut self, step: &Step, gradients: Vec<Tensor>) -> Result<()> {
        match step {
            Step::Parameter(_) => bail!("no operation makes a parameter"),
            Step::Rows {
                table,
                table_rows,
                index,
            } => {
                let grad_table = rows_backward(index, *table_rows, &sum(gradients)?)?;
                self.give(*table, grad_table);
            }
            Step::Add([a, b]) => {
                let gradient = sum(gradients)?;
                self.give(*a, gradient.clone());
                self.give(*b, gradient);
            }
            // As if nothing had been rounded.
            Step::FakeQuantize(x) => self.give(*x, sum(gradients)?),
            Step::LayerNorm(norm) => {
                self.normalized(norm, &gradients)?;
            }
            Step::Product {
                x,
                weight,
                operands,
            } => {
                let gradient = sum(gradients)?;
                let [grad_x, grad_weight] =
                    operands.backward(&x.value, &weight.value, &gradient)?;
                self.give(weight.place, grad_weight);
                self.give(x.place, grad_x);
            }
            Step::AddBias { product, bias } => {
                let gradient = sum(gradients)?.contiguous()?;
                let grad_bias = column_sums(&gradient, &mut self.sums)?;
                self.give(*bias, grad_bias);
                self.give(*product, gradient);
            }
            Step::AddAndNormalize {
                sum,
                bias,
                residual,
            } => {
                let found = self.normalized(sum, &gradients)?;
                self.give(*bias, found.grad_bias);
                self.give(*residual, found.grad_x);
            }
            Step::BiasAndActivate { sum: x, bias, kind } => {
                let gradient = sum(gradients)?;
                let (grad_x, grad_bias) =
                    activation_backward(&x.value, *kind, &gradient, &mut self.sums)?;
                self.give(*bias, grad_bias);
                self.give(x.place, grad_x);
            }
            Step::Attention {
                projected,
                context,
                heads,
                sequences,
            } => {
                let x = &projected.value;
                let gradient = sum(gradients)?;
                let grad_x = attention_backward(x, context, *heads, sequences, &gradient)?;
                self.give(projected.place, grad_x);
            }
            Step::WithNeighbours {
                x,
                sequences,
                direction,
            } => {
                let gradient = sum(gradients)?;
                let grad_x = with_neighbours_backward(sequences, *direction, &gradient)?;
                self.give(*x, grad_x);
            }
            Step::Recurrence {
                gates,
                states,
                sequences,
            } => {
                let gradient = sum(gradients)?;
                let values = gates.each_ref().map(|gates| &gates.value);
                let found = recurrence_backward(values, states, sequences, &gradient)?;
                for (gates, gradient) in gates.iter().zip(found) {
                    self.give(gates.place, gradient);
                }
            }
            Step::Mean { x, sequences } => {
                let grad_x = mean_backward(sequences, &sum(gradients)?)?;
                self.give(*x, grad_x);
            }
        }
        Ok(())
    }

    /// Sends gradients to what a LayerNorm read.
    fn normalized(&mut self, norm: &Normalized, gradients: &[Tensor]) -> Result<NormGradients> {
        let Normalized { x, gain, .. } = norm;
        let (x_value, gain_value) = (&x.value, &gain.value);
        let sums = &mut self.sums;
        let found = layer_norm_backward(x_value, gain_value, norm.epsilon, gradients, sums)?;
        self.give(gain.place, found.grad_gain.clone());
        self.give(norm.shift, found.grad_shift.clone());
        self.give(x.place, found.grad_x.clone());
        Ok(found)
    }
}

fn sum(gradients: Vec<Tensor>) -> Result<Tensor> {
    let mut gradients = gradients.into_iter();
    let Some(first) = gradients.next() else {
        bail!("a sum of no gradients");
    };
    gradients.try_fold(first, |sum, gradient| sum + gradient)
}
