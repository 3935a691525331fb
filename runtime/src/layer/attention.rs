//! The attention of a layer.
//!
//! Head by head: keys and values of all tokens, then the queries, eight at a time. Memory for the
//! keys and values of a head grows with the tokens, and so does that for its attention weights:
//! nothing is tokens × tokens.

mod context;
mod key_values;

use core::ops::Range;

use neuroprune_format::Limits;
use neuroprune_format::encoder::Attention;
use neuroprune_format::tensor::Matrix;

use super::residual::{Block, Residual};
use crate::kernels::{self, Feature, Lanes, Mixture, QUAD, project_tiles};
use crate::plan::{AttentionBuffers, part, part_mut};
use crate::quantizer::{LARGEST, Quantizer};
use context::{add_to_context, context_tiles};
pub(crate) use key_values::KeySource;
use key_values::{keys_and_values, rows_after_queries};

/// x ← LayerNorm(x + W_O·heads(x)).
#[inline(never)]
pub(crate) fn attention(
    layer: &Attention<'_>,
    source: KeySource,
    epsilon: f32,
    residual: &mut Residual<'_>,
    limits: &Limits,
    region: &mut [u8],
) {
    let (output, norm) = (layer.output(), layer.norm());
    let width = output.cols();
    let mut buffers = AttentionBuffers::split(region, limits, residual.tokens());
    buffers.context_largest.as_flattened_mut().fill(0.0);
    let mut packed = None;
    let mut first = 0;
    for head in layer.heads() {
        if head.value_rows() == 0 {
            // It adds nothing to the context.
            continue;
        }
        // First to last for keys and values, last to first for queries: where the direction
        // changes, the block is packed already.
        match source {
            KeySource::OwnTokens => {
                let rows = rows_after_queries(&head);
                for block in residual.blocks() {
                    pack(residual, block, &mut packed, buffers.features);
                    keys_and_values(&head, &rows, residual, block, &mut buffers);
                }
            }
        }
        for block in residual.blocks().rev() {
            pack(residual, block, &mut packed, buffers.features);
            let columns = first..first + head.value_rows();
            attend(&head, residual, block, width, &columns, &mut buffers);
        }
        first += head.value_rows();
    }
    for block in residual.blocks() {
        let tiles = context_tiles(
            residual,
            block,
            buffers.context,
            width,
            buffers.context_largest,
            buffers.features,
        );
        let tiles = part(&tiles, 0, block.len());
        let hidden = limits.hidden;
        let updates = part_mut(buffers.projected, 0, tiles.len() * hidden);
        project_tiles(&output.iter(), tiles, updates);
        residual.add_and_normalize(block, updates, epsilon, norm);
    }
}

/// Packs a block of the residual stream into `features`, unless it is already there.
fn pack(
    residual: &Residual<'_>,
    block: Block,
    packed: &mut Option<usize>,
    features: &mut [Feature],
) {
    if *packed != Some(block.first) {
        residual.pack(block, features);
        *packed = Some(block.first);
    }
}

/// Softmax(q·kᵀ)·v of one head for the queries of a block, into the head's columns of the
/// context, `[tiles, width]`.
fn attend(
    head: &Matrix<'_>,
    residual: &Residual<'_>,
    block: Block,
    width: usize,
    columns: &Range<usize>,
    buffers: &mut AttentionBuffers<'_>,
) {
    let rows = head.query_rows();
    let tiles = residual.block(block, buffers.features);
    let projected = part_mut(buffers.projected, 0, block.len() * rows);
    project_tiles(&head.iter(), part(&tiles, 0, block.len()), projected);
    let after = block.len() * rows;
    for (place, tile) in block.tiles() {
        attend_tile(head, residual, tile, place * rows, after, buffers);
        add_to_context(residual, tile, width, columns.clone(), after, buffers);
    }
}

/// Softmax(q·kᵀ)·v of one head for the queries of one tile, read from `projected` at `at`, written
/// to `projected` at `to`.
///
/// 1/√d_head is part of the query weights. Each attention weight absorbs its value's
/// scale, then the weights are quantised to 13 bits.
#[inline(never)]
fn attend_tile(
    head: &Matrix<'_>,
    residual: &Residual<'_>,
    tile: usize,
    at: usize,
    to: usize,
    buffers: &mut AttentionBuffers<'_>,
) {
    let (query_rows, value_rows) = (head.query_rows(), head.value_rows());
    let (all, tokens) = (buffers.key_values.tokens, residual.tokens_of(tile));
    let projected = part(buffers.projected, at, query_rows);
    let queries = Quantizer::of(projected, LARGEST, tokens).tile(
        projected,
        tokens,
        part_mut(buffers.head_features, 0, query_rows),
    );
    let keys = part(buffers.key_values.keys, 0, all * query_rows);
    let scores = part_mut(buffers.scores, 0, all);
    kernels::dense(keys, query_rows, &queries, bytemuck::cast_slice_mut(scores));
    let scales = kernels::softmax(
        scores,
        &queries.scales,
        tokens,
        buffers.key_values.key_scales,
        buffers.key_values.value_scales,
    );

    let quads = all.div_ceil(QUAD);
    let mixture = quantize_mixture(buffers.scores, all, &scales.inverses);
    let sums = part_mut(buffers.projected, to, value_rows);
    let values = part(buffers.key_values.values, 0, quads * value_rows);
    kernels::mix(mixture, values, tokens, bytemuck::cast_slice_mut(sums));
    kernels::rescale(sums, &scales.sum_scales, tokens);
}

/// Attention weights as integers, in place: half the bytes. `scores` has room for whole
/// quads of tokens.
#[inline(never)]
fn quantize_mixture<'s>(
    scores: &'s mut [Lanes<f32>],
    tokens: usize,
    inverses: &Lanes<f32>,
) -> &'s [Mixture] {
    let quads = tokens.div_ceil(QUAD);
    let missing = part_mut(scores, tokens, quads * QUAD - tokens);
    missing.as_flattened_mut().fill(0.0);
    for quad in 0..quads {
        let (quads_of_scores, _) = scores.as_chunks::<QUAD>();
        let weights = match quads_of_scores.get(quad) {
            Some(scores) => kernels::mixture(scores, inverses),
            None => Mixture::default(),
        };
        let (pairs, _) = scores.as_chunks_mut::<2>();
        if let Some(pair) = pairs.get_mut(quad) {
            *pair = bytemuck::must_cast(weights);
        }
    }
    bytemuck::cast_slice(part(scores, 0, quads * 2))
}
