//! LayerNorm (Ba et al. 2016): (x − mean)/√(variance + ε)·gain + shift, row by row.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::column_sums::column_sums;
use super::tape::apply3;
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
    apply3([x, gain, shift], LayerNorm { epsilon })
}

struct LayerNorm {
    epsilon: f32,
}

/// Mean and 1/√(variance + ε) of a row.
#[expect(clippy::cast_precision_loss, reason = "widths are below 2²⁴")]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = x.iter().sum::<f32>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
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

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _shift: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let backward = Backward {
            epsilon: self.epsilon,
        };
        let of_x = x.apply_op3_no_bwd(gain, &gradient, &backward)?;
        let backward = WeightsBackward {
            epsilon: self.epsilon,
        };
        let of_gain = x.apply_op3_no_bwd(gain, &gradient, &backward)?;
        Ok((Some(of_x), Some(of_gain), Some(column_sums(&gradient)?)))
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
        let mut of_x = Vec::with_capacity(layout.shape().elem_count());
        for (x, gradient) in rows.zip(values(gradient, gradient_layout)?.chunks_exact(width)) {
            let (mean, inverse) = moments(x, self.epsilon);
            let (mut sum, mut product) = (0.0, 0.0);
            for ((x, gradient), gain) in x.iter().zip(gradient).zip(gain) {
                sum += gradient * gain;
                product += gradient * gain * (x - mean) * inverse;
            }
            #[expect(clippy::cast_precision_loss, reason = "widths are below 2²⁴")]
            let count = width as f32;
            let (sum, product) = (sum / count, product / count);
            let terms = x.iter().zip(gradient).zip(gain);
            of_x.extend(terms.map(|((x, gradient), gain)| {
                inverse * (gradient * gain - sum - (x - mean) * inverse * product)
            }));
        }
        Ok((CpuStorage::F32(of_x), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        x_layout: &Layout,
        gain: &candle_core::CudaStorage,
        gain_layout: &Layout,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let operands = [
            (x, x_layout),
            (gain, gain_layout),
            (gradient, gradient_layout),
        ];
        super::cuda::layer_norm_backward(operands, self.epsilon)
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
        let mut of_gain = vec![0.0; width];
        for (x, gradient) in rows.zip(values(gradient, gradient_layout)?.chunks_exact(width)) {
            let (mean, inverse) = moments(x, self.epsilon);
            for ((sum, x), gradient) in of_gain.iter_mut().zip(x).zip(gradient) {
                *sum += gradient * (x - mean) * inverse;
            }
        }
        Ok((CpuStorage::F32(of_gain), gain_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        x_layout: &Layout,
        _gain: &candle_core::CudaStorage,
        _: &Layout,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let gradient = (gradient, gradient_layout);
        super::cuda::layer_norm_weights_backward((x, x_layout), gradient, self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, variable};
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let x = variable((4, 6), 4);
        let gain = variable((1, 6), 5);
        let shift = variable((1, 6), 6);
        check(&[x.clone(), gain.clone(), shift.clone()], || {
            layer_norm(&x, &gain.flatten_all()?, &shift.flatten_all()?, 1e-5)
        });
    }
}
