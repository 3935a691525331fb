//! LayerNorm (Ba et al. 2016): (x − mean)/√(variance + ε)·gain + shift, row by row.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::column_sums::{DeferredSums, column_sums};
use super::linear::add_bias;
use super::reduction::sum;
use super::values;

/// `x` `[tokens, features]`, `gain` and `shift` `[features]`.
///
/// # Errors
/// When the shapes do not fit, or a tensor is not contiguous.
pub fn layer_norm(x: &Tensor, gain: &Tensor, shift: &Tensor, epsilon: f32) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    if width == 0 || gain.dims() != [width] || shift.dims() != [width] {
        bail!(
            "layer-norm: {width} features, gain {:?}, shift {:?}",
            gain.dims(),
            shift.dims()
        );
    }
    x.apply_op3_no_bwd(gain, shift, &LayerNorm { epsilon })
}

/// What is behind a matrix and its residual: the sum `residual` + (`product` + `bias`), and that
/// sum's LayerNorm, all `[tokens, features]`. `product` is one of [`super::product`] that
/// nobody else has; it becomes the sum.
///
/// # Errors
/// When the shapes do not fit, or a tensor is not contiguous.
pub fn add_and_normalize(
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

/// What [`layer_norm_backward`] finds.
#[derive(Clone, Debug)]
pub struct NormGradients {
    /// `[tokens, features]`.
    pub grad_x: Tensor,
    /// `[features]`.
    pub grad_gain: Tensor,
    /// `[features]`.
    pub grad_shift: Tensor,
    /// Of a bias that was added to each row of `x`, `[features]`.
    pub grad_bias: Tensor,
}

/// Gradients behind [`layer_norm`], where the sum of `gradients`, one to three, is that of the
/// result; all sums but that of `x` are deferred.
///
/// # Errors
/// When the shapes do not fit, or a tensor is not contiguous.
pub fn layer_norm_backward(
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
    let grad_x = x.apply_op3_no_bwd(gain, &gradient, &Backward { epsilon })?;
    let grad_gain = x.apply_op3_no_bwd(gain, &gradient, &WeightsBackward { epsilon })?;
    Ok(NormGradients {
        grad_bias: column_sums(&grad_x, deferred)?,
        grad_x,
        grad_gain,
        grad_shift: column_sums(&gradient, deferred)?,
    })
}

struct LayerNorm {
    epsilon: f32,
}

/// Mean and 1/√(variance + ε) of a row.
#[expect(clippy::cast_precision_loss, reason = "widths are below 2²⁴")]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = sum(x, x, |x, _| x) / count;
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
    (mean, (variance + epsilon).sqrt().recip())
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain) = (values(x, layout)?, values(gain, gain_layout)?);
        let shift = values(shift, shift_layout)?;
        let (_, width) = layout.shape().dims2()?;
        let mut y = Vec::with_capacity(x.len());
        for x in x.chunks_exact(width) {
            let (mean, inverse) = moments(x, self.epsilon);
            let weights = gain.iter().zip(shift);
            y.extend(
                x.iter()
                    .zip(weights)
                    .map(|(x, (g, b))| (x - mean) * inverse * g + b),
            );
        }
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        x_layout: &Layout,
        gain: &candle_core::CudaStorage,
        gain_layout: &Layout,
        shift: &candle_core::CudaStorage,
        shift_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let operands = [(x, x_layout), (gain, gain_layout), (shift, shift_layout)];
        super::cuda::layer_norm(operands, self.epsilon)
    }
}

/// Gradient of x: with x̂ the normalised row and h = gradient·gain,
/// (h − mean(h) − x̂·mean(h·x̂)) / √(variance + ε).
struct Backward {
    epsilon: f32,
}

impl CustomOp3 for Backward {
    fn name(&self) -> &'static str {
        "layer-norm-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gain = values(gain, gain_layout)?;
        let width = gain.len();
        let rows = values(x, layout)?.chunks_exact(width);
        let mut grad_x = Vec::with_capacity(layout.shape().elem_count());
        let mut scaled = vec![0.0; width];
        for (x, gradient) in rows.zip(values(gradient, gradient_layout)?.chunks_exact(width)) {
            let (mean, inverse) = moments(x, self.epsilon);
            for ((scaled, gradient), gain) in scaled.iter_mut().zip(gradient).zip(gain) {
                *scaled = gradient * gain;
            }
            #[expect(clippy::cast_precision_loss, reason = "widths are below 2²⁴")]
            let count = width as f32;
            let constant = sum(&scaled, &scaled, |h, _| h) / count;
            let slope = sum(&scaled, x, |h, x| h * (x - mean) * inverse) / count;
            let terms = scaled.iter().zip(x);
            grad_x.extend(
                terms.map(|(h, x)| inverse * (h - constant - (x - mean) * inverse * slope)),
            );
        }
        Ok((CpuStorage::F32(grad_x), layout.shape().clone()))
    }
}

/// Gradient of the gain: Σ over rows of gradient·x̂.
struct WeightsBackward {
    epsilon: f32,
}

impl CustomOp3 for WeightsBackward {
    fn name(&self) -> &'static str {
        "layer-norm-weights-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _gain: &CpuStorage,
        gain_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let width = gain_layout.shape().elem_count();
        let rows = values(x, layout)?.chunks_exact(width);
        let mut grad_gain = vec![0.0; width];
        for (x, gradient) in rows.zip(values(gradient, gradient_layout)?.chunks_exact(width)) {
            let (mean, inverse) = moments(x, self.epsilon);
            for ((sum, x), gradient) in grad_gain.iter_mut().zip(x).zip(gradient) {
                *sum += gradient * (x - mean) * inverse;
            }
        }
        Ok((CpuStorage::F32(grad_gain), gain_layout.shape().clone()))
    }
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
                let found = layer_norm_backward(x, gain, 1e-5, &[gradient.clone()], &mut deferred)?;
                deferred.finish()?;
                Ok([found.grad_x, found.grad_gain, found.grad_shift])
            },
        );
    }
}
