//! LayerNorm (Ba et al. 2016): (x − mean)/√(variance + ε)·gain + shift, row by row.

use candle_core::{Result, Tensor, bail};

use super::column_sums::{DeferredSums, column_sums};
use super::linear::add_bias;
use super::on_cpu;
use super::reduction::sum;
use crate::numbers::{real, single};

/// `x` `[tokens, features]`, `gain` and `shift` `[features]`.
pub(crate) fn layer_norm(
    x: &Tensor,
    gain: &Tensor,
    shift: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    if width == 0 || gain.dims() != [width] || shift.dims() != [width] {
        bail!(
            "layer-norm: {width} features, gain {:?}, shift {:?}",
            gain.dims(),
            shift.dims()
        );
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::layer_norm(x, gain, shift, epsilon);
    }
    on_cpu([x, gain, shift], x.shape(), |[x, gain, shift]| {
        let mut y = Vec::with_capacity(x.len());
        for x in x.chunks_exact(width) {
            let (mean, inverse) = moments(x, epsilon);
            let weights = gain.iter().zip(shift);
            let terms = x.iter().zip(weights);
            y.extend(terms.map(|(x, (g, b))| (x - mean) * inverse * g + b));
        }
        y
    })
}

/// What comes after a matrix and its residual: the sum `residual` + (`product` + `bias`), and that
/// sum's LayerNorm, all `[tokens, features]`. `product` is a result of [`super::product`] that
/// nothing else uses; it becomes the sum.
pub(crate) fn add_and_normalize(
    product: Tensor,
    [bias, residual]: [&Tensor; 2],
    [gain, shift]: [&Tensor; 2],
    epsilon: f32,
) -> Result<(Tensor, Tensor)> {
    #[cfg(feature = "cuda")]
    if product.device().is_cuda() {
        let operands = [&product, bias, residual, gain, shift];
        let normalized = super::cuda::add_and_normalize(operands, epsilon)?;
        return Ok((product, normalized));
    }
    add_bias(&product, bias)?;
    let sum = (residual + product)?;
    let normalized = layer_norm(&sum, gain, shift, epsilon)?;
    Ok((sum, normalized))
}

/// The result of [`layer_norm_backward`].
#[derive(Clone, Debug)]
pub(crate) struct NormGradients {
    /// `[tokens, features]`.
    pub grad_x: Tensor,
    /// `[features]`.
    pub grad_gain: Tensor,
    /// `[features]`.
    pub grad_shift: Tensor,
    /// Of a bias that was added to each row of `x`, `[features]`.
    pub grad_bias: Tensor,
}

/// Gradients of [`layer_norm`], where the sum of `gradients`, one to three, is that of the
/// result; all sums but that of `x` are deferred.
pub(crate) fn layer_norm_backward(
    x: &Tensor,
    gain: &Tensor,
    epsilon: f32,
    gradients: &[Tensor],
    deferred: &mut DeferredSums,
) -> Result<NormGradients> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let made = super::cuda::layer_norm_backward(x, gain, epsilon, gradients, deferred)?;
        let [grad_x, grad_gain, grad_shift, grad_bias] = made;
        return Ok(NormGradients {
            grad_x,
            grad_gain,
            grad_shift,
            grad_bias,
        });
    }
    let Some((first, others)) = gradients.split_first() else {
        bail!("layer-norm: no gradient of the result");
    };
    let gradient = others
        .iter()
        .try_fold(first.clone(), |sum, other| sum + other)?;
    let gradient = gradient.contiguous()?;
    let grad_x = on_cpu([x, gain, &gradient], x.shape(), |[x, gain, gradient]| {
        x_backward(x, gain, gradient, epsilon)
    })?;
    let grad_gain = on_cpu([x, &gradient], gain.shape(), |[x, gradient]| {
        gain_backward(x, gradient, gain.elem_count(), epsilon)
    })?;
    Ok(NormGradients {
        grad_bias: column_sums(&grad_x, deferred)?,
        grad_x,
        grad_gain,
        grad_shift: column_sums(&gradient, deferred)?,
    })
}

/// Mean and 1/√(variance + ε) of a row.
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = single(real(x.len()));
    let mean = sum(x, x, |x, _| x) / count;
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
    (mean, (variance + epsilon).sqrt().recip())
}

/// Gradient of x: with x̂ the normalised row and h = gradient·gain,
/// (h − mean(h) − x̂·mean(h·x̂)) / √(variance + ε).
fn x_backward(x: &[f32], gain: &[f32], gradient: &[f32], epsilon: f32) -> Vec<f32> {
    let width = gain.len();
    let mut grad_x = Vec::with_capacity(x.len());
    let mut scaled = vec![0.0; width];
    for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        let (mean, inverse) = moments(x, epsilon);
        for ((scaled, gradient), gain) in scaled.iter_mut().zip(gradient).zip(gain) {
            *scaled = gradient * gain;
        }
        let count = single(real(width));
        let constant = sum(&scaled, &scaled, |h, _| h) / count;
        let slope = sum(&scaled, x, |h, x| h * (x - mean) * inverse) / count;
        let terms = scaled.iter().zip(x);
        grad_x.extend(terms.map(|(h, x)| inverse * (h - constant - (x - mean) * inverse * slope)));
    }
    grad_x
}

/// Gradient of the gain: Σ over rows of gradient·x̂.
fn gain_backward(x: &[f32], gradient: &[f32], width: usize, epsilon: f32) -> Vec<f32> {
    let mut grad_gain = vec![0.0; width];
    for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        let (mean, inverse) = moments(x, epsilon);
        for ((sum, x), gradient) in grad_gain.iter_mut().zip(x).zip(gradient) {
            *sum += gradient * (x - mean) * inverse;
        }
    }
    grad_gain
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, values};
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        check(
            [values(&[4, 6], 4), values(&[6], 5), values(&[6], 6)],
            |[x, gain, shift]| layer_norm(x, gain, shift, 1e-5),
            |[x, gain, _], gradient| {
                let mut deferred = DeferredSums::default();
                let found = layer_norm_backward(
                    x,
                    gain,
                    1e-5,
                    core::slice::from_ref(gradient),
                    &mut deferred,
                )?;
                deferred.finish()?;
                Ok([found.grad_x, found.grad_gain, found.grad_shift])
            },
        );
    }
}
