//! Texts as token ids, and packed batches of them.

use candle_core::{Device, Result, Tensor};

use crate::data::{Dataset, Example};
use crate::numbers::{real, single};
use crate::ops::{RowIndex, Sequences};
use crate::text::vocabulary::{Vocabulary, VocabularyError, without_endless_words};

/// One text, or pair of texts, as the network sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedExample {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// How many of them belong to the first segment.
    pub first: usize,
    /// Class.
    pub label: u32,
}

/// Examples one below the other: `[tokens of all examples]`.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Token ids.
    pub ids: RowIndex,
    /// Position of each token in its sequence.
    pub positions: RowIndex,
    /// 0 in the first text, 1 in the second of a pair.
    pub segments: RowIndex,
    /// Where each example begins and ends.
    pub sequences: Sequences,
    /// One class per example.
    pub labels: Vec<u32>,
}

/// Token ids of every example, cut to `tokens`.
pub(crate) fn encode(
    dataset: &Dataset,
    vocabulary: &Vocabulary,
    tokens: usize,
) -> core::result::Result<Vec<EncodedExample>, VocabularyError> {
    encode_some(dataset.examples.iter(), vocabulary, tokens)
}

/// These examples as token ids, likewise.
///
/// # Errors
/// What the `tokenizers` crate says.
pub(crate) fn encode_some<'t>(
    examples: impl Iterator<Item = Example<'t>>,
    vocabulary: &Vocabulary,
    tokens: usize,
) -> core::result::Result<Vec<EncodedExample>, VocabularyError> {
    let tokenizer = vocabulary.reference(tokens)?;
    let encode = |example: Example<'_>| {
        let text = without_endless_words(example.text);
        let encoding = match example.pair.map(without_endless_words) {
            None => tokenizer.encode(text, true)?,
            Some(pair) => tokenizer.encode((text, pair), true)?,
        };
        Ok(EncodedExample {
            first: encoding
                .get_type_ids()
                .iter()
                .filter(|&&id| id == 0)
                .count(),
            ids: encoding.get_ids().to_vec(),
            label: example.label,
        })
    };
    examples.map(encode).collect()
}

impl Batch {
    /// Packs `examples`.
    pub fn new<'e>(examples: impl Iterator<Item = &'e EncodedExample> + Clone) -> Self {
        let lengths = examples.clone().map(|example| example.ids.len());
        let segments = |example: &'e EncodedExample| {
            let segment = |index: usize| u32::from(index >= example.first);
            (0..example.ids.len()).map(segment)
        };
        Self {
            ids: examples
                .clone()
                .flat_map(|example| example.ids.iter().copied())
                .collect(),
            positions: lengths
                .clone()
                .flat_map(|length| (0..).take(length))
                .collect(),
            segments: examples.clone().flat_map(segments).collect(),
            sequences: Sequences::of_lengths(lengths),
            labels: examples.map(|example| example.label).collect(),
        }
    }

    /// `[examples, labels]`: 1 at the class, less what smoothing spreads over all.
    ///
    /// # Errors
    /// When memory cannot be allocated.
    pub fn targets(&self, labels: usize, smoothing: f64, device: &Device) -> Result<Tensor> {
        let share = single(smoothing / real(labels));
        let smoothing = single(smoothing);
        let mut targets = vec![share; self.labels.len() * labels];
        for (row, &label) in targets.chunks_exact_mut(labels).zip(&self.labels) {
            if let Some(target) = row.get_mut(label as usize) {
                *target += 1.0 - smoothing;
            }
        }
        Tensor::from_vec(targets, (self.labels.len(), labels), device)
    }

    /// `[examples, 1]`: the weight of each one's class; 0 without one.
    ///
    /// # Errors
    /// When memory cannot be allocated.
    pub fn weights(&self, of_classes: &[f32], device: &Device) -> Result<Tensor> {
        let weight = |&label: &u32| of_classes.get(label as usize).copied().unwrap_or(0.0);
        let weights: Vec<f32> = self.labels.iter().map(weight).collect();
        Tensor::from_vec(weights, (self.labels.len(), 1), device)
    }
}

/// At most `count` of `examples`, evenly spread: files are often sorted by class.
pub(crate) fn spread(
    examples: &[EncodedExample],
    count: usize,
) -> impl Iterator<Item = &EncodedExample> + Clone {
    let step = examples.len().div_ceil(count.max(1)).max(1);
    examples.iter().step_by(step).take(count)
}
