//! Embedding tables: rows of `i8` with one scale each, to be looked up.

use super::{Record, Scale, tensor_reader};
use crate::bytes::{Fault, position_of_lowest};
use crate::{ErrorKind, Section};

/// A view of an embedding table, `[rows, cols]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Embedding<'a> {
    rows: usize,
    cols: usize,
    scales: &'a [u8],
    weights: &'a [u8],
}

impl<'a> Embedding<'a> {
    /// Splits the bytes of `record` without looking at the weights.
    #[inline(never)]
    pub(crate) fn view(record: &Record, section: &'a [u8], fault: &Fault) -> Option<Self> {
        let mut reader = tensor_reader(record, section, fault)?;
        let scales = reader.take(record.rows)?;
        let weights = reader.take_items(record.rows, record.cols)?;
        reader.finish()?;
        Some(Self {
            rows: record.rows,
            cols: record.cols,
            scales,
            weights,
        })
    }

    /// Checks what [`Embedding::view`] made of `record`.
    pub(crate) fn check(&self, record: &Record, fault: &Fault) -> Option<()> {
        match position_of_lowest(self.weights) {
            Some(at) => {
                let at = record.offset + self.scales.len() + at;
                fault.found(ErrorKind::Weight, Section::Weights, at)
            }
            None => Some(()),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `index` as its scale and one `i8` (as its byte) a column; nothing
    /// outside the table.
    #[inline(never)]
    #[must_use]
    pub fn row(&self, index: usize) -> (f32, &'a [u8]) {
        if index >= self.rows {
            return (0.0, &[]);
        }
        let start = index * self.cols;
        let weights = self.weights.get(start..start + self.cols);
        match (self.scales.get(index), weights) {
            (Some(&scale), Some(weights)) => (Scale(scale).to_f32(), weights),
            _ => (0.0, &[]),
        }
    }
}
