//! The forward pass, in one page.
//!
//! Post-LayerNorm encoder (Vaswani et al. 2017; Devlin et al. 2019). The residual
//! stream is `f32`, `[tokens, d]`. Before each product it is quantised to int8 with
//! one scale a token; a product is Σ w·x in `i32`, then · (row scale · token scale),
//! then + bias.

use neuroprune_format::Model;
use neuroprune_format::encoder::Layer;
use neuroprune_format::manifest::{Activation, Pooling};
use neuroprune_format::tensor::{Matrix, Norm};

use crate::kernels::{self, Feature, LANES, Lanes, MIXED};
use crate::math;
use crate::plan::{self, AttentionBuffers, MlpBuffers, PoolBuffers};
use crate::trace::{Stage, Trace};

/// Largest magnitude of a quantised activation.
const LARGEST: f32 = 127.0;
/// Largest attention weight; `kernels::mix` states how many tokens it allows.
const LARGEST_MIXTURE: f32 = 8191.0;

/// Sums of token, position and segment embeddings, normalised: `[tokens, d]`.
pub(crate) fn embed<'s>(
    model: &Model<'_>,
    ids: &[u16],
    first_segment: usize,
    hidden: &'s mut [f32],
    trace: &mut impl Trace,
) -> &'s mut [f32] {
    let width = model.limits().hidden;
    let embeddings = model.encoder().embeddings();
    let epsilon = model.encoder().settings().norm_epsilon;
    let hidden = hidden.get_mut(..ids.len() * width).unwrap_or(&mut []);
    for ((position, &id), x) in ids.iter().enumerate().zip(hidden.chunks_exact_mut(width)) {
        x.fill(0.0);
        add_row(x, embeddings.token.row(usize::from(id)));
        add_row(x, embeddings.position.row(position));
        if let Some(segment) = embeddings.segment {
            add_row(x, segment.row(usize::from(position >= first_segment)));
        }
        math::layer_norm(x, epsilon, embeddings.norm.iter());
    }
    trace.stage(Stage::Embeddings, hidden);
    hidden
}

fn add_row(x: &mut [f32], (scale, weights): (f32, &[u8])) {
    for (x, &weight) in x.iter_mut().zip(weights) {
        *x += f32::from(weight.cast_signed()) * scale;
    }
}

/// Layers, pooling, classifier. `hidden` is `[tokens, d]`, `logits` `[labels]`.
pub(crate) fn forward(
    model: &Model<'_>,
    tokens: usize,
    hidden: &mut [f32],
    region: &mut [u8],
    logits: &mut [f32],
    trace: &mut impl Trace,
) {
    for (index, layer) in (0..=u16::MAX).zip(model.layers()) {
        attention(model, &layer, tokens, hidden, region);
        trace.stage(Stage::Attention(index), hidden);
        mlp(model, &layer, hidden, region);
        trace.stage(Stage::Mlp(index), hidden);
    }
    let width = model.limits().hidden;
    let PoolBuffers { pooled, tile } = PoolBuffers::split(region, model.limits());
    match model.encoder().settings().pooling {
        Pooling::Cls => {
            for (pooled, &x) in pooled.iter_mut().zip(hidden.iter()) {
                *pooled = x;
            }
        }
        // A kind of pooling this version knows, or `Model::open` had refused it.
        _ => {
            pooled.fill(0.0);
            for x in hidden.chunks_exact(width) {
                for (pooled, &x) in pooled.iter_mut().zip(x) {
                    *pooled += x;
                }
            }
            let count = math::count(tokens);
            for pooled in pooled.iter_mut() {
                *pooled /= count;
            }
        }
    }
    trace.stage(Stage::Pooled, pooled);
    let scales = quantize_tokens(pooled, width, tile);
    kernels::multiply(&model.encoder().classifier(), tile, |row, weights, sums| {
        let (scale, sum) = (lane(&scales, 0), lane(&sums, 0));
        if let Some(logit) = logits.get_mut(row) {
            *logit = float(sum) * (weights.scale * scale) + weights.bias;
        }
    });
}

