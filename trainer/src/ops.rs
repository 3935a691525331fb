//! What candle lacks for training an encoder: operations with a backward.
//!
//! candle's own fused LayerNorm and softmax stop gradients silently, and padded
//! attention would spend most of its time on padding. These work on a **packed**
//! batch: the tokens of all sequences one below the other, `[tokens, features]`,
//! with [`Sequences`] stating where each sequence begins.
//!
//! Each operation is in a file of its own, with its formula, its backward and a check of the
//! gradient against differences. Operations that follow one another in a network can be one call,
//! [`add_and_normalize`], [`bias_and_activate`]: on a GPU that is one kernel. The GPU's versions
//! are in `cuda.rs`, with kernels in the `.cu` files.

mod activation;
mod adamw;
mod attention;
mod choice;
mod column_sums;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub(crate) mod device;
mod exponential;
mod fake_quantize;
mod layer_norm;
mod linear;
mod loss;
mod mean;
mod recurrence;
mod reduction;
mod rows;
#[cfg(any(feature = "cuda", test))]
mod selection;
mod tile;

pub(crate) use activation::{activation, activation_backward, bias_and_activate};
pub(crate) use adamw::{AdamW, Slot, adamw};
pub(crate) use attention::{Heads, attention, attention_backward};
pub(crate) use choice::Costs;
pub(crate) use choice::{Candidates, Choice, Chosen, keep_best};
pub(crate) use column_sums::DeferredSums;
pub(crate) use column_sums::{column_magnitudes, column_sums};
#[cfg(feature = "cuda")]
pub(crate) use cuda::prepare;
pub(crate) use fake_quantize::fake_quantize;
pub(crate) use layer_norm::{NormGradients, add_and_normalize, layer_norm, layer_norm_backward};
pub(crate) use linear::{add_bias, linear_backward, product};
pub(crate) use loss::LossSum;
pub(crate) use mean::{mean, mean_backward};
pub(crate) use recurrence::{
    Direction, recurrence, recurrence_backward, with_neighbours, with_neighbours_backward,
};
pub(crate) use rows::{RowIndex, rows, rows_backward};

use std::sync::Arc;

use candle_core::{CpuStorage, Device, InplaceOp3, Layout, Result, Shape, Storage, Tensor, bail};

/// Where each sequence of a packed batch begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// First token of each sequence, then the number of tokens.
    offsets: Arc<[usize]>,
    #[cfg(feature = "cuda")]
    uploaded: cuda::Uploaded,
}

impl Sequences {
    /// Sequences of these lengths, one after the other.
    #[must_use]
    pub fn of_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            end
        });
        Self {
            offsets: core::iter::once(0).chain(ends).collect(),
            #[cfg(feature = "cuda")]
            uploaded: cuda::Uploaded::default(),
        }
    }

    /// Number of sequences.
    #[must_use]
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Tokens of all sequences.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// First token of each sequence.
    #[must_use]
    pub fn firsts(&self) -> RowIndex {
        let index = |(start, _)| u32::try_from(start).unwrap_or(u32::MAX);
        self.lengths().map(index).collect()
    }

    /// First token and length of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let pairs = self.offsets.iter().zip(self.offsets.iter().skip(1));
        pairs.map(|(&start, &end)| (start, end - start))
    }

    /// Cuts `[tokens, width]` into the rows of each sequence.
    fn split_mut<'a>(&self, mut rows: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        let cut = |(_, length): (usize, usize)| {
            let (head, rest) = core::mem::take(&mut rows).split_at_mut(length * width);
            rows = rest;
            head
        };
        self.lengths().map(cut).collect()
    }
}

/// How long the result of an operation is used; on a GPU tensors of one lifetime are stored
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// To the end of a step: what a forward pass records, and the gradients of weights.
    Step,
    /// By the next operations: the gradients of a backward.
    Moment,
}

