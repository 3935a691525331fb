//! The network in `f64`, straight from the formulas, activations not quantised.
//!
//! ```text
//! x      = LayerNorm(F·token + position + segment)
//! x      = LayerNorm(x + W_O·[softmax(q·kᵀ)·v of each head])      Vaswani et al. 2017
//!   or     LayerNorm(x + (h forward, h backward)), h = f·h' + (1 − f)·z   Bradbury et al. 2017
//! x      = LayerNorm(x + L_out·activation(L_in·x))
//! logits = W·pool(x)
//! ```
//! Weights are the file's, dequantised; 1/√d_head is part of the query weights.

use neuroprune_format::architecture::{Activation, Pooling};
use neuroprune_format::encoder::{Attention, Mixing, Mlp, Recurrence};
use neuroprune_format::tensor::{Matrix, Norm, TableRow};
use neuroprune_runtime::Model;

use crate::models::{encoder_of, pooling_of};

/// `ids` is the whole sequence, of which `first` tokens belong to segment 0.
pub(crate) fn logits(model: &Model<'_>, ids: &[u16], first: usize) -> Vec<f64> {
    let mut x = embed(model, ids, first);
    for layer in encoder_of(model).layers() {
        x = match layer.mixing() {
            Mixing::Attention(layer) => attention(model, &layer, &x),
            Mixing::Recurrence(layer) => recurrence(model, &layer, &x),
        };
        if let Some(layer) = layer.mlp() {
            x = mlp(model, &layer, &x);
        }
    }
    let pooled = match pooling_of(model) {
        Pooling::Cls => x[0].clone(),
        Pooling::Mean => (0..x[0].len())
            .map(|feature| x.iter().map(|x| x[feature]).sum::<f64>() / x.len() as f64)
            .collect(),
    };
    apply(&encoder_of(model).classifier(), &pooled)
}

fn embed(model: &Model<'_>, ids: &[u16], first: usize) -> Vec<Vec<f64>> {
    let encoder = encoder_of(model);
    let mut x = Vec::new();
    for (position, &id) in ids.iter().enumerate() {
        let table = encoder.token_embedding();
        let mut sum = values(table.row(usize::from(id)));
        sum.truncate(table.cols());
        if let Some(factor) = encoder.embedding_factor() {
            sum = apply(&factor, &sum);
        }
        if let Some(table) = encoder.position_embedding() {
            sum = add(&sum, &values(table.row(position)));
        }
        if let Some(table) = encoder.segment_embedding() {
            sum = add(&sum, &values(table.row(usize::from(position >= first))));
        }
        x.push(layer_norm(model, encoder.embedding_norm(), &sum));
    }
    x
}

fn values(row: TableRow<'_>) -> Vec<f64> {
    let weights = row.weights();
    weights
        .map(|weight| f64::from(row.scale) * f64::from(weight))
        .collect()
}

fn recurrence(model: &Model<'_>, layer: &Recurrence<'_>, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let forward = run(&layer.forward(), x);
    let reversed: Vec<_> = x.iter().rev().cloned().collect();
    let backward = run(&layer.backward(), &reversed).into_iter().rev();
    x.iter()
        .zip(forward.into_iter().zip(backward))
        .map(|(x, (forward, backward))| {
            let update = [forward, backward].concat();
            layer_norm(model, layer.norm(), &add(x, &update))
        })
        .collect()
}

fn run(matrix: &Matrix<'_>, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (hidden, half) = (matrix.rows(), matrix.rows() / 2);
    let mut all: Vec<Vec<f64>> = Vec::new();
    for (token, own) in x.iter().enumerate() {
        let zeros = vec![0.0; hidden];
        let neighbour = token.checked_sub(1).map_or(&zeros, |before| &x[before]);
        let y = apply(matrix, &[&neighbour[..], own].concat());
        let before = all.last().unwrap_or(&zeros);
        let h = (0..half).map(|i| {
            let f = (y[i] / 4.0 + 0.5).clamp(0.0, 1.0);
            f * before[i] + (1.0 - f) * y[half + i].clamp(-1.0, 1.0)
        });
        let h = h.collect();
        all.push(h);
    }
    all
}

fn attention(model: &Model<'_>, layer: &Attention<'_>, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut context = vec![Vec::new(); x.len()];
    for head in layer.heads() {
        let query_rows = head.query_rows();
        let projected: Vec<Vec<f64>> = x.iter().map(|x| apply(&head, x)).collect();
        for (token, context) in projected.iter().zip(&mut context) {
            let query = &token[..query_rows];
            let weights: Vec<f64> = projected
                .iter()
                .map(|other| dot(query, &other[query_rows..2 * query_rows]).exp())
                .collect();
            let sum: f64 = weights.iter().sum();
            for value in 2 * query_rows..head.rows() {
                let mixed = weights.iter().zip(&projected);
                let mixed: f64 = mixed.map(|(weight, other)| weight * other[value]).sum();
                context.push(mixed / sum);
            }
        }
    }
    let update = |context: &Vec<f64>| apply(&layer.output(), context);
    x.iter()
        .zip(context.iter().map(update))
        .map(|(x, update)| layer_norm(model, layer.norm(), &add(x, &update)))
        .collect()
}

fn mlp(model: &Model<'_>, layer: &Mlp<'_>, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let activation = encoder_of(model).stack().activation;
    x.iter()
        .map(|x| {
            let mut neurons = apply(&layer.input(), x);
            for neuron in &mut neurons {
                *neuron = match activation {
                    Activation::Gelu => gelu(*neuron),
                    Activation::Relu => neuron.max(0.0),
                };
            }
            let update = apply(&layer.output(), &neurons);
            layer_norm(model, layer.norm(), &add(x, &update))
        })
        .collect()
}

/// As `docs/format.md` defines it.
fn gelu(x: f64) -> f64 {
    let t = x.abs().min(3.5);
    let p = 0.041_913_9 + t * (-0.013_530_1 + t * (-0.004_824_7 + t * 0.001_801_8));
    x.max(0.0) - p * t * (3.5 - t).powi(2)
}

fn apply(matrix: &Matrix<'_>, x: &[f64]) -> Vec<f64> {
    assert_eq!(matrix.cols(), x.len());
    matrix
        .iter()
        .map(|row| {
            let terms = row.weights.nonzeros();
            let sum: f64 = terms.map(|(col, weight)| f64::from(weight) * x[col]).sum();
            f64::from(row.scale) * sum + f64::from(row.bias)
        })
        .collect()
}

fn layer_norm(model: &Model<'_>, norm: Norm<'_>, x: &[f64]) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let deviation = (variance + f64::from(encoder_of(model).stack().norm_epsilon)).sqrt();
    x.iter()
        .zip(norm.iter())
        .map(|(x, (gain, shift))| (x - mean) / deviation * f64::from(gain) + f64::from(shift))
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
