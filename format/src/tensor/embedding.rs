//! Embedding tables: rows of `i8` with one scale each, to be looked up.

use super::{Record, check_numbers, tensor_reader};
use crate::ErrorKind;
use crate::bytes::{Fault, f16_at, position_of_lowest};

/// A view of an embedding table, `[rows, cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    rows: usize,
    cols: usize,
    scales: &'a [u8],
    weights: &'a [u8],
}

impl<'a> Embedding<'a> {
    /// Splits and checks the bytes of `record`.
    pub(crate) fn read(
        record: &Record,
        section: &'a [u8],
        fault: &Fault,
    ) -> Option<Self> {
        let mut reader = tensor_reader(record, section, fault)?;
        let scales_at = reader.position();
        let scales = reader.take_items(record.rows, 2)?;
        let weights_at = reader.position();
        let weights = reader.take_items(record.rows, record.cols)?;
        reader.finish()?;
        check_numbers(scales, scales_at, true, fault)?;
        if let Some(at) = position_of_lowest(weights) {
            return reader.found(ErrorKind::Weight, weights_at + at);
        }
        Some(Self {
            rows: record.rows,
            cols: record.cols,
            scales,
            weights,
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `index` as its scale and one `i8` (as its byte) a column; nothing
    /// outside the table.
    #[inline]
    #[must_use]
    pub fn row(&self, index: usize) -> (f32, &'a [u8]) {
        if index >= self.rows {
            return (0.0, &[]);
        }
        let start = index * self.cols;
        match self.weights.get(start..start + self.cols) {
            Some(weights) => (f16_at(self.scales, index), weights),
            None => (0.0, &[]),
        }
    }
}
