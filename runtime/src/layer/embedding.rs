//! Token ids to the residual stream.

use neuroprune_format::Limits;
use neuroprune_format::encoder::Encoder;

use super::residual::Residual;
use crate::kernels::{LANES, Lanes};
use crate::plan::EmbedBuffers;

/// x ← LayerNorm(token + position + segment embedding), for the ids that are in `region` as
/// [`EmbedBuffers`] lays them out. The first `first_segment` tokens belong to segment 0.
#[inline(never)]
pub(crate) fn embed(
    encoder: &Encoder<'_>,
    first_segment: usize,
    residual: &mut Residual<'_>,
    limits: &Limits,
    region: &mut [u8],
) {
    let (token, position) = (encoder.token_embedding(), encoder.position_embedding());
    let segment = encoder.segment_embedding();
    let (norm, epsilon) = (encoder.embedding_norm(), encoder.stack().norm_epsilon);
    let EmbedBuffers { sum, ids } = EmbedBuffers::split(region, limits, residual.tokens());
    for (tile, ids) in ids.chunks(LANES).enumerate() {
        if ids.len() < LANES {
            sum.as_flattened_mut().fill(0.0);
        }
        for (lane, &id) in ids.iter().enumerate() {
            let place = tile * LANES + lane;
            set_row(sum, lane, token.row(usize::from(id)), position.row(place));
            if let Some(segment) = &segment {
                add_row(sum, lane, segment.row(usize::from(place >= first_segment)));
            }
        }
        residual.set_normalized(tile, sum, epsilon, norm);
    }
}

/// Scale and bytes of one row of a table.
type TableRow<'a> = (f32, &'a [u8]);

/// The sum of two rows.
#[inline(never)]
fn set_row(sum: &mut [Lanes<f32>], lane: usize, one: TableRow<'_>, other: TableRow<'_>) {
    let value = |scale: f32, weight: u8| f32::from(weight.cast_signed()) * scale;
    for ((x, &a), &b) in sum.iter_mut().zip(one.1).zip(other.1) {
        if let Some(x) = x.get_mut(lane) {
            *x = value(one.0, a) + value(other.0, b);
        }
    }
}

#[inline(never)]
fn add_row(sum: &mut [Lanes<f32>], lane: usize, (scale, weights): TableRow<'_>) {
    for (x, &weight) in sum.iter_mut().zip(weights) {
        if let Some(x) = x.get_mut(lane) {
            *x += f32::from(weight.cast_signed()) * scale;
        }
    }
}
