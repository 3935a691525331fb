//! The network in the runtime's arithmetic, token by token: no tiles, no scratch
//! memory, one vector for everything.
//!
//! The quantisation rule, restated: symmetric int8 with one scale per token and
//! vector, `max |x| / 127`; `q = nearest(x · (127 / max |x|))`, ties to even; a
//! product is `(Σ w·q as f32) · (row scale · token scale) + bias`. The residual stream
//! is rounded likewise to 127 · 256 steps after each LayerNorm, and a product reads
//! `⌊step / 256 + ½⌋`. What the heads read is rounded head by head to the largest
//! magnitude so far; a larger one rounds those before it again. Attention weights
//! times the scales of their values become 13-bit integers. A recurrence reads each token's
//! vector after its neighbour's, as one vector to quantise; its forward h is rounded to multiples of
//! 1/127. The approximations
//! themselves (exponential, GELU, inverse square root) are the runtime's own, as they
//! define the result; pinned logits check those.

use neuroprune_format::architecture::{Activation, Pooling};
use neuroprune_format::encoder::{Attention, Mixing, Mlp, Recurrence};
use neuroprune_format::tensor::{Matrix, Norm, TableRow};
use neuroprune_runtime::{Model, Stage, math};

use crate::models::{encoder_of, pooling_of};

/// The values that each stage passes to a trace, in order, and the logits.
pub(crate) struct Outputs {
    pub(crate) stages: Vec<(Stage, Vec<f32>)>,
    pub(crate) logits: Vec<f32>,
}

/// `ids` is the whole sequence, of which `first` tokens belong to segment 0.
pub(crate) fn forward(model: &Model<'_>, ids: &[u16], first: usize) -> Outputs {
    let mut x = embed(model, ids, first);
    let values = |x: &[Hidden]| x.iter().flat_map(Hidden::values).collect();
    let mut stages = vec![(Stage::Embeddings, values(&x))];
    for (index, layer) in encoder_of(model).layers().enumerate() {
        let index = u16::try_from(index).unwrap();
        match layer.mixing() {
            Mixing::Attention(layer) => {
                attention(model, &layer, &mut x);
                stages.push((Stage::Attention(index), values(&x)));
            }
            Mixing::Recurrence(layer) => {
                recurrence(model, &layer, &mut x);
                stages.push((Stage::Recurrence(index), values(&x)));
            }
        }
        if let Some(layer) = layer.mlp() {
            mlp(model, &layer, &mut x);
            stages.push((Stage::Mlp(index), values(&x)));
        }
    }
    let pooled = match pooling_of(model) {
        Pooling::Cls => x[0].values(),
        Pooling::Mean => {
            // Sums of every eighth token, then the sum of these eight.
            let mut lanes = vec![vec![0.0; x[0].steps.len()]; 8];
            for (token, x) in x.iter().enumerate() {
                add(&mut lanes[token % 8], &x.values());
            }
            let mut sum = vec![0.0; x[0].steps.len()];
            for lane in &lanes {
                add(&mut sum, lane);
            }
            sum.iter().map(|sum| sum / x.len() as f32).collect()
        }
    };
    let logits = apply(&encoder_of(model).classifier(), &quantize(&pooled));
    stages.push((Stage::Pooled, pooled));
    Outputs { stages, logits }
}

fn embed(model: &Model<'_>, ids: &[u16], first: usize) -> Vec<Hidden> {
    let encoder = encoder_of(model);
    // An odd row of four bits has a half more than its columns.
    let row = |row: TableRow<'_>, cols: usize| -> Vector {
        let values = row.weights().map(i32::from).take(cols);
        Vector {
            values: values.collect(),
            scale: row.scale,
        }
    };
    let floats = |row: Vector| -> Vec<f32> {
        let values = row.values.iter();
        values.map(|&weight| weight as f32 * row.scale).collect()
    };
    let hidden = model.limits().hidden;
    ids.iter()
        .enumerate()
        .map(|(position, &id)| {
            let table = encoder.token_embedding();
            let token = row(table.row(usize::from(id)), table.cols());
            let mut x = match encoder.embedding_factor() {
                Some(factor) => apply(&factor, &token),
                None => floats(token),
            };
            if let Some(table) = encoder.position_embedding() {
                add(&mut x, &floats(row(table.row(position), hidden)));
            }
            if let Some(table) = encoder.segment_embedding() {
                let segment = table.row(usize::from(position >= first));
                add(&mut x, &floats(row(segment, hidden)));
            }
            layer_norm(model, encoder.embedding_norm(), &x)
        })
        .collect()
}

