//! The context: what the heads read, side by side, as int8 with one scale per token.

use core::array;
use core::ops::Range;

use crate::kernels::lanes::{self, grain_of};
use crate::kernels::{self, Feature, Lanes, TILES, Tile};
use crate::layer::residual::{Block, Residual};
use crate::math;
use crate::plan::{AttentionBuffers, part, part_mut};
use crate::quantizer::{LARGEST, Quantizer};

/// The context of a block of tiles, in `features`, as W_O reads it. `context` is `[tiles, width]`,
/// `largest` holds the largest magnitude of each token's context.
#[inline]
pub(super) fn context_tiles<'f>(
    residual: &Residual<'_>,
    block: Block,
    context: &[Lanes<i8>],
    width: usize,
    largest: &[Lanes<f32>],
    mut features: &'f mut [Feature],
) -> [Tile<'f, Feature>; TILES] {
    array::from_fn(|number| {
        let tile = block.first + number;
        let tokens = residual.tokens_of(tile);
        let largest = largest.get(tile).copied();
        let largest = largest.unwrap_or_default().map(f32::to_bits);
        let context = part(context, tile * width, width);
        let features = features.split_off_mut(..width).unwrap_or_default();
        for (feature, bytes) in features.iter_mut().zip(context) {
            for grain in lanes::grains(tokens) {
                kernels::set_grain(feature, grain, grain_of(bytes, grain));
            }
        }
        Tile {
            features,
            scales: Quantizer::new(&largest, LARGEST, tokens).scales,
            tokens,
        }
    })
}

/// Moves what one head read for one tile from `projected` at `at` into its columns of the context:
/// int8 with one scale per token for all heads. If a head's values are larger than those of the
/// heads before it, the latter are rounded again to the larger scale.
#[inline(never)]
pub(super) fn add_to_context(
    residual: &Residual<'_>,
    tile: usize,
    width: usize,
    columns: Range<usize>,
    at: usize,
    buffers: &mut AttentionBuffers<'_>,
) {
    let tokens = residual.tokens_of(tile);
    let values = part(buffers.projected, at, columns.len());
    let context = part_mut(buffers.context, tile * width, width);
    let (before, context) = context
        .split_at_mut_checked(columns.start)
        .unwrap_or_default();
    let Some(largest) = buffers.context_largest.get_mut(tile) else {
        return;
    };
    let new = kernels::largest(values, tokens);
    for lane in 0..tokens {
        let (Some(largest), Some(&new)) = (largest.get_mut(lane), new.get(lane)) else {
            break;
        };
        let new = f32::from_bits(new);
        if new > *largest {
            round_again(before, lane, *largest / new);
            *largest = new;
        }
    }
    Quantizer::new(&largest.map(f32::to_bits), LARGEST, tokens).bytes(values, tokens, context);
}

#[inline(never)]
fn round_again(context: &mut [Lanes<i8>], lane: usize, factor: f32) {
    for byte in context.iter_mut().filter_map(|bytes| bytes.get_mut(lane)) {
        *byte = math::nearest_byte(f32::from(*byte) * factor);
    }
}
