//! Rows of a matrix in any pattern: as iterators, and as bytes for kernels.

use super::weights::{RowWeights, Weights};
use super::{Pattern, Scale, Values, bit};
use crate::bytes::{f16_at, f16_from_bits};

/// One row of a matrix: `y = scale · Σ w·x + bias`.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Value of one unit of the integer weights.
    pub scale: f32,
    /// Added after scaling.
    pub bias: f32,
    /// The stored weights; empty for a cut row.
    pub weights: RowWeights<'a>,
}

/// Iterator over the rows of a [`Matrix`](super::Matrix).
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_map: Option<&'a [u8]>,
    /// Scales of the stored rows, biases and weights that are not read yet.
    pub(super) scales: &'a [u8],
    pub(super) bias: &'a [u8],
    pub(super) weights: Weights<'a>,
}

/// What is done with the sum of a row: `y = scale · Σ w·x + bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Value of one unit of the integer weights.
    pub scale: f32,
    /// Added after scaling.
    pub bias: f32,
}

/// Rows as bytes, for kernels that read them themselves.
#[derive(Clone, Copy, Debug)]
pub struct RowBytes<'a> {
    /// Which weights of a row are stored; a pattern that this build has.
    pub pattern: Pattern,
    /// How each is written.
    pub values: Values,
    /// The stored columns, of `u16`; empty for other patterns than [`Pattern::Columns`].
    pub columns: &'a [u8],
    /// One [`Scale`] per stored row.
    pub scales: &'a [u8],
    /// f16, one per row, cut rows included; empty for a matrix without biases.
    pub bias: &'a [u8],
    /// Counts of blocks, half a byte for each stored row of the matrix, the lower first: 0
    /// where the row itself begins with its count. Empty for other layouts.
    pub counts: &'a [u8],
    /// Stored rows of the matrix before these, where there are counts.
    pub before: usize,
    /// The stored rows, one after the other.
    pub weights: &'a [u8],
}

impl RowBytes<'_> {
    /// Bias of one row; 0 if there are none.
    #[must_use]
    pub fn bias_of(&self, row: usize) -> f32 {
        f16_at(self.bias, row)
    }
}

impl<'a> Rows<'a> {
    /// The remaining rows, as bytes.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> RowBytes<'a> {
        RowBytes {
            pattern: self.weights.pattern.built(),
            values: self.weights.values,
            columns: self.weights.columns,
            scales: self.scales,
            bias: self.bias,
            counts: self.weights.counts,
            before: self.weights.row,
            weights: self.weights.bytes,
        }
    }

    /// How many of the remaining rows, beginning with number `row` of them, are stored before the
    /// next cut row.
    #[must_use]
    pub fn stored_from(&self, row: usize) -> usize {
        let rows = self.row + row..self.rows;
        match self.row_map {
            Some(map) => rows.take_while(|&row| bit(map, row)).count(),
            None => rows.len(),
        }
    }

    /// Skips the next `count` rows.
    pub fn skip_rows(&mut self, count: usize) {
        let rows = self.row..self.row + count.min(self.rows - self.row);
        self.row = rows.end;
        self.bias = self.bias.get(rows.len() * 2..).unwrap_or(&[]);
        let stored = match self.row_map {
            Some(map) => rows.filter(|&row| bit(map, row)).count(),
            None => rows.len(),
        };
        self.scales = self.scales.get(stored..).unwrap_or(&[]);
        self.weights.skip_rows(stored, self.cols);
    }

    /// Inputs of every row.
    #[inline]
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Weights of each remaining row, without its scale and bias.
    #[inline]
    pub fn weights(&self) -> impl Iterator<Item = RowWeights<'a>> + use<'a> {
        let Self {
            row,
            rows,
            cols,
            row_map,
            mut weights,
            ..
        } = *self;
        (row..rows).map(move |row| match row_map {
            Some(map) if !bit(map, row) => RowWeights::DeltaU8(&[]),
            _ => weights.take_row(cols),
        })
    }

    /// Scale and bias of each remaining row, without its weights.
    #[inline]
    pub fn affine(&self) -> impl Iterator<Item = Affine> + use<'a> {
        let Self {
            row,
            rows,
            row_map,
            mut scales,
            mut bias,
            ..
        } = *self;
        (row..rows).map(move |row| Affine {
            bias: take_f16(&mut bias),
            scale: match row_map {
                Some(map) if !bit(map, row) => 0.0,
                _ => take_scale(&mut scales),
            },
        })
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        if self.row == self.rows {
            return None;
        }
        let bias = take_f16(&mut self.bias);
        let cut = self.row_map.is_some_and(|map| !bit(map, self.row));
        self.row += 1;
        if cut {
            let weights = RowWeights::DeltaU8(&[]);
            return Some(Row {
                scale: 0.0,
                bias,
                weights,
            });
        }
        let scale = take_scale(&mut self.scales);
        let weights = self.weights.take_row(self.cols);
        Some(Row {
            scale,
            bias,
            weights,
        })
    }
}

/// The next scale, or 0 after the last.
#[inline]
fn take_scale(rest: &mut &[u8]) -> f32 {
    match rest.split_first() {
        Some((&scale, after)) => {
            *rest = after;
            Scale(scale).to_f32()
        }
        None => 0.0,
    }
}

/// The next f16, or 0 after the last.
#[inline]
fn take_f16(rest: &mut &[u8]) -> f32 {
    match rest.split_first_chunk::<2>() {
        Some((bits, after)) => {
            *rest = after;
            f16_from_bits(u16::from_le_bytes(*bits))
        }
        None => 0.0,
    }
}
