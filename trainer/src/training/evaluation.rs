//! The answers of a float network.

use crate::network::Network;
use crate::numbers::share;
use crate::ops::device::{sequences_at_once, values_on_host};
use crate::text::batch::{Batch, EncodedExample};

/// Logits of every example, `[examples, labels]`, row by row.
pub(crate) fn logits(
    network: &Network,
    examples: &[EncodedExample],
) -> candle_core::Result<Vec<f32>> {
    let mut all = Vec::with_capacity(examples.len() * network.shape.labels);
    let at_once = sequences_at_once(network.device(), network.shape.tokens);
    for part in examples.chunks(at_once) {
        let logits = network.forward(&Batch::new(part.iter()))?;
        all.extend(values_on_host(&logits)?);
    }
    Ok(all)
}

/// Share of `examples` that the float network gets right, in per cent.
pub(crate) fn float_accuracy(
    network: &Network,
    examples: &[EncodedExample],
) -> candle_core::Result<f64> {
    let logits = logits(network, examples)?;
    let rows = logits.chunks_exact(network.shape.labels).zip(examples);
    let right = rows.filter(|(row, example)| largest(row) == example.label as usize);
    Ok(share(right.count(), examples.len()))
}

/// Position of the largest value; the first of several.
fn largest(row: &[f32]) -> usize {
    let better = |best: usize, index: usize| if row[index] > row[best] { index } else { best };
    (0..row.len()).fold(0, better)
}
