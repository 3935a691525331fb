//! The function between the two matrices of an MLP: the one that the runtime executes
//! (`docs/format.md`), so that a network is trained as it will run.

use candle_core::{Result, Tensor};
use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};

use super::column_sums::{DeferredSums, column_sums};
use super::linear::add_bias;
use super::on_cpu;
use crate::recipe::ActivationKind;
use neuroprune_runtime::math::GELU;

/// Applies `kind` to every value.
///
/// GELU is [`neuroprune_runtime::math::gelu`], bit for bit.
///
/// # Errors
/// When `x` is not a contiguous `f32` tensor.
pub(crate) fn activation(x: &Tensor, kind: ActivationKind) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::activation(x, kind);
    }
    on_cpu([x], x.shape(), |[x]| match kind {
        ActivationKind::Relu => map(x, x, |x, _| rectify(x)),
        ActivationKind::Gelu => map(x, x, |x, _| gelu(x)),
    })
}

/// What comes after a matrix: `product` + `bias`, and `kind` of it, both `[tokens, features]`.
/// `product` is a result of [`super::product`] that nothing else uses.
pub(crate) fn bias_and_activate(
    product: Tensor,
    bias: &Tensor,
    kind: ActivationKind,
) -> Result<(Tensor, Tensor)> {
    #[cfg(feature = "cuda")]
    if product.device().is_cuda() {
        let activated = super::cuda::bias_and_activate(&product, bias, kind)?;
        return Ok((product, activated));
    }
    add_bias(&product, bias)?;
    let activated = activation(&product, kind)?;
    Ok((product, activated))
}

/// Gradients of `x` `[tokens, features]` and of a bias that was added to each of its rows,
/// where `gradient` is that of the result; the sums of the second are deferred.
///
/// # Errors
/// When a tensor is not a contiguous `f32` matrix.
pub(crate) fn activation_backward(
    x: &Tensor,
    kind: ActivationKind,
    gradient: &Tensor,
    deferred: &mut DeferredSums,
) -> Result<(Tensor, Tensor)> {
    let gradient = gradient.contiguous()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let [grad_x, grad_bias] = super::cuda::activation_backward(x, &gradient, kind, deferred)?;
        return Ok((grad_x, grad_bias));
    }
    let grad_x = on_cpu([x, &gradient], x.shape(), |[x, gradient]| match kind {
        ActivationKind::Relu => map(x, gradient, |x, g| if x > 0.0 { g } else { 0.0 }),
        ActivationKind::Gelu => map(x, gradient, |x, g| g * gelu_slope(x)),
    })?;
    let grad_bias = column_sums(&grad_x, deferred)?;
    Ok((grad_x, grad_bias))
}

/// max(0, x). Not `max`, which would hide a NaN.
impl ActivationKind {
    /// As in `kernels.cu`.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "for a GPU"))]
    pub(in crate::ops) fn number_in_kernels(self) -> u32 {
        match self {
            Self::Relu => 0,
            Self::Gelu => 1,
        }
    }
}

fn rectify(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// t = min(|x|, end), end − t, and the cubic p(t) of [`neuroprune_runtime::math::gelu`].
fn gelu_parts(x: f32) -> (f32, f32, f32) {
    let [end, a, b, c, d] = GELU;
    let t = if x.abs() < end { x.abs() } else { end };
    (t, end - t, a + t * (b + t * (c + t * d)))
}

fn gelu(x: f32) -> f32 {
    let (t, left, cubic) = gelu_parts(x);
    rectify(x) - (cubic * t) * (left * left)
}

/// d/dx of max(0, x) − p(t)·t·l², which has a corner at 0: there the slope from the left.
fn gelu_slope(x: f32) -> f32 {
    let (t, left, cubic) = gelu_parts(x);
    let [_, _, b, c, d] = GELU;
    let cubic_slope = b + t * (2.0 * c + t * (3.0 * d));
    let bump_slope = left * (left * (cubic + t * cubic_slope) - 2.0 * (cubic * t));
    if x > 0.0 {
        1.0 - bump_slope
    } else {
        bump_slope
    }
}

/// Values that are computed side by side.
const LANES: usize = 64;
/// Blocks of them that are enough work for a thread.
const TASK: usize = 64;

/// `function` of the values of `a` and `b`, which are equally many. Blocks of a known size become
/// vector instructions, and nothing is written twice.
fn map(a: &[f32], b: &[f32], function: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let block = |(a, b): (&[f32; LANES], &[f32; LANES])| {
        let mut result = *a;
        for (a, &b) in result.iter_mut().zip(b) {
            *a = function(*a, b);
        }
        result
    };
    let blocks: Vec<_> = a.par_iter().zip(b).with_min_len(TASK).map(block).collect();
    let mut result = blocks.into_flattened();
    result.extend(a_rest.iter().zip(b_rest).map(|(&a, &b)| function(a, b)));
    result
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, values};

    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let x = values(&[7, 9], 3);
        // Differences mislead across ReLU's corner; stay away from it.
        let shifted = x.affine(1.0, 3.0).unwrap();
        for &kind in ActivationKind::ALL {
            let x = match kind {
                ActivationKind::Relu => &shifted,
                ActivationKind::Gelu => &x,
            };
            check(
                [x.clone()],
                |[x]| activation(x, kind),
                |[x], gradient| {
                    let mut deferred = DeferredSums::default();
                    let (grad_x, _) = activation_backward(x, kind, gradient, &mut deferred)?;
                    deferred.finish()?;
                    Ok([grad_x])
                },
            );
        }
        let negative = activation(&x.affine(1.0, -3.0).unwrap(), ActivationKind::Relu).unwrap();
        assert_eq!(negative.sum_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
    }

    /// Every exponent and sign, and densely where the bump is.
    #[test]
    fn gelu_is_the_runtimes_bit_for_bit() {
        let spread = (0..=u32::MAX).step_by(65_537).map(f32::from_bits);
        let dense = (-40_000..=40_000_i32).map(|step| step as f32 * 1e-4);
        for x in spread.chain(dense).filter(|x| !x.is_nan()) {
            let (found, expected) = (gelu(x), neuroprune_runtime::math::gelu(x));
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{x}: {found}, runtime {expected}"
            );
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_hidden() {
        for x in [f32::NAN, -f32::NAN] {
            assert!(gelu(x).is_nan() && rectify(x).is_nan());
        }
    }
}