/// A tensor of this shape on a CPU, `function` of the values of others there.
fn on_cpu<const OPERANDS: usize>(
    tensors: [&Tensor; OPERANDS],
    shape: impl Into<Shape>,
    function: impl FnOnce([&[f32]; OPERANDS]) -> Vec<f32>,
) -> Result<Tensor> {
    let storages = tensors.map(Tensor::storage_and_layout);
    let mut operands = [&[][..]; OPERANDS];
    for (operand, (storage, layout)) in operands.iter_mut().zip(&storages) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("a tensor is not on the CPU");
        };
        *operand = values(storage, layout)?;
    }
    Tensor::from_vec(function(operands), shape.into(), &Device::Cpu)
}

/// Each value of `target` becomes `function` of it and of those of two tensors of its shape,
/// on a CPU.
fn in_place(
    target: &Tensor,
    operands: [&Tensor; 2],
    function: impl Fn(f32, f32, f32) -> f32,
) -> Result<()> {
    change(target, operands, |target, a, b| {
        for (target, (&a, &b)) in target.iter_mut().zip(a.iter().zip(b)) {
            *target = function(*target, a, b);
        }
    })
}

/// Lets `function` change the values of `target`, which nothing else reads meanwhile, on a CPU.
fn change<F: Fn(&mut [f32], &[f32], &[f32])>(
    target: &Tensor,
    [a, b]: [&Tensor; 2],
    function: F,
) -> Result<()> {
    target.inplace_op3(a, b, &Change(function))
}

struct Change<F>(F);

impl<F: Fn(&mut [f32], &[f32], &[f32])> InplaceOp3 for Change<F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(target), Some((start, end))) = (target, layout.contiguous_offsets())
        else {
            bail!("a tensor that is changed is contiguous and f32");
        };
        let (a, b) = (values(a, a_layout)?, values(b, b_layout)?);
        (self.0)(&mut target[start..end], a, b);
        Ok(())
    }
}

/// The values of a contiguous `f32` tensor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!(
            "expected a contiguous tensor, got strides {:?}",
            layout.stride()
        ),
    }
}

#[cfg(test)]
mod gradient_check {
    use candle_core::{Device, Result, Tensor};

    use crate::random::{Purpose, initial_values, stream};

    /// Reproducible values of deviation 1.
    pub(super) fn values(shape: &[usize], index: u64) -> Tensor {
        let mut generator = stream(7, Purpose::Initialization, index);
        let values = initial_values(&mut generator, shape.iter().product(), 1.0);
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Compares the gradients of Σ weights·forward(inputs), which `backward` makes from the
    /// inputs and the weights, with differences.
    pub(super) fn check<const INPUTS: usize>(
        inputs: [Tensor; INPUTS],
        forward: impl Fn(&[Tensor; INPUTS]) -> Result<Tensor>,
        backward: impl Fn(&[Tensor; INPUTS], &Tensor) -> Result<[Tensor; INPUTS]>,
    ) {
        let weights = values(forward(&inputs).unwrap().dims(), 99);
        let objective = |inputs: &[Tensor; INPUTS]| {
            let result = numbers(&forward(inputs).unwrap());
            let terms = result.iter().zip(numbers(&weights));
            terms.map(|(x, weight)| f64::from(x * weight)).sum::<f64>()
        };
        let gradients = backward(&inputs, &weights).unwrap();
        for (number, gradient) in gradients.iter().enumerate() {
            assert_eq!(gradient.dims(), inputs[number].dims(), "input {number}");
            let values = numbers(&inputs[number]);
            for (index, gradient) in numbers(gradient).into_iter().enumerate() {
                let at = |step: f32| {
                    let (mut moved, mut values) = (inputs.clone(), values.clone());
                    values[index] += step;
                    let shape = inputs[number].shape();
                    moved[number] = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
                    objective(&moved)
                };
                let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
                let error = (difference - f64::from(gradient)).abs();
                assert!(
                    error < 1e-2 * (1.0 + difference.abs()),
                    "input {number}, element {index}: {gradient}, differences say {difference}"
                );
            }
        }
    }
}