fn attention(model: &Model<'_>, layer: &Attention<'_>, x: &mut [Hidden]) {
    let inputs: Vec<Vector> = x.iter().map(Hidden::quantize).collect();
    let mut context = vec![Context::default(); x.len()];
    for head in layer.heads() {
        attend(&head, &inputs, &mut context);
    }
    for (x, context) in x.iter_mut().zip(&context) {
        let context = Vector {
            values: context.values.clone(),
            scale: context.largest / 127.0,
        };
        let mut sum = x.values();
        add(&mut sum, &apply(&layer.output(), &context));
        *x = layer_norm(model, layer.norm(), &sum);
    }
}

/// What the heads have read so far.
#[derive(Clone, Default)]
struct Context {
    values: Vec<i32>,
    largest: f32,
}

impl Context {
    fn push(&mut self, head: &[f32]) {
        let largest = head
            .iter()
            .fold(0.0, |largest: f32, x| largest.max(x.abs()));
        if largest > self.largest {
            let factor = self.largest / largest;
            for value in &mut self.values {
                *value = rounded(*value as f32 * factor);
            }
            self.largest = largest;
        }
        let inverse = finite_or_zero(127.0 / self.largest);
        self.values
            .extend(head.iter().map(|x| rounded(x * inverse)));
    }
}

fn attend(head: &Matrix<'_>, inputs: &[Vector], context: &mut [Context]) {
    let (queries, keys) = (head.query_rows(), 2 * head.query_rows());
    let projected: Vec<Vec<f32>> = inputs.iter().map(|input| apply(head, input)).collect();
    let part = |rows: core::ops::Range<usize>| -> Vec<Vector> {
        let tokens = projected.iter();
        tokens.map(|token| quantize(&token[rows.clone()])).collect()
    };
    let (query, key, value) = (
        part(0..queries),
        part(queries..keys),
        part(keys..head.rows()),
    );
    for (query, context) in query.iter().zip(context) {
        let scores: Vec<f32> = key
            .iter()
            .map(|key| dot(&query.values, &key.values) as f32 * (query.scale * key.scale))
            .collect();
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        let mut weights = Vec::new();
        for (score, value) in scores.iter().zip(&value) {
            let weight = math::exponential(score - largest);
            sum += weight;
            weights.push(weight * value.scale);
        }
        let largest = weights.iter().copied().fold(0.0, f32::max);
        let inverse = finite_or_zero(8191.0 / largest);
        let mixture: Vec<i32> = weights.iter().map(|w| rounded(w * inverse)).collect();
        let scale = finite_or_zero(largest / (8191.0 * sum));
        let mixed = (0..head.value_rows()).map(|row| {
            let terms = mixture.iter().zip(&value);
            let mixed: i32 = terms.map(|(p, value)| p * value.values[row]).sum();
            mixed as f32 * scale
        });
        context.push(&mixed.collect::<Vec<_>>());
    }
}

fn recurrence(model: &Model<'_>, layer: &Recurrence<'_>, x: &mut [Hidden]) {
    let values: Vec<Vec<f32>> = x.iter().map(Hidden::values).collect();
    let forward = run(&layer.forward(), values.iter());
    let mut backward = run(&layer.backward(), values.iter().rev());
    backward.reverse();
    for ((x, forward), backward) in x.iter_mut().zip(forward).zip(backward) {
        let kept = forward.iter().map(|h| rounded(h * 127.0) as f32);
        let update: Vec<f32> = kept.map(|h| h * (1.0 / 127.0)).chain(backward).collect();
        let mut sum = x.values();
        add(&mut sum, &update);
        *x = layer_norm(model, layer.norm(), &sum);
    }
}