/// x ← LayerNorm(x + W_O·heads(x)).
fn attention(
    model: &Model<'_>,
    layer: &Layer<'_>,
    tokens: usize,
    hidden: &mut [f32],
    region: &mut [u8],
) {
    let width = model.limits().hidden;
    let mut buffers = AttentionBuffers::split(region, model.limits(), tokens);
    let context_width = layer.attention_output.cols();

    // The residual stream as tiles, kept for all heads.
    let tiles = buffers.tiles.chunks_exact_mut(width);
    let tile_scales = buffers.tile_scales.chunks_mut(LANES);
    for ((x, tile), kept) in hidden.chunks(LANES * width).zip(tiles).zip(tile_scales) {
        let scales = quantize_tokens(x, width, tile);
        for (kept, scale) in kept.iter_mut().zip(scales) {
            *kept = scale;
        }
    }

    if let Some(last) = buffers.mixture.last_mut() {
        // Behind an odd number of tokens.
        *last = 0;
    }
    let mut first = 0;
    for head in layer.heads() {
        project_head(&head, width, &mut buffers);
        attend(&head, context_width, first, &mut buffers);
        first += head.value_rows();
    }

    let tile = part_mut(buffers.context_tile, 0, context_width);
    for (index, x) in hidden.chunks_mut(LANES * width).enumerate() {
        let start = index * LANES * context_width;
        let length = x.len() / width * context_width;
        let context = part(buffers.context, start, length);
        let scales = quantize_tokens(context, context_width, tile);
        project(&layer.attention_output, tile, &scales, buffers.projected);
        add_and_norm(model, x, buffers.projected, layer.attention_norm);
    }
}

/// Queries, keys and values of one head, quantised with one scale a token each.
///
/// Queries lie token by token; keys in tiles of eight tokens, as a product reads them;
/// values as a mixture of tokens reads them.
fn project_head(head: &Matrix<'_>, width: usize, buffers: &mut AttentionBuffers<'_>) {
    let (query_rows, value_rows) = (head.query_rows(), head.value_rows());
    let stride = plan::value_stride(value_rows);
    let tiles = buffers.tiles.chunks_exact(width);
    for (index, (tile, kept)) in tiles.zip(buffers.tile_scales.chunks(LANES)).enumerate() {
        let mut scales = [0.0; LANES];
        for (scale, &kept) in scales.iter_mut().zip(kept) {
            *scale = kept;
        }
        project(head, tile, &scales, buffers.projected);
        let rows = part(buffers.projected, 0, (2 * query_rows + value_rows) * LANES);
        let (queries, rest) = rows
            .split_at_checked(query_rows * LANES)
            .unwrap_or((&[], &[]));
        let (keys, values) = rest
            .split_at_checked(query_rows * LANES)
            .unwrap_or((&[], &[]));

        let key_tile = part_mut(buffers.keys, index * query_rows, query_rows);
        let scales = quantize_tile(keys, key_tile);
        set_all(buffers.key_scales, index * LANES, &scales);
        let (scales, inverses) = scales_of_tile(queries);
        set_all(buffers.query_scales, index * LANES, &scales);
        let (scales, value_inverses) = scales_of_tile(values);
        set_all(buffers.value_scales, index * LANES, &scales);
        for lane in 0..kept.len() {
            let token = index * LANES + lane;
            let query = part_mut(buffers.queries, token * query_rows, query_rows);
            let inverse = at(&inverses, lane);
            for (q, row) in query.iter_mut().zip(queries.chunks_exact(LANES)) {
                *q = math::nearest_byte(at(row, lane) * inverse).cast_unsigned();
            }
            let inverse = at(&value_inverses, lane);
            let words = part_mut(buffers.values, token / 2 * stride, stride);
            // Dimensions that only fill up are mixed too, and must not overflow.
            words.iter_mut().skip(value_rows).for_each(|word| *word = 0);
            for (word, row) in words.iter_mut().zip(values.chunks_exact(LANES)) {
                kernels::set_value(word, token, math::nearest_byte(at(row, lane) * inverse));
            }
        }
    }
}

