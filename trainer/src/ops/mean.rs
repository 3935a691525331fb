//! Mean over the tokens of each sequence.

use candle_core::{Result, Tensor, bail};

use super::{Sequences, on_cpu};
use crate::numbers::{real, single};

/// `x` `[tokens, width]` → `[sequences, width]`.
///
/// # Errors
/// When `x` has another number of tokens than the sequences, or is not contiguous.
pub(crate) fn mean(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let (tokens, width) = x.dims2()?;
    if tokens != sequences.tokens() {
        bail!("mean: {tokens} tokens for {}", sequences.tokens());
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return super::cuda::mean(x, sequences);
    }
    on_cpu([x], (sequences.count(), width), |[x]| {
        let mut means = vec![0.0; sequences.count() * width];
        let rows = means.chunks_exact_mut(width.max(1));
        for (mean, (start, length)) in rows.zip(sequences.lengths()) {
            let tokens = &x[start * width..(start + length) * width];
            for token in tokens.chunks_exact(width) {
                for (sum, x) in mean.iter_mut().zip(token) {
                    *sum += x;
                }
            }
            mean.iter_mut().for_each(|sum| *sum *= inverse(length));
        }
        means
    })
}

/// Gradient of `x`, where `gradient` is that of the result: every token gets its share.
pub(crate) fn mean_backward(sequences: &Sequences, gradient: &Tensor) -> Result<Tensor> {
    let gradient = gradient.contiguous()?;
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return super::cuda::mean_backward(&gradient, sequences);
    }
    let (_, width) = gradient.dims2()?;
    let shape = (sequences.tokens(), width);
    on_cpu([&gradient], shape, |[gradient]| {
        let mut grad_x = Vec::with_capacity(sequences.tokens() * width);
        let rows = gradient.chunks_exact(width.max(1));
        for (gradient, (_, length)) in rows.zip(sequences.lengths()) {
            for _ in 0..length {
                grad_x.extend(gradient.iter().map(|g| g * inverse(length)));
            }
        }
        grad_x
    })
}

fn inverse(length: usize) -> f32 {
    single(real(length)).recip()
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
