//! Embedding tables: rows of `i8` with one scale each, to be looked up.

use super::{Record, is_scale, tensor_reader};
use crate::bytes::{f16_at, position_of_lowest, u16_at};
use crate::{ErrorKind, FormatError, Section};

/// A view of an embedding table, `[rows, cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    rows: usize,
    cols: usize,
    scales: &'a [u8],
    weights: &'a [u8],
}

impl<'a> Embedding<'a> {
    pub(crate) fn read(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let embedding = Self::view(record, section)?;
        for index in 0..embedding.rows {
            if !is_scale(u16_at(embedding.scales, index * 2)) {
                let at = record.offset + index * 2;
                return Err(FormatError::new(ErrorKind::Scale, Section::Weights, at));
            }
        }
        if let Some(at) = position_of_lowest(embedding.weights) {
            let at = record.offset + embedding.scales.len() + at;
            return Err(FormatError::new(ErrorKind::Weight, Section::Weights, at));
        }
        Ok(embedding)
    }

    pub(crate) fn view(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = tensor_reader(record, section)?;
        let scales = reader.take_items(record.rows, 2)?;
        let weights = reader.take_items(record.rows, record.cols)?;
        reader.finish()?;
        Ok(Self {
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