/// Softmax(q·kᵀ)·v of one head into its columns of the context.
///
/// 1/√d_head is part of the query weights. Each attention weight absorbs its
/// value's scale, then the weights are quantised to 13 bits.
fn attend(
    head: &Matrix<'_>,
    context_width: usize,
    first: usize,
    buffers: &mut AttentionBuffers<'_>,
) {
    let (query_rows, value_rows) = (head.query_rows(), head.value_rows());
    let tokens = buffers.tile_scales.len();
    for token in 0..tokens {
        let query = part(buffers.queries, token * query_rows, query_rows);
        let query_scale = at(buffers.query_scales, token);
        let mut largest = f32::NEG_INFINITY;
        let scores = buffers.scores.chunks_mut(LANES);
        let key_scales = buffers.key_scales.chunks(LANES);
        for (index, (scores, key_scales)) in scores.zip(key_scales).enumerate() {
            let keys = part(buffers.keys, index * query_rows, query_rows);
            let sums = kernels::dense_row(query, keys);
            for ((score, &key_scale), sum) in scores.iter_mut().zip(key_scales).zip(sums) {
                *score = float(sum) * (query_scale * key_scale);
                largest = if *score > largest { *score } else { largest };
            }
        }
        let mut sum = 0.0;
        let mut largest_weight = 0.0_f32;
        for (score, &scale) in buffers.scores.iter_mut().zip(buffers.value_scales.iter()) {
            let weight = math::exponential(*score - largest);
            sum += weight;
            *score = weight * scale;
            largest_weight = if *score > largest_weight {
                *score
            } else {
                largest_weight
            };
        }
        let inverse = quotient_or_zero(LARGEST_MIXTURE, largest_weight);
        for (mixture, &weight) in buffers.mixture.iter_mut().zip(buffers.scores.iter()) {
            *mixture = narrow_i16(math::nearest(weight * inverse));
        }
        let scale = quotient_or_zero(largest_weight, LARGEST_MIXTURE * sum);
        let stride = plan::value_stride(value_rows);
        let context = part_mut(buffers.context, token * context_width + first, value_rows);
        for (index, context) in context.chunks_mut(MIXED).enumerate() {
            let sums = kernels::mix(buffers.mixture, buffers.values, stride, index * MIXED);
            for (context, sum) in context.iter_mut().zip(sums) {
                *context = float(sum) * scale;
            }
        }
    }
}

/// x ← LayerNorm(x + L_out·activation(L_in·x)), one tile after the other.
fn mlp(model: &Model<'_>, layer: &Layer<'_>, hidden: &mut [f32], region: &mut [u8]) {
    let width = model.limits().hidden;
    let activation = model.encoder().settings().activation;
    let MlpBuffers {
        projected,
        input_tile,
        neuron_tile,
    } = MlpBuffers::split(region, model.limits());
    let neurons = layer.mlp_input.rows();
    let neuron_tile = part_mut(neuron_tile, 0, neurons);
    for x in hidden.chunks_mut(LANES * width) {
        let scales = quantize_tokens(x, width, input_tile);
        project(&layer.mlp_input, input_tile, &scales, projected);
        let activations = part_mut(projected, 0, neurons * LANES);
        for value in activations.iter_mut() {
            *value = match activation {
                Activation::Gelu => math::gelu(*value),
                _ => math::rectify(*value),
            };
        }
        let scales = quantize_tile(activations, neuron_tile);
        project(&layer.mlp_output, neuron_tile, &scales, projected);
        add_and_norm(model, x, projected, layer.mlp_norm);
    }
}

/// Multiplies and scales back: `[rows, 8]` of `f32`.
#[inline(never)]
fn project(matrix: &Matrix<'_>, tile: &[Feature], scales: &Lanes<f32>, output: &mut [f32]) {
    kernels::multiply(matrix, tile, |row, weights, sums| {
        let output = part_mut(output, row * LANES, LANES);
        for ((y, sum), scale) in output.iter_mut().zip(sums).zip(scales) {
            *y = float(sum) * (weights.scale * scale) + weights.bias;
        }
    });
}

/// Adds `[d, 8]` to up to eight tokens of the residual stream and normalises each.
fn add_and_norm(model: &Model<'_>, x: &mut [f32], update: &[f32], norm: Norm<'_>) {
    let width = model.limits().hidden;
    let epsilon = model.encoder().settings().norm_epsilon;
    for (lane, x) in x.chunks_exact_mut(width).enumerate() {
        for (x, update) in x.iter_mut().zip(update.iter().skip(lane).step_by(LANES)) {
            *x += update;
        }
        math::layer_norm(x, epsilon, norm.iter());
    }
}

