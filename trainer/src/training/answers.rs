//! What a teacher said of every text of a course.

use candle_core::{Device, Result, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt as _;

use crate::numbers::{real, single};

/// Logits and pooled vectors of a teacher, text by text, in half precision: there are hundreds of
/// thousands, and the student is a rougher likeness of its teacher than that.
#[derive(Clone, Debug)]
pub struct Answers {
    /// `[texts, classes]`.
    logits: Vec<f16>,
    classes: usize,
    /// `[texts, width]`.
    pooled: Vec<f16>,
    width: usize,
}

impl Answers {
    /// Room for those of `texts` texts.
    pub(crate) fn new(texts: usize, classes: usize, width: usize) -> Self {
        Self {
            logits: vec![f16::ZERO; texts * classes],
            classes,
            pooled: vec![f16::ZERO; texts * width],
            width,
        }
    }

    /// The answer to text `at`.
    pub(crate) fn set(&mut self, at: usize, logits: &[f32], pooled: &[f32]) {
        let rows = [
            (&mut self.logits, self.classes, logits),
            (&mut self.pooled, self.width, pooled),
        ];
        for (all, width, row) in rows {
            all[at * width..][..width].convert_from_f32_slice(row);
        }
    }

    /// Scales the pooled vectors to a mean square of 1 per number, so that a distance from them
    /// weighs the same whatever the teacher is.
    pub(crate) fn normalize(&mut self) {
        let squares: f64 = self.pooled.iter().map(|x| x.to_f64().powi(2)).sum();
        let mean = squares / real(self.pooled.len().max(1));
        let scale = single(mean.max(f64::MIN_POSITIVE).sqrt().recip());
        for x in &mut self.pooled {
            *x = f16::from_f32(x.to_f32() * scale);
        }
    }

    /// `[chosen, classes]` and `[chosen, width]`.
    pub(super) fn of(&self, chosen: &[usize], device: &Device) -> Result<[Tensor; 2]> {
        let rows = |values: &[f16], width: usize| {
            let mut rows = vec![0.0; chosen.len() * width];
            for (&at, row) in chosen.iter().zip(rows.chunks_exact_mut(width.max(1))) {
                values[at * width..][..width].convert_to_f32_slice(row);
            }
            Tensor::from_vec(rows, (chosen.len(), width), device)
        };
        Ok([
            rows(&self.logits, self.classes)?,
            rows(&self.pooled, self.width)?,
        ])
    }
}
