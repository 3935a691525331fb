//! Reduces the residual stream to one vector.

use neuroprune_format::architecture::Pooling;

use super::residual::Residual;
use crate::kernels::Lanes;
use crate::math;

/// One vector for the sequence, `[hidden]`, in the first lane.
#[inline(never)]
pub(crate) fn pool(pooling: Pooling, residual: &Residual<'_>, pooled: &mut [Lanes<f32>]) {
    pooled.as_flattened_mut().fill(0.0);
    match pooling {
        Pooling::Cls => residual.add_to(0, pooled),
        Pooling::Mean => mean(residual, pooled),
    }
}

/// Summed over the tiles lane by lane, then over the lanes; lanes without a token are zero.
fn mean(residual: &Residual<'_>, pooled: &mut [Lanes<f32>]) {
    for tile in residual.tiles() {
        residual.add_to(tile, pooled);
    }
    let count = math::count(residual.tokens());
    for lanes in pooled {
        let sum = lanes.iter().fold(0.0, |sum, x| sum + x);
        if let Some(first) = lanes.first_mut() {
            *first = sum / count;
        }
    }
}