/// Quantises up to eight tokens, `[tokens, features]`; returns their scales. Lanes
/// without a token are zero, with scale zero.
///
/// Symmetric int8, x ≈ scale · q with |q| ≤ 127, never −128.
#[inline(never)]
fn quantize_tokens(x: &[f32], features: usize, tile: &mut [Feature]) -> Lanes<f32> {
    let mut scales = [0.0; LANES];
    let mut inverses = [0.0; LANES];
    let lanes = scales.iter_mut().zip(&mut inverses);
    // Heads may have no values left, and then there is no feature.
    for (x, (scale, inverse)) in x.chunks_exact(features.max(1)).zip(lanes) {
        let largest = x
            .iter()
            .fold(0, |largest, x| math::magnitude(*x).max(largest));
        (*scale, *inverse) = scale_and_inverse(largest);
    }
    for pair in 0..LANES / 2 {
        // A lane without a token reads the first one and makes zeros of it.
        let lane = |lane: usize| match part(x, lane * features, features) {
            [] => (part(x, 0, features), 0.0),
            x => (x, at(&inverses, lane)),
        };
        quantize_pair(tile, pair, lane(2 * pair), lane(2 * pair + 1));
    }
    scales
}

/// Two tokens, each with what it is multiplied by, into their lanes.
#[inline(never)]
fn quantize_pair(
    tile: &mut [Feature],
    pair: usize,
    (even, even_inverse): (&[f32], f32),
    (odd, odd_inverse): (&[f32], f32),
) {
    for ((feature, even), odd) in tile.iter_mut().zip(even).zip(odd) {
        let even = math::nearest_byte(even * even_inverse);
        let odd = math::nearest_byte(odd * odd_inverse);
        kernels::set_pair(feature, pair, even, odd);
    }
}

/// [`quantize_tokens`] of `[features, 8]`.
#[inline(never)]
fn quantize_tile(x: &[f32], tile: &mut [Feature]) -> Lanes<f32> {
    let (scales, inverses) = scales_of_tile(x);
    for (feature, x) in tile.iter_mut().zip(x.chunks_exact(LANES)) {
        let lanes = x.chunks_exact(2).zip(inverses.chunks_exact(2));
        for (pair, (x, inverse)) in lanes.enumerate() {
            if let (&[even, odd], &[even_inverse, odd_inverse]) = (x, inverse) {
                let even = math::nearest_byte(even * even_inverse);
                let odd = math::nearest_byte(odd * odd_inverse);
                kernels::set_pair(feature, pair, even, odd);
            }
        }
    }
    scales
}

/// Scale and its inverse of each token of `[features, 8]`.
#[inline(never)]
fn scales_of_tile(x: &[f32]) -> (Lanes<f32>, Lanes<f32>) {
    let mut largest = [0; LANES];
    for x in x.chunks_exact(LANES) {
        for (largest, x) in largest.iter_mut().zip(x) {
            *largest = math::magnitude(*x).max(*largest);
        }
    }
    let mut scales = [0.0; LANES];
    let mut inverses = [0.0; LANES];
    for ((largest, scale), inverse) in largest.into_iter().zip(&mut scales).zip(&mut inverses) {
        (*scale, *inverse) = scale_and_inverse(largest);
    }
    (scales, inverses)
}

/// The value of one step where `largest` (a [`math::magnitude`]) takes 127 steps, and its
/// inverse.
fn scale_and_inverse(largest: u32) -> (f32, f32) {
    let largest = f32::from_bits(largest);
    (largest / LARGEST, quotient_or_zero(LARGEST, largest))
}

/// `numerator / x`, or zero where that is not a finite number.
fn quotient_or_zero(numerator: f32, x: f32) -> f32 {
    let quotient = numerator / x;
    if quotient.is_finite() { quotient } else { 0.0 }
}

/// An integer sum as a float (rounded to 24 bits, to nearest, everywhere).
#[allow(
    clippy::cast_precision_loss,
    reason = "rounding here is the definition"
)]
fn float(sum: i32) -> f32 {
    sum as f32
}

#[allow(clippy::cast_possible_truncation, reason = "clamped")]
fn narrow_i16(value: i32) -> i16 {
    value.clamp(0, 8191) as i16
}

fn at(values: &[f32], index: usize) -> f32 {
    values.get(index).copied().unwrap_or(0.0)
}

fn lane<T: Copy + Default>(lanes: &Lanes<T>, index: usize) -> T {
    lanes.get(index).copied().unwrap_or_default()
}

/// Copies lanes to `values` from `start` on, as many as there is room for.
fn set_all(values: &mut [f32], start: usize, lanes: &Lanes<f32>) {
    for (value, lane) in values.iter_mut().skip(start).zip(lanes) {
        *value = *lane;
    }
}

fn part<T>(values: &[T], start: usize, length: usize) -> &[T] {
    values.get(start..start + length).unwrap_or(&[])
}

fn part_mut<T>(values: &mut [T], start: usize, length: usize) -> &mut [T] {
    values.get_mut(start..start + length).unwrap_or(&mut [])
}
