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

use crate::kernels::{self, LANES, Lanes};
use crate::math;
use crate::plan::{AttentionBuffers, MlpBuffers, PoolBuffers};
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
    let scales = quantize(Source::tokens(pooled, width), tile);
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
    let tiles = buffers.tiles.chunks_exact_mut(LANES * width);
    let tile_scales = buffers.tile_scales.chunks_mut(LANES);
    for ((x, tile), kept) in hidden.chunks(LANES * width).zip(tiles).zip(tile_scales) {
        let scales = quantize(Source::tokens(x, width), tile);
        for (kept, scale) in kept.iter_mut().zip(scales) {
            *kept = scale;
        }
    }

    let mut first = 0;
    for head in layer.heads() {
        project_head(&head, width, &mut buffers);
        attend(&head, context_width, first, &mut buffers);
        first += head.value_rows();
    }

    let tile = part_mut(buffers.context_tile, 0, context_width * LANES);
    for (index, x) in hidden.chunks_mut(LANES * width).enumerate() {
        let start = index * LANES * context_width;
        let length = x.len() / width * context_width;
        let context = part(buffers.context, start, length);
        let scales = quantize(Source::tokens(context, context_width), tile);
        project(&layer.attention_output, tile, &scales, buffers.projected);
        add_and_norm(model, x, buffers.projected, layer.attention_norm);
    }
}

