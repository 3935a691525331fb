//! What the backward goes along, noted while the forward runs.
//!
//! candle's backward makes zeros for the gradient of every tensor and adds to them: three
//! more passes over all activations and weights, a quarter of a step of BERT-base on a GPU.
//! Inside [`record`] the operations of this folder are noted here instead of in candle's
//! graph, and the first gradient of a tensor is taken as it is. What is computed from a
//! [`leaf`], such as a loss, is candle's as ever; outside [`record`] everything is.

use core::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp3, Result, Tensor, TensorId, Var};

thread_local! {
    static ENTRIES: RefCell<Option<Vec<Entry>>> = const { RefCell::new(None) };
}

/// Operations in the order in which they were done.
pub struct Recording(Vec<Entry>);

struct Entry {
    inputs: Vec<TensorId>,
    output: Tensor,
    /// From the gradient of the output to those of the inputs.
    backward: Backward,
}

type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>>>;

/// Runs `forward` and notes the operations of this folder that it does.
///
/// # Errors
/// Those of `forward`.
pub fn record<T>(forward: impl FnOnce() -> Result<T>) -> Result<(T, Recording)> {
    let outer = ENTRIES.replace(Some(Vec::new()));
    let result = forward();
    let entries = ENTRIES.replace(outer).unwrap_or_default();
    Ok((result?, Recording(entries)))
}

impl Recording {
    /// Gradients of `loss`, which was computed from leaves.
    ///
    /// # Errors
    /// When a gradient cannot be made.
    pub fn backward(self, loss: &Tensor) -> Result<GradStore> {
        let mut gradients = loss.backward()?;
        for entry in self.0.into_iter().rev() {
            let Some(gradient) = gradients.remove(&entry.output) else {
                continue;
            };
            for (input, more) in entry.inputs.into_iter().zip((entry.backward)(&gradient)?) {
                let Some(more) = more else { continue };
                let sum = match gradients.get_id(input) {
                    Some(sum) => (sum + more)?,
                    None => more,
                };
                gradients.insert_id(input, sum);
            }
        }
        Ok(gradients)
    }
}

fn is_recording() -> bool {
    ENTRIES.with_borrow(Option::is_some)
}

fn note<const N: usize>(
    inputs: [&Tensor; N],
    output: &Tensor,
    backward: impl FnOnce(&Tensor) -> Result<[Option<Tensor>; N]> + 'static,
) {
    let entry = Entry {
        inputs: inputs.iter().map(|input| input.id()).collect(),
        output: output.clone(),
        backward: Box::new(|gradient| Ok(backward(gradient)?.into())),
    };
    ENTRIES.with_borrow_mut(|entries| {
        if let Some(entries) = entries {
            entries.push(entry);
        }
    });
}

pub(super) fn apply1<C>(x: &Tensor, operation: C) -> Result<Tensor>
where
    C: CustomOp1 + Send + Sync + 'static,
{
    if !is_recording() {
        return x.apply_op1(operation);
    }
    let x_alone = x.detach();
    let y = x_alone.apply_op1_no_bwd(&operation)?;
    let result = y.clone();
    note([x], &y, move |gradient| {
        Ok([operation.bwd(&x_alone, &result, gradient)?])
    });
    Ok(y)
}

pub(super) fn apply3<C>(inputs: [&Tensor; 3], operation: C) -> Result<Tensor>
where
    C: CustomOp3 + Send + Sync + 'static,
{
    if !is_recording() {
        return inputs[0].apply_op3(inputs[1], inputs[2], operation);
    }
    let [a, b, c] = inputs.map(Tensor::detach);
    let y = a.apply_op3_no_bwd(&b, &c, &operation)?;
    let result = y.clone();
    note(inputs, &y, move |gradient| {
        let (of_a, of_b, of_c) = operation.bwd(&a, &b, &c, &result, gradient)?;
        Ok([of_a, of_b, of_c])
    });
    Ok(y)
}

/// a + b, of one shape.
///
/// # Errors
/// When the shapes differ.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !is_recording() {
        return a + b;
    }
    let y = (a.detach() + b.detach())?;
    note([a, b], &y, |gradient| {
        Ok([Some(gradient.clone()), Some(gradient.clone())])
    });
    Ok(y)
}

/// These columns of `x`, each at most once.
///
/// # Errors
/// When `x` has not that many columns.
pub fn columns(x: &Tensor, columns: &[u32]) -> Result<Tensor> {
    let columns = Tensor::new(columns, x.device())?;
    if !is_recording() {
        return x.index_select(&columns, 1);
    }
    let x_alone = x.detach();
    let y = x_alone.index_select(&columns, 1)?;
    note([x], &y, move |gradient| {
        let of_x = x_alone.zeros_like()?.index_add(&columns, gradient, 1)?;
        Ok([Some(of_x)])
    });
    Ok(y)
}

/// `x`, from which candle's operations may go on: it has a gradient of its own.
///
/// # Errors
/// When memory cannot be had.
pub fn leaf(x: &Tensor) -> Result<Tensor> {
    if !is_recording() {
        return Ok(x.clone());
    }
    let leaf = Var::from_tensor(&x.detach())?.into_inner();
    note([x], &leaf, |gradient| Ok([Some(gradient.clone())]));
    Ok(leaf)
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::variable;
    use super::super::{activation, layer_norm, linear};
    use super::*;
    use crate::recipe::ActivationKind;

    /// Every tensor is used twice somewhere: gradients meet.
    #[test]
    fn gradients_are_those_of_candle() {
        let (x, weight) = (variable((5, 4), 20), variable((4, 4), 21));
        let bias = Var::from_tensor(&variable((1, 4), 22).flatten_all().unwrap()).unwrap();
        let forward = || {
            let y = linear(&x, &weight, &bias)?;
            let y = add(&x, &activation(&y, ActivationKind::Gelu)?)?;
            let y = layer_norm(&y, &bias, &bias, 1e-5)?;
            let some = columns(&y, &[2, 0])?;
            let y = linear(&y, &weight, &bias)?;
            let (y, some) = (leaf(&y)?, leaf(&some)?);
            y.sqr()?.sum_all()? + some.sqr()?.sum_all()?
        };
        let loss = forward().unwrap();
        let expected = loss.backward().unwrap();
        let (loss, recording) = record(forward).unwrap();
        let gradients = recording.backward(&loss).unwrap();
        for variable in [&x, &weight, &bias] {
            let of = |gradients: &GradStore| {
                let gradient = gradients.get(variable).unwrap().flatten_all().unwrap();
                gradient.to_vec1::<f32>().unwrap()
            };
            for (gradient, expected) in of(&gradients).into_iter().zip(of(&expected)) {
                let error = (gradient - expected).abs();
                assert!(
                    error < 1e-5 * (1.0 + expected.abs()),
                    "{gradient} {expected}"
                );
            }
        }
        // Nothing is noted any more.
        assert!(!is_recording());
    }
}
