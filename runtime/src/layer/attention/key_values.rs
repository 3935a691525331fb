//! What attention reads: the keys and values of one head.

use neuroprune_format::tensor::{Matrix, Rows};

use crate::kernels::{self, LANES, Lanes, QUAD, lanes, project_tiles};
use crate::layer::residual::{Block, Residual};
use crate::plan::{AttentionBuffers, part, part_mut};
use crate::quantizer::{LARGEST, Quantizer};

/// Where the keys and values of a layer come from.
///
/// Every source leaves them in [`KeyValues`](crate::plan::buffers::KeyValues), which is all that the
/// arithmetic of attention reads. Earlier tokens from a cache, or the tokens of an encoder, would
/// be variants here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeySource {
    /// The tokens of the queries: self-attention, each token over all.
    OwnTokens,
}

/// Rows of W_K and W_V of one head; those of W_Q come before them.
pub(super) fn rows_after_queries<'a>(head: &Matrix<'a>) -> Rows<'a> {
    let mut rows = head.iter();
    rows.skip_rows(head.query_rows());
    rows
}

/// Computes keys and values of one head, from their rows, for a block of tiles, quantised with one
/// scale per token each.
///
/// Keys are stored token by token, values as the mixing reads them.
pub(super) fn keys_and_values(
    head: &Matrix<'_>,
    rows: &Rows<'_>,
    residual: &Residual<'_>,
    block: Block,
    buffers: &mut AttentionBuffers<'_>,
) {
    let count = head.query_rows() + head.value_rows();
    let tiles = residual.block(block, buffers.features);
    let projected = part_mut(buffers.projected, 0, block.len() * count);
    project_tiles(rows, part(&tiles, 0, block.len()), projected);
    for (place, tile) in block.tiles() {
        store_keys_and_values(head, residual, tile, place * count, buffers);
    }
}

/// Keys and values of one tile, which are in `projected` from `at` onwards.
#[inline(never)]
fn store_keys_and_values(
    head: &Matrix<'_>,
    residual: &Residual<'_>,
    tile: usize,
    at: usize,
    buffers: &mut AttentionBuffers<'_>,
) {
    let (query_rows, value_rows) = (head.query_rows(), head.value_rows());
    let tokens = residual.tokens_of(tile);
    let projected = part(buffers.projected, at, query_rows + value_rows);
    let (keys, values) = projected.split_at_checked(query_rows).unwrap_or_default();

    let bytes: &mut [Lanes<i8>] = bytemuck::cast_slice_mut(buffers.head_features);
    let quantizer = Quantizer::of(keys, LARGEST, tokens);
    set(
        buffers.key_values.key_scales,
        tile * LANES,
        &quantizer.scales,
    );
    let key_bytes = part_mut(bytes, 0, query_rows);
    quantizer.bytes(keys, tokens, key_bytes);
    for lane in 0..tokens {
        let start = (tile * LANES + lane) * query_rows;
        let row = part_mut(buffers.key_values.keys, start, query_rows);
        for (key, byte) in row.iter_mut().zip(lanes::lane(key_bytes, lane)) {
            *key = byte.cast_unsigned();
        }
    }
    let quantizer = Quantizer::of(values, LARGEST, tokens);
    set(
        buffers.key_values.value_scales,
        tile * LANES,
        &quantizer.scales,
    );
    let value_bytes = part_mut(bytes, 0, value_rows);
    quantizer.bytes(values, tokens, value_bytes);
    for half in 0..tokens.div_ceil(QUAD) {
        let start = (tile * LANES / QUAD + half) * value_rows;
        let quad = part_mut(buffers.key_values.values, start, value_rows);
        for (word, bytes) in quad.iter_mut().zip(value_bytes.iter()) {
            *word = kernels::value_word(bytes.as_chunks().0.get(half).copied());
        }
    }
}

/// Copies lanes to `values` from `start` onwards, as many as there is room for.
fn set(values: &mut [f32], start: usize, lanes: &Lanes<f32>) {
    let after = values.get_mut(start..).unwrap_or(&mut []);
    for (value, lane) in after.iter_mut().zip(lanes) {
        *value = *lane;
    }
}
