//! What a teacher said of every text of a course.

use candle_core::{Device, Result, Tensor};

use crate::numbers::{real, single};

/// Logits and pooled vectors of a teacher, text by text.
#[derive(Clone, Debug)]
pub struct Answers {
    /// `[texts, classes]`.
    logits: Vec<f32>,
    classes: usize,
    /// `[texts, width]`.
    pooled: Vec<f32>,
    width: usize,
}

impl Answers {
    /// Room for those of `texts` texts.
    pub(crate) fn new(texts: usize, classes: usize, width: usize) -> Self {
        Self {
            logits: vec![0.0; texts * classes],
            classes,
            pooled: vec![0.0; texts * width],
            width,
        }
    }

    /// The answer to text `at`.
    pub(crate) fn set(&mut self, at: usize, logits: &[f32], pooled: &[f32]) {
        self.logits[at * self.classes..][..self.classes].copy_from_slice(logits);
        self.pooled[at * self.width..][..self.width].copy_from_slice(pooled);
    }

    /// Scales the pooled vectors to a mean square of 1 per number, so that a distance from them
    /// weighs the same whatever the teacher is.
    pub(crate) fn normalize(&mut self) {
        let squares: f64 = self.pooled.iter().map(|&x| f64::from(x).powi(2)).sum();
        let mean = squares / real(self.pooled.len().max(1));
        let scale = single(mean.max(f64::MIN_POSITIVE).sqrt().recip());
        self.pooled.iter_mut().for_each(|x| *x *= scale);
    }

    /// `[chosen, classes]` and `[chosen, width]`.
    pub(super) fn of(&self, chosen: &[usize], device: &Device) -> Result<[Tensor; 2]> {
        let rows = |values: &[f32], width: usize| {
            let rows = chosen.iter().flat_map(|&at| &values[at * width..][..width]);
            Tensor::from_vec(rows.copied().collect(), (chosen.len(), width), device)
        };
        Ok([
            rows(&self.logits, self.classes)?,
            rows(&self.pooled, self.width)?,
        ])
    }
}
