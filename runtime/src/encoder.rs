//! The forward pass, in one page.
//!
//! Post-LayerNorm encoder (Vaswani et al. 2017; Devlin et al. 2019), eight tokens at a
//! time. The residual stream is in 16 bits ([`Residual`]), what a product reads in 8, both
//! with one scale a token; a product is Σ w·x in `i32`, then · (row scale · token scale),
//! then + bias. What the keys and values of a head take grows with the tokens, what its
//! attention weights take does too: there is no tokens × tokens anywhere.

use core::array;
use core::ops::Range;

use neuroprune_format::architecture::{Activation, Head, Pooling};
use neuroprune_format::encoder::{Encoder, Layer};
use neuroprune_format::tensor::{Matrix, Rows};
use neuroprune_format::{Model, Network};

use crate::kernels::lanes::{self, grain_of};
use crate::kernels::{
    self, Feature, LANES, Lanes, Mixture, QUAD, TILES, Tile, project, project_tiles,
};
use crate::math;
use crate::plan::{AttentionBuffers, EmbedBuffers, MlpBuffers, PoolBuffers, part, part_mut};
use crate::quantizer::{LARGEST, Quantizer};
use crate::residual::{Block, Residual};
use crate::trace::{Stage, Trace, Values};

/// Sums of token, position and segment embeddings, normalised.
#[inline(never)]
pub(crate) fn embed(
    model: &Model<'_>,
    first_segment: usize,
    residual: &mut Residual<'_>,
    EmbedBuffers { sum, ids }: EmbedBuffers<'_>,
    trace: &mut impl Trace,
) {
    let embeddings = encoder_of(model).embeddings();
    let epsilon = encoder_of(model).stack().norm_epsilon;
    let ids = part(ids, 0, residual.tokens());
    for (tile, ids) in ids.chunks(LANES).enumerate() {
        if ids.len() < LANES {
            sum.as_flattened_mut().fill(0.0);
        }
        for (lane, &id) in ids.iter().enumerate() {
            let position = tile * LANES + lane;
            let token = embeddings.token.row(usize::from(id));
            set_row(sum, lane, token, embeddings.position.row(position));
            if let Some(segment) = embeddings.segment {
                let row = segment.row(usize::from(position >= first_segment));
                add_row(sum, lane, row);
            }
        }
        residual.normalize(tile, sum, epsilon, embeddings.norm);
    }
    trace.stage(Stage::Embeddings, Values::of(residual));
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

/// Layers, pooling, classifier. `logits` is `[labels]`.
pub(crate) fn forward(
    model: &Model<'_>,
    residual: &mut Residual<'_>,
    region: &mut [u8],
    logits: &mut [f32],
    trace: &mut impl Trace,
) {
    for (index, layer) in (0..u16::MAX).zip(encoder_of(model).layers()) {
        attention(model, &layer, residual, region);
        trace.stage(Stage::Attention(index), Values::of(residual));
        mlp(model, &layer, residual, region);
        trace.stage(Stage::Mlp(index), Values::of(residual));
    }
    let PoolBuffers {
        pooled,
        scores,
        features,
    } = PoolBuffers::split(region, model.limits());
    pool(model, residual, pooled);
    trace.stage(Stage::Pooled, Values::pooled(pooled));
    let tile = Quantizer::of(pooled, LARGEST, 1).tile(pooled, 1, features);
    project(&encoder_of(model).classifier().iter(), &tile, scores);
    for (logit, score) in logits.iter_mut().zip(lanes::lane(scores, 0)) {
        *logit = *score;
    }
}

/// One vector for the sequence, `[width]`, in the first lane. The mean is summed over the
/// tiles lane by lane, then over the lanes.
#[inline(never)]
fn pool(model: &Model<'_>, residual: &Residual<'_>, pooled: &mut [Lanes<f32>]) {
    pooled.as_flattened_mut().fill(0.0);
    match encoder_of(model).head() {
        Head::Classes(Pooling::Cls) => return residual.add_to(0, pooled),
        Head::Classes(Pooling::Mean) => {
            residual
                .tiles()
                .for_each(|tile| residual.add_to(tile, pooled));
        }
    }
    let count = math::count(residual.tokens());
    for lanes in pooled {
        let sum = lanes.iter().fold(0.0, |sum, x| sum + x);
        if let Some(first) = lanes.first_mut() {
            *first = sum / count;
        }
    }
}

/// x ← LayerNorm(x + W_O·heads(x)).
#[inline(never)]
fn attention(model: &Model<'_>, layer: &Layer<'_>, residual: &mut Residual<'_>, region: &mut [u8]) {
    let epsilon = encoder_of(model).stack().norm_epsilon;
    let (output, norm) = (layer.attention_output(), layer.attention_norm());
    let width = output.cols();
    let mut buffers = AttentionBuffers::split(region, model.limits(), residual.tokens());
    buffers.context_largest.as_flattened_mut().fill(0.0);
    let mut packed = None;
    let mut first = 0;
    for head in layer.heads() {
        // Forth for keys and values, back for queries: where the direction changes, the
        // block is packed already.
        let rows = rows_behind_queries(&head);
        for block in residual.blocks() {
            pack(residual, block, &mut packed, buffers.features);
            keys_and_values(&head, &rows, residual, block, &mut buffers);
        }
        for block in residual.blocks().rev() {
            pack(residual, block, &mut packed, buffers.features);
            let columns = first..first + head.value_rows();
            attend(&head, residual, block, width, &columns, &mut buffers);
        }
        first += head.value_rows();
    }
    for block in residual.blocks() {
        let mut features = &mut *buffers.features;
        let tiles: [Tile<'_, Feature>; TILES] = array::from_fn(|number| {
            let tile = block.first + number;
            let tokens = residual.tokens_of(tile);
            let largest = buffers.context_largest.get(tile).copied();
            let largest = largest.unwrap_or_default().map(f32::to_bits);
            let context = part(buffers.context, tile * width, width);
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
        });
        let tiles = part(&tiles, 0, block.len());
        let hidden = model.limits().hidden;
        let updates = part_mut(buffers.projected, 0, tiles.len() * hidden);
        project_tiles(&output.iter(), tiles, updates);
        residual.add_and_normalize(block, updates, epsilon, norm);
    }
}

