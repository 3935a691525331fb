//! Rows of a matrix, whatever its pattern: as iterators, and as bytes for kernels.

use super::stream::{IN_STREAM, Stream, take_counted};
use super::{Pattern, ROW_SUM_LIMIT, Scale, Values, bit, bitmap, blocks, delta, dense};
use crate::ErrorKind;
use crate::bytes::{Fault, f16_at, f16_from_bits};

/// The weights of one row.
#[derive(Clone, Copy, Debug)]
pub enum RowWeights<'a> {
    /// One `i8` (as its byte) a column.
    Dense(&'a [u8]),
    /// One `i8` (as its byte) for each column of the list of `u16`.
    Columns(&'a [u8], &'a [u8]),
    /// (step, weight) pairs; the column is the running sum of the steps.
    DeltaU8(&'a [u8]),
    /// One `i8` (as its byte) for each column whose bit is set.
    Bitmap {
        /// Column 8·j + k is bit k of byte j; none after the last column is set.
        bits: &'a [u8],
        /// As many as bits are set, ascending by column.
        weights: &'a [u8],
    },
    /// Three bytes each: (step, 2 weights); the first column is the running sum of the
    /// steps, and both are columns of the matrix.
    Blocks2(&'a [u8]),
    /// Five bytes each: (step, 4 weights), likewise.
    Blocks4(&'a [u8]),
}

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

impl<'a> RowWeights<'a> {
    /// The nonzero weights as (column, weight), ascending.
    pub fn nonzeros(self) -> impl Iterator<Item = (usize, i8)> + use<'a> {
        let mut row = ByLayout::default();
        match self {
            Self::Dense(weights) => row.dense = weights,
            Self::Columns(columns, weights) => row.listed = (columns, weights),
            Self::DeltaU8(pairs) => row.delta = pairs,
            Self::Bitmap { bits, weights } => row.bitmap = (bits, weights),
            Self::Blocks2(blocks) => row.blocks2 = blocks,
            Self::Blocks4(blocks) => row.blocks4 = blocks,
        }
        dense::entries(row.dense)
            .chain(dense::listed_entries(row.listed.0, row.listed.1))
            .chain(delta::entries(row.delta))
            .chain(bitmap::entries(row.bitmap.0, row.bitmap.1))
            .chain(blocks::entries(row.blocks2, 2))
            .chain(blocks::entries(row.blocks4, 4))
            .filter(|&(_, weight)| weight != 0)
    }
}

/// A row in one of these, nothing in the others: so one iterator serves all.
#[derive(Default)]
struct ByLayout<'a> {
    dense: &'a [u8],
    listed: (&'a [u8], &'a [u8]),
    delta: &'a [u8],
    bitmap: (&'a [u8], &'a [u8]),
    blocks2: &'a [u8],
    blocks4: &'a [u8],
}

/// Iterator over the rows of a [`Matrix`](super::Matrix).
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_map: Option<&'a [u8]>,
    /// Scales of the stored rows, biases and weights that are still to come.
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

/// Rows as bytes, for kernels that read them on their own.
#[derive(Clone, Copy, Debug)]
pub struct RowBytes<'a> {
    /// Which weights of a row are stored; one that this build has.
    pub pattern: Pattern,
    /// How each is written.
    pub values: Values,
    /// The stored columns, of `u16`; empty for other patterns than [`Pattern::Columns`].
    pub columns: &'a [u8],
    /// A [`Scale`] a stored row.
    pub scales: &'a [u8],
    /// f16, one a row, cut rows included; empty for a matrix without.
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
    /// Bias of one row; 0 without.
    #[must_use]
    pub fn bias_of(&self, row: usize) -> f32 {
        f16_at(self.bias, row)
    }
}

impl<'a> Rows<'a> {
    /// What is still to come, as bytes.
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

    /// How many of the rows still to come, beginning with number `row` of them, are
    /// stored before the next cut row.
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

    /// Weights of each row that is still to come, without its scale and bias.
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

    /// Scale and bias of each row that is still to come, without its weights.
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

/// The weights of all stored rows, or of those still to come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weights<'a> {
    /// Which weights of a row are stored.
    pub(super) pattern: Pattern,
    /// How each is written.
    pub(super) values: Values,
    /// The stored columns of [`Pattern::Columns`], of `u16`.
    pub(super) columns: &'a [u8],
    /// Columns of a dense row.
    pub(super) stored: usize,
    /// Counts of blocks, half a byte for each stored row of the matrix.
    pub(super) counts: &'a [u8],
    /// Number of the next of these rows.
    pub(super) row: usize,
    pub(super) bytes: &'a [u8],
}

