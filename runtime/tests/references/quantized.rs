//! The network in the runtime's arithmetic, token by token: no tiles, no scratch
//! memory, one vector for everything.
//!
//! The quantisation rule, restated: symmetric int8 with one scale a token and
//! vector, `max |x| / 127`; `q = nearest(x · (127 / max |x|))`, ties to even; a
//! product is `(Σ w·q as f32) · (row scale · token scale) + bias`. Attention weights
//! times the scales of their values become 13-bit integers. The approximations
//! themselves (exponential, GELU, LayerNorm) are the runtime's own, as they define
//! the result; pinned logits hold those.

use neuroprune_format::encoder::Layer;
use neuroprune_format::manifest::{Activation, Pooling};
use neuroprune_format::tensor::{Matrix, Norm};
use neuroprune_runtime::{Model, Stage, math};

/// What each stage shows a trace, in order, and the logits.
pub(crate) struct Outputs {
    pub(crate) stages: Vec<(Stage, Vec<f32>)>,
    pub(crate) logits: Vec<f32>,
}

/// `ids` is the whole sequence, of which `first` tokens belong to segment 0.
pub(crate) fn forward(model: &Model<'_>, ids: &[u16], first: usize) -> Outputs {
    let mut x = embed(model, ids, first);
    let mut stages = vec![(Stage::Embeddings, x.concat())];
    for (index, layer) in model.layers().enumerate() {
        let index = u16::try_from(index).unwrap();
        attention(model, &layer, &mut x);
        stages.push((Stage::Attention(index), x.concat()));
        mlp(model, &layer, &mut x);
        stages.push((Stage::Mlp(index), x.concat()));
    }
    let pooled = match model.encoder().settings().pooling {
        Pooling::Cls => x[0].clone(),
        _ => {
            let mut sum = vec![0.0; x[0].len()];
            for x in &x {
                add(&mut sum, x);
            }
            sum.iter().map(|sum| sum / x.len() as f32).collect()
        }
    };
    let logits = apply(&model.encoder().classifier(), &quantize(&pooled));
    stages.push((Stage::Pooled, pooled));
    Outputs { stages, logits }
}

fn embed(model: &Model<'_>, ids: &[u16], first: usize) -> Vec<Vec<f32>> {
    let embeddings = model.encoder().embeddings();
    let row = |(scale, weights): (f32, &[u8])| -> Vec<f32> {
        let values = weights.iter();
        values
            .map(|weight| f32::from(weight.cast_signed()) * scale)
            .collect()
    };
    ids.iter()
        .enumerate()
        .map(|(position, &id)| {
            let mut x = row(embeddings.token.row(usize::from(id)));
            add(&mut x, &row(embeddings.position.row(position)));
            if let Some(segment) = embeddings.segment {
                add(&mut x, &row(segment.row(usize::from(position >= first))));
            }
            layer_norm(model, embeddings.norm, &mut x);
            x
        })
        .collect()
}

fn attention(model: &Model<'_>, layer: &Layer<'_>, x: &mut [Vec<f32>]) {
    let inputs: Vec<Vector> = x.iter().map(|x| quantize(x)).collect();
    let mut context = vec![Vec::new(); x.len()];
    for head in layer.heads() {
        attend(&head, &inputs, &mut context);
    }
    for (x, context) in x.iter_mut().zip(&context) {
        add(x, &apply(&layer.attention_output, &quantize(context)));
        layer_norm(model, layer.attention_norm, x);
    }
}

fn attend(head: &Matrix<'_>, inputs: &[Vector], context: &mut [Vec<f32>]) {
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
        let scale = largest / (8191.0 * sum);
        for row in 0..head.value_rows() {
            let terms = mixture.iter().zip(&value);
            let mixed: i32 = terms.map(|(p, value)| p * value.values[row]).sum();
            context.push(mixed as f32 * scale);
        }
    }
}

fn mlp(model: &Model<'_>, layer: &Layer<'_>, x: &mut [Vec<f32>]) {
    let activation = model.encoder().settings().activation;
    for x in x {
        let mut neurons = apply(&layer.mlp_input, &quantize(x));
        for neuron in &mut neurons {
            *neuron = match activation {
                Activation::Gelu => math::gelu(*neuron),
                _ => neuron.max(0.0),
            };
        }
        add(x, &apply(&layer.mlp_output, &quantize(&neurons)));
        layer_norm(model, layer.mlp_norm, x);
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

fn layer_norm(model: &Model<'_>, norm: Norm<'_>, x: &mut [f32]) {
    math::layer_norm(x, model.encoder().settings().norm_epsilon, norm.iter());
}