/// h of each token, in the order of `tokens`.
fn run<'x>(matrix: &Matrix<'_>, tokens: impl Iterator<Item = &'x Vec<f32>>) -> Vec<Vec<f32>> {
    let half = matrix.rows() / 2;
    let mut h = vec![0.0; half];
    let mut neighbour = vec![0.0; matrix.cols() / 2];
    tokens
        .map(|x| {
            let y = apply(matrix, &quantize(&[neighbour.clone(), x.clone()].concat()));
            for (i, h) in h.iter_mut().enumerate() {
                let f = (y[i] * 0.25 + 0.5).clamp(0.0, 1.0);
                let z = y[half + i].clamp(-1.0, 1.0);
                *h = z + f * (*h - z);
            }
            neighbour.clone_from(x);
            h.clone()
        })
        .collect()
}

fn mlp(model: &Model<'_>, layer: &Mlp<'_>, x: &mut [Hidden]) {
    let activation = encoder_of(model).stack().activation;
    for x in x {
        let mut neurons = apply(&layer.input(), &x.quantize());
        for neuron in &mut neurons {
            *neuron = match activation {
                Activation::Gelu => math::gelu(*neuron),
                Activation::Relu => neuron.max(0.0),
            };
        }
        let mut sum = x.values();
        add(&mut sum, &apply(&layer.output(), &quantize(&neurons)));
        *x = layer_norm(model, layer.norm(), &sum);
    }
}

/// One token of the residual stream: x ≈ scale · steps.
struct Hidden {
    steps: Vec<i32>,
    scale: f32,
}

impl Hidden {
    fn values(&self) -> Vec<f32> {
        let steps = self.steps.iter();
        steps.map(|&step| step as f32 * self.scale).collect()
    }

    fn quantize(&self) -> Vector {
        let steps = self.steps.iter();
        Vector {
            values: steps.map(|step| (step + 128).div_euclid(256)).collect(),
            scale: self.scale * 256.0,
        }
    }
}

/// x ≈ scale · values.
struct Vector {
    values: Vec<i32>,
    scale: f32,
}

fn quantize(x: &[f32]) -> Vector {
    let largest = x.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    let inverse = finite_or_zero(127.0 / largest);
    Vector {
        values: x.iter().map(|x| rounded(x * inverse)).collect(),
        scale: largest / 127.0,
    }
}

fn finite_or_zero(x: f32) -> f32 {
    if x.is_finite() { x } else { 0.0 }
}

/// Not through the runtime's `nearest`: the rule is the point here.
fn rounded(x: f32) -> i32 {
    x.round_ties_even() as i32
}

fn apply(matrix: &Matrix<'_>, x: &Vector) -> Vec<f32> {
    assert_eq!(matrix.cols(), x.values.len());
    matrix
        .iter()
        .map(|row| {
            let terms = row.weights.nonzeros();
            let sum: i32 = terms.map(|(col, w)| i32::from(w) * x.values[col]).sum();
            sum as f32 * (row.scale * x.scale) + row.bias
        })
        .collect()
}

fn dot(a: &[i32], b: &[i32]) -> i32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f32], update: &[f32]) {
    for (x, update) in x.iter_mut().zip(update) {
        *x += update;
    }
}

fn layer_norm(model: &Model<'_>, norm: Norm<'_>, x: &[f32]) -> Hidden {
    let count = x.len() as f32;
    let mean = x.iter().fold(0.0, |sum, x| sum + x) / count;
    let squares = x.iter().map(|x| (x - mean) * (x - mean));
    let variance = squares.fold(0.0, |sum, square| sum + square) / count;
    let epsilon = encoder_of(model).stack().norm_epsilon;
    let inverse = math::inverse_square_root(variance + epsilon);
    let normal = x.iter().zip(norm.iter());
    let x: Vec<f32> = normal
        .map(|(x, (gain, shift))| (x - mean) * inverse * gain + shift)
        .collect();
    let largest = x.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    let steps = finite_or_zero(127.0 * 256.0 / largest);
    Hidden {
        steps: x.iter().map(|x| rounded(x * steps)).collect(),
        scale: largest / (127.0 * 256.0),
    }
}