/// Queries, keys and values of one head, quantised with one scale a token each.
fn project_head(head: &Matrix<'_>, width: usize, buffers: &mut AttentionBuffers<'_>) {
    let (query_rows, value_rows) = (head.query_rows(), head.value_rows());
    let tokens = buffers.tile_scales.len();
    let tiles = buffers.tiles.chunks_exact(LANES * width);
    for (index, (tile, kept)) in tiles.zip(buffers.tile_scales.chunks(LANES)).enumerate() {
        let mut scales = [0.0; LANES];
        for (scale, &kept) in scales.iter_mut().zip(kept) {
            *scale = kept;
        }
        project(head, tile, &scales, buffers.projected);
        for lane in 0..kept.len() {
            let token = index * LANES + lane;
            let column = |first: usize| {
                let rows = buffers.projected.chunks_exact(LANES).skip(first);
                rows.map(move |row| row.get(lane).copied().unwrap_or(0.0))
            };
            let query = part_mut(buffers.queries, token * query_rows, query_rows);
            let scale = quantize_vector(column(0).take(query_rows), query.iter_mut());
            set(buffers.query_scales, token, scale);
            let key = part_mut(buffers.keys, token * query_rows, query_rows);
            let scale = quantize_vector(column(query_rows).take(query_rows), key.iter_mut());
            set(buffers.key_scales, token, scale);
            let value = buffers.values.iter_mut().skip(token).step_by(tokens);
            let scale = quantize_vector(column(2 * query_rows).take(value_rows), value);
            set(buffers.value_scales, token, scale);
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
        for other in 0..tokens {
            let key = part(buffers.keys, other * query_rows, query_rows);
            let scale = query_scale * at(buffers.key_scales, other);
            let score = float(kernels::dot(query, key)) * scale;
            set(buffers.scores, other, score);
            largest = largest.max(score);
        }
        let mut sum = 0.0;
        let mut largest_weight = 0.0_f32;
        for (score, &scale) in buffers.scores.iter_mut().zip(buffers.value_scales.iter()) {
            let weight = math::exponential(*score - largest);
            sum += weight;
            *score = weight * scale;
            largest_weight = largest_weight.max(*score);
        }
        let inverse = quotient_or_zero(LARGEST_MIXTURE, largest_weight);
        for (mixture, &weight) in buffers.mixture.iter_mut().zip(buffers.scores.iter()) {
            *mixture = narrow_i16(math::nearest(weight * inverse));
        }
        let scale = quotient_or_zero(largest_weight, LARGEST_MIXTURE * sum);
        let values = buffers.values.chunks_exact(tokens).take(value_rows);
        let context = part_mut(buffers.context, token * context_width + first, value_rows);
        for (context, values) in context.iter_mut().zip(values) {
            *context = float(kernels::mix(buffers.mixture, values)) * scale;
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
    let neuron_tile = part_mut(neuron_tile, 0, neurons * LANES);
    for x in hidden.chunks_mut(LANES * width) {
        let scales = quantize(Source::tokens(x, width), input_tile);
        project(&layer.mlp_input, input_tile, &scales, projected);
        let activations = part_mut(projected, 0, neurons * LANES);
        for value in activations.iter_mut() {
            *value = match activation {
                Activation::Gelu => math::gelu(*value),
                _ => value.max(0.0),
            };
        }
        let scales = quantize(Source::tile(activations), neuron_tile);
        project(&layer.mlp_output, neuron_tile, &scales, projected);
        add_and_norm(model, x, projected, layer.mlp_norm);
    }
}

/// Multiplies and scales back: `[rows, 8]` of `f32`.
fn project(matrix: &Matrix<'_>, tile: &[i8], scales: &Lanes<f32>, output: &mut [f32]) {
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

/// Floats of up to eight tokens, either token by token or feature by feature.
#[derive(Clone, Copy)]
struct Source<'a> {
    values: &'a [f32],
    features: usize,
    feature_step: usize,
    token_step: usize,
}

impl<'a> Source<'a> {
    /// `[tokens, features]`.
    fn tokens(values: &'a [f32], features: usize) -> Self {
        Self {
            values,
            features,
            feature_step: 1,
            token_step: features,
        }
    }

    /// `[features, 8]`.
    fn tile(values: &'a [f32]) -> Self {
        Self {
            values,
            features: values.len() / LANES,
            feature_step: LANES,
            token_step: 1,
        }
    }

    /// The features of one token; nothing for a lane without a token.
    fn token(self, lane: usize) -> impl Iterator<Item = f32> + Clone + use<'a> {
        let values = self.values.get(lane * self.token_step..).unwrap_or(&[]);
        let step = self.feature_step;
        values.iter().step_by(step).take(self.features).copied()
    }
}

/// Quantises up to eight tokens into `[features, 8]`; returns their scales. Lanes
/// without a token are zero, with scale zero.
fn quantize(source: Source<'_>, tile: &mut [i8]) -> Lanes<f32> {
    let mut scales = [0.0; LANES];
    for (lane, scale) in scales.iter_mut().enumerate() {
        let lanes = tile.iter_mut().skip(lane).step_by(LANES);
        let token = source.token(lane);
        if token.clone().next().is_none() {
            lanes.for_each(|x| *x = 0);
        } else {
            *scale = quantize_vector(token, lanes);
        }
    }
    scales
}

/// Symmetric int8: x ≈ scale · q with |q| ≤ 127, never −128. Returns the scale.
fn quantize_vector<'q>(
    values: impl Iterator<Item = f32> + Clone,
    quantized: impl Iterator<Item = &'q mut i8>,
) -> f32 {
    let largest = values.clone().fold(0.0, |largest: f32, x| {
        let x = if x < 0.0 { -x } else { x };
        if x > largest { x } else { largest }
    });
    let inverse = quotient_or_zero(LARGEST, largest);
    for (q, x) in quantized.zip(values) {
        *q = narrow_i8(math::nearest(x * inverse));
    }
    largest / LARGEST
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
fn narrow_i8(value: i32) -> i8 {
    value.clamp(-127, 127) as i8
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

fn set(values: &mut [f32], index: usize, value: f32) {
    if let Some(slot) = values.get_mut(index) {
        *slot = value;
    }
}

fn part<T>(values: &[T], start: usize, length: usize) -> &[T] {
    values.get(start..start + length).unwrap_or(&[])
}

fn part_mut<T>(values: &mut [T], start: usize, length: usize) -> &mut [T] {
    values.get_mut(start..start + length).unwrap_or(&mut [])
}
