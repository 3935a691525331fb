//! Normalisation of the vector of each token.

use neuroprune_format::tensor::Norm;

use crate::kernels::{self, Lanes};
use crate::math;

/// LayerNorm (Ba et al. 2016) of `tokens` tokens, `[features]`:
/// x ← (x − mean)/√(variance + ε)·gain + shift.
#[inline]
pub(crate) fn layer_norm(values: &mut [Lanes<f32>], tokens: usize, epsilon: f32, norm: Norm<'_>) {
    let count = math::count(values.len());
    let mut mean = kernels::sum(values, tokens);
    for mean in mean.iter_mut().take(tokens) {
        *mean /= count;
    }
    let mut inverse = kernels::sum_of_squares(values, &mean, tokens);
    for inverse in inverse.iter_mut().take(tokens) {
        *inverse = math::inverse_square_root(*inverse / count + epsilon);
    }
    kernels::normalize(values, &mean, &inverse, norm, tokens);
}
