//! The answers of a float network.

use crate::network::Network;
use crate::numbers::share;
use crate::text::batch::{Batch, EncodedExample};

/// Examples of one forward pass when nothing is learned.
const EVALUATION_BATCH: usize = 64;

/// Logits of every example, `[examples, labels]`, row by row.
pub(crate) fn logits(
    network: &Network,
    examples: &[EncodedExample],
) -> candle_core::Result<Vec<f32>> {
    let mut all = Vec::with_capacity(examples.len() * network.shape.labels);
    for part in examples.chunks(EVALUATION_BATCH) {
        let logits = network.forward(&Batch::new(part.iter()))?;
        all.extend(logits.flatten_all()?.to_vec1::<f32>()?);
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
