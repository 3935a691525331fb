//! BERT's forward pass, one text, in plain loops over a checkpoint's own tensors.

use super::tiny::{EPSILON, HEADS, HIDDEN, INTERMEDIATE, LAYERS, Tiny};

/// One vector per token.
pub(crate) type Hidden = Vec<Vec<f32>>;

/// The residual stream before each layer, and after the last.
pub(crate) fn hidden_states(tiny: &Tiny, ids: &[u32], segments: Option<&[u32]>) -> Vec<Hidden> {
    let row = |name: &str, index: usize| -> Vec<f32> {
        let values = tiny.values(&format!("embeddings.{name}.weight"));
        values[index * HIDDEN..][..HIDDEN].to_vec()
    };
    let embed = |(position, &id): (usize, &u32)| {
        let mut x = row("word_embeddings", id as usize);
        add(&mut x, &row("position_embeddings", position));
        if let Some(segments) = segments {
            let segment = segments[position] as usize;
            add(&mut x, &row("token_type_embeddings", segment));
        }
        norm(tiny, "embeddings.LayerNorm", &x)
    };
    let mut states: Vec<Hidden> = vec![ids.iter().enumerate().map(embed).collect()];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let x = &states[layer];
        let each = |part: &str| -> Hidden {
            x.iter()
                .map(|x| linear(tiny, &name(part), x, HIDDEN))
                .collect()
        };
        let context = attention(
            &each("attention.self.query"),
            &each("attention.self.key"),
            &each("attention.self.value"),
        );
        let next = x.iter().zip(&context).map(|(x, context)| {
            let mut y = linear(tiny, &name("attention.output.dense"), context, HIDDEN);
            add(&mut y, x);
            let attended = norm(tiny, &name("attention.output.LayerNorm"), &y);
            let mut neurons = linear(tiny, &name("intermediate.dense"), &attended, INTERMEDIATE);
            for neuron in &mut neurons {
                *neuron = gelu(*neuron);
            }
            let mut y = linear(tiny, &name("output.dense"), &neurons, HIDDEN);
            add(&mut y, &attended);
            norm(tiny, &name("output.LayerNorm"), &y)
        });
        let next = next.collect();
        states.push(next);
    }
    states
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

fn linear(tiny: &Tiny, name: &str, x: &[f32], rows: usize) -> Vec<f32> {
    let weight = tiny.values(&format!("{name}.weight"));
    let bias = tiny.values(&format!("{name}.bias"));
    let row = |row: usize| {
        let weights = &weight[row * x.len()..][..x.len()];
        weights.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + bias[row]
    };
    (0..rows).map(row).collect()
}

fn norm(tiny: &Tiny, name: &str, x: &[f32]) -> Vec<f32> {
    let gain = tiny.values(&format!("{name}.weight"));
    let shift = tiny.values(&format!("{name}.bias"));
    let count = f32::from(u16::try_from(x.len()).unwrap());
    let mean = x.iter().sum::<f32>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
    let scale = 1.0 / (variance + EPSILON).sqrt();
    let each = x.iter().zip(gain).zip(shift);
    each.map(|((x, gain), shift)| (x - mean) * scale * gain + shift)
        .collect()
}

fn attention(query: &Hidden, key: &Hidden, value: &Hidden) -> Hidden {
    let width = HIDDEN / HEADS;
    let scale = 1.0 / f32::from(u16::try_from(width).unwrap()).sqrt();
    let mut context = vec![vec![0.0; HIDDEN]; query.len()];
    for head in (0..HIDDEN).step_by(width) {
        let part = head..head + width;
        for (query, context) in query.iter().zip(&mut context) {
            let score = |key: &Vec<f32>| {
                let products = query[part.clone()].iter().zip(&key[part.clone()]);
                scale * products.map(|(q, k)| q * k).sum::<f32>()
            };
            let scores: Vec<f32> = key.iter().map(score).collect();
            let largest = scores.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
            let sum: f32 = weights.iter().sum();
            for (weight, value) in weights.iter().zip(value) {
                for dimension in part.clone() {
                    context[dimension] += weight / sum * value[dimension];
                }
            }
        }
    }
    context
}

/// As `docs/format.md` defines it.
fn gelu(x: f32) -> f32 {
    let t = x.abs().min(3.5);
    let p = 0.041_913_9 + t * (-0.013_530_1 + t * (-0.004_824_7 + t * 0.001_801_8));
    x.max(0.0) - p * t * (3.5 - t).powi(2)
}
