//! What a teacher said of every text of a course.

use candle_core::{Device, Result, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use sha2::{Digest as _, Sha256};

use crate::numbers::{real, single};

/// How a file of answers begins.
const MAGIC: &[u8] = b"neuroprune answers 1\n";

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

    /// As a file that [`Answers::read`] knows again by `digest`, that of what they were made from.
    pub(crate) fn to_bytes(&self, digest: [u8; 32]) -> Vec<u8> {
        let numbers = self.logits.iter().chain(&self.pooled);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(digest);
        bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        bytes
    }

    /// Those of `texts` texts that were made from what `digest` says; nothing where `bytes` are anything
    /// else, or not whole.
    pub(crate) fn read(
        bytes: &[u8],
        digest: [u8; 32],
        texts: usize,
        [classes, width]: [usize; 2],
    ) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<32>()?;
        let numbers = content.strip_prefix(MAGIC)?.strip_prefix(&digest)?;
        let (numbers, rest) = numbers.as_chunks::<2>();
        let is_whole = rest.is_empty() && numbers.len() == texts * (classes + width);
        if !is_whole || *sum != <[u8; 32]>::from(Sha256::digest(content)) {
            return None;
        }
        let all = |numbers: &[[u8; 2]]| numbers.iter().map(|it| f16::from_le_bytes(*it)).collect();
        let (logits, pooled) = numbers.split_at(texts * classes);
        Some(Self {
            logits: all(logits),
            classes,
            pooled: all(pooled),
            width,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_answers_is_read_back_or_not_at_all() {
        let mut answers = Answers::new(3, 2, 4);
        for at in 0..3_u8 {
            let number = f32::from(at);
            answers.set(at.into(), &[number, -1.5], &[0.25, number, 3.0, -number]);
        }
        answers.normalize();
        let bytes = answers.to_bytes([7; 32]);
        let read = |bytes: &[u8], digest, texts| Answers::read(bytes, digest, texts, [2, 4]);
        let again = read(&bytes, [7; 32], 3).unwrap();
        assert_eq!(again.logits, answers.logits);
        assert_eq!(again.pooled, answers.pooled);
        assert!(read(&bytes, [8; 32], 3).is_none());
        assert!(read(&bytes, [7; 32], 2).is_none());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], [7; 32], 3).is_none());
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(read(&flipped, [7; 32], 3).is_none(), "byte {at}");
        }
    }
}
