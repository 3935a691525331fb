//! Mean over the tokens of each sequence.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{Sequences, values};

/// `x` `[tokens, width]` → `[sequences, width]`.
///
/// # Errors
/// When `x` has another number of tokens than the sequences, or is not contiguous.
pub fn mean(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    if x.dim(0)? != sequences.tokens() {
        bail!("mean: {} tokens for {}", x.dim(0)?, sequences.tokens());
    }
    x.apply_op1_no_bwd(&Mean(sequences.clone()))
}

/// Gradient of `x`, where `gradient` is that of the result: every token gets its share.
///
/// # Errors
/// When the shape does not fit.
pub fn mean_backward(sequences: &Sequences, gradient: &Tensor) -> Result<Tensor> {
    gradient
        .contiguous()?
        .apply_op1_no_bwd(&Backward(sequences.clone()))
}

struct Mean(Sequences);

#[expect(clippy::cast_precision_loss, reason = "lengths are below 2²⁴")]
fn inverse(length: usize) -> f32 {
    (length as f32).recip()
}

impl CustomOp1 for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let x = values(x, layout)?;
        let mut means = vec![0.0; self.0.count() * width];
        let rows = means.chunks_exact_mut(width.max(1)).zip(self.0.lengths());
        for (mean, (start, length)) in rows {
            let tokens = &x[start * width..(start + length) * width];
            for token in tokens.chunks_exact(width) {
                for (sum, x) in mean.iter_mut().zip(token) {
                    *sum += x;
                }
            }
            mean.iter_mut().for_each(|sum| *sum *= inverse(length));
        }
        Ok((CpuStorage::F32(means), (self.0.count(), width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::mean(x, layout, &self.0)
    }
}

struct Backward(Sequences);

impl CustomOp1 for Backward {
    fn name(&self) -> &'static str {
        "mean-backward"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let gradient = values(gradient, layout)?.chunks_exact(width.max(1));
        let mut grad_x = Vec::with_capacity(self.0.tokens() * width);
        for (gradient, (_, length)) in gradient.zip(self.0.lengths()) {
            for _ in 0..length {
                grad_x.extend(gradient.iter().map(|g| g * inverse(length)));
            }
        }
        Ok((CpuStorage::F32(grad_x), (self.0.tokens(), width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        super::cuda::mean_backward(gradient, layout, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, values};
    use super::*;

    #[test]
    fn gradient_is_that_of_differences() {
        let sequences = Sequences::of_lengths([3, 1, 2]);
        check(
            [values(&[6, 4], 12)],
            |[x]| mean(x, &sequences),
            |_, gradient| Ok([mean_backward(&sequences, gradient)?]),
        );
    }
}