/// Brings a block of the residual stream into `features`, unless it is there.
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

/// Rows of W_K and W_V of one head; those of W_Q come before them.
fn rows_behind_queries<'a>(head: &Matrix<'a>) -> Rows<'a> {
    let mut rows = head.iter();
    rows.skip_rows(head.query_rows());
    rows
}

/// Keys and values of one head, of their rows, for a block of tiles, quantised with one scale
/// a token each.
///
/// Keys lie token by token, values as the mixing reads them.
fn keys_and_values(
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

/// Keys and values of one tile, which lie in `projected` from `at` on.
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
    set(buffers.key_scales, tile * LANES, &quantizer.scales);
    let of_keys = part_mut(bytes, 0, query_rows);
    quantizer.bytes(keys, tokens, of_keys);
    for lane in 0..tokens {
        let start = (tile * LANES + lane) * query_rows;
        let row = part_mut(buffers.keys, start, query_rows);
        for (key, byte) in row.iter_mut().zip(lanes::lane(of_keys, lane)) {
            *key = byte.cast_unsigned();
        }
    }
    let quantizer = Quantizer::of(values, LARGEST, tokens);
    set(buffers.value_scales, tile * LANES, &quantizer.scales);
    let of_values = part_mut(bytes, 0, value_rows);
    quantizer.bytes(values, tokens, of_values);
    for half in 0..tokens.div_ceil(QUAD) {
        let start = (tile * LANES / QUAD + half) * value_rows;
        let quad = part_mut(buffers.values, start, value_rows);
        for (word, bytes) in quad.iter_mut().zip(of_values.iter()) {
            *word = kernels::value_word(bytes.as_chunks().0.get(half).copied());
        }
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
    let behind = block.len() * rows;
    for (place, tile) in block.tiles() {
        attend_tile(head, residual, tile, place * rows, behind, buffers);
        add_to_context(residual, tile, width, columns.clone(), behind, buffers);
    }
}

/// Softmax(q·kᵀ)·v of one head for the queries of one tile, which lie in `projected` from
/// `at` on, into `projected` from `to` on.
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
    let (all, tokens) = (residual.tokens(), residual.tokens_of(tile));
    let projected = part(buffers.projected, at, query_rows);
    let queries = Quantizer::of(projected, LARGEST, tokens).tile(
        projected,
        tokens,
        part_mut(buffers.head_features, 0, query_rows),
    );
    let keys = part(buffers.keys, 0, all * query_rows);
    let scores = part_mut(buffers.scores, 0, all);
    kernels::dense(keys, query_rows, &queries, bytemuck::cast_slice_mut(scores));
    let scales = kernels::softmax(
        scores,
        &queries.scales,
        tokens,
        buffers.key_scales,
        buffers.value_scales,
    );

    let quads = all.div_ceil(QUAD);
    let mixture = quantize_mixture(buffers.scores, all, &scales.inverses);
    let sums = part_mut(buffers.projected, to, value_rows);
    let values = part(buffers.values, 0, quads * value_rows);
    kernels::mix(mixture, values, tokens, bytemuck::cast_slice_mut(sums));
    kernels::rescale(sums, &scales.of_sums, tokens);
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
    let behind = part_mut(scores, tokens, quads * QUAD - tokens);
    behind.as_flattened_mut().fill(0.0);
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

/// What one head read for one tile, from `projected` at `at` into its columns of the context:
/// int8 with one scale a token for all heads. Where a head's values are larger than those
/// before it, the latter are rounded again to the larger scale.
#[inline(never)]
fn add_to_context(
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

/// x ← LayerNorm(x + L_out·activation(L_in·x)), one block of tiles after the other.
#[inline(never)]
fn mlp(model: &Model<'_>, layer: &Layer<'_>, residual: &mut Residual<'_>, region: &mut [u8]) {
    let settings = encoder_of(model).stack();
    let MlpBuffers {
        projected,
        features,
        neuron_features,
    } = MlpBuffers::split(region, model.limits(), residual.tokens());
    let (input, output, norm) = (layer.mlp_input(), layer.mlp_output(), layer.mlp_norm());
    let (hidden, rows) = (model.limits().hidden, input.rows());
    for block in residual.blocks() {
        residual.pack(block, features);
        let tiles = residual.block(block, features);
        let mut neurons = part_mut(projected, 0, block.len() * rows);
        project_tiles(&input.iter(), part(&tiles, 0, block.len()), neurons);
        let mut features = part_mut(neuron_features, 0, neurons.len());
        let tiles: [Tile<'_, Feature>; TILES] = array::from_fn(|number| {
            let tokens = residual.tokens_of(block.first + number);
            let of_tile = neurons.split_off_mut(..rows).unwrap_or_default();
            match settings.activation {
                Activation::Gelu => kernels::gelu(of_tile, tokens),
                Activation::Relu => kernels::rectify(of_tile, tokens),
            }
            let features = features.split_off_mut(..rows).unwrap_or_default();
            Quantizer::of(of_tile, LARGEST, tokens).tile(of_tile, tokens, features)
        });
        let tiles = part(&tiles, 0, block.len());
        let updates = part_mut(projected, 0, tiles.len() * hidden);
        project_tiles(&output.iter(), tiles, updates);
        residual.add_and_normalize(block, updates, settings.norm_epsilon, norm);
    }
}

/// Copies lanes to `values` from `start` on, as many as there is room for.
fn set(values: &mut [f32], start: usize, lanes: &Lanes<f32>) {
    let behind = values.get_mut(start..).unwrap_or(&mut []);
    for (value, lane) in behind.iter_mut().zip(lanes) {
        *value = *lane;
    }
}

fn encoder_of<'m>(model: &Model<'m>) -> Encoder<'m> {
    let Network::Encoder(encoder) = model.network();
    encoder
}