/// Weights after each offset of a row that has a count of them.
#[derive(Clone, Copy)]
enum Counted {
    One = 1,
    Two = 2,
    Four = 4,
}

impl<'a> Weights<'a> {
    /// The weights of the next stored row.
    #[inline]
    fn take_row(&mut self, cols: usize) -> RowWeights<'a> {
        let rest = &mut self.bytes;
        let counted = match (self.pattern.built(), self.values) {
            (Pattern::DeltaU8, Values::I8) => Counted::One,
            (Pattern::Blocks2, Values::I8) => Counted::Two,
            (Pattern::Blocks4, Values::I8) => Counted::Four,
            (Pattern::Bitmap, Values::I8) => {
                let (bits, weights) = bitmap::take_row(rest, cols);
                return RowWeights::Bitmap { bits, weights };
            }
            (Pattern::Dense, Values::I8) => {
                return RowWeights::Dense(dense::take_row(rest, self.stored));
            }
            (Pattern::Columns, Values::I8) => {
                let weights = dense::take_row(rest, self.stored);
                return RowWeights::Columns(self.columns, weights);
            }
        };
        // One copy of the code for all that have a count.
        let row = self.take_counted(counted);
        match counted {
            Counted::One => RowWeights::DeltaU8(row),
            Counted::Two => RowWeights::Blocks2(row),
            Counted::Four => RowWeights::Blocks4(row),
        }
    }

    /// Row `index` of weights that are all stored; nothing of others.
    #[inline]
    pub(super) fn dense_row(&self, index: usize) -> Option<&'a [u8]> {
        match (self.pattern, self.values) {
            (Pattern::Dense, Values::I8) => {
                self.bytes.get(index * self.stored..)?.get(..self.stored)
            }
            (
                Pattern::Columns
                | Pattern::DeltaU8
                | Pattern::Bitmap
                | Pattern::Blocks2
                | Pattern::Blocks4,
                Values::I8,
            ) => None,
        }
    }

    /// The next stored row of a pattern with counts.
    #[inline]
    fn take_counted(&mut self, counted: Counted) -> &'a [u8] {
        let half = match counted {
            Counted::One => IN_STREAM,
            Counted::Two | Counted::Four => blocks::half(self.counts, self.row),
        };
        self.row += 1;
        take_counted(&mut self.bytes, half, 1 + counted as usize).unwrap_or(&[])
    }

    /// Skips the next `rows` stored rows.
    fn skip_rows(&mut self, rows: usize, cols: usize) {
        let rest = &mut self.bytes;
        let counted = match (self.pattern.built(), self.values) {
            (Pattern::DeltaU8, Values::I8) => Counted::One,
            (Pattern::Blocks2, Values::I8) => Counted::Two,
            (Pattern::Blocks4, Values::I8) => Counted::Four,
            (Pattern::Bitmap, Values::I8) => {
                return (0..rows).for_each(|_| {
                    bitmap::take_row(rest, cols);
                });
            }
            (Pattern::Dense | Pattern::Columns, Values::I8) => {
                *rest = rest.get(rows * self.stored..).unwrap_or(&[]);
                return;
            }
        };
        for _ in 0..rows {
            self.take_counted(counted);
        }
    }

    /// Checks `rows` stored rows over `cols` columns, which end at `end` of the section.
    pub(super) fn check(&self, rows: usize, cols: usize, end: usize, fault: &Fault) -> Option<()> {
        let rest = self.bytes;
        let mut stream = Stream { rest, end, fault };
        let after_last = self.counts.last().map_or(0, |last| last >> 4);
        if !rows.is_multiple_of(2) && after_last != 0 {
            return stream.found(ErrorKind::Reserved, stream.at() - 1);
        }
        for row in 0..rows {
            let row_at = stream.at();
            let half = blocks::half(self.counts, row);
            let sum = match (self.pattern.built(), self.values) {
                (Pattern::Dense | Pattern::Columns, Values::I8) => {
                    return dense::check(self.columns, rest, cols, end, fault);
                }
                (Pattern::DeltaU8, Values::I8) => delta::check_row(&mut stream, cols)?,
                (Pattern::Bitmap, Values::I8) => bitmap::check_row(&mut stream, cols)?,
                (Pattern::Blocks2, Values::I8) => blocks::check_row(&mut stream, half, 2, cols)?,
                (Pattern::Blocks4, Values::I8) => blocks::check_row(&mut stream, half, 4, cols)?,
            };
            // Columns stay below 2¹⁶, so Σ|w| fits.
            if sum > ROW_SUM_LIMIT {
                return stream.found(ErrorKind::RowSum, row_at);
            }
        }
        if !stream.rest.is_empty() {
            return stream.found(ErrorKind::Trailing, stream.at());
        }
        Some(())
    }
}
