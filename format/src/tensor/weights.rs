//! The stored weights of a matrix, row by row, for any pattern and values.

use super::stream::{IN_STREAM, Stream, take_counted};
use super::{Pattern, ROW_SUM_LIMIT, Values, bitmap, blocks, delta, dense};
use crate::ErrorKind;
use crate::bytes::Fault;

/// The weights of one row.
#[derive(Clone, Copy, Debug)]
pub enum RowWeights<'a> {
    /// One `i8` (as a byte) per column.
    Dense(&'a [u8]),
    /// One `i8` (as a byte) for each column of the list of `u16`.
    Columns(&'a [u8], &'a [u8]),
    /// (step, weight) pairs; the column is the running sum of the steps.
    DeltaU8(&'a [u8]),
    /// One `i8` (as a byte) for each column whose bit is set.
    Bitmap {
        /// Column 8·j + k is bit k of byte j; none after the last column is set.
        bits: &'a [u8],
        /// One per set bit, ascending by column.
        weights: &'a [u8],
    },
    /// Three bytes each: (step, 2 weights); the first column is the running sum of the
    /// steps, and both are columns of the matrix.
    Blocks2(&'a [u8]),
    /// Five bytes each: (step, 4 weights), likewise.
    Blocks4(&'a [u8]),
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

/// A row in one of these, nothing in the others, so that one iterator serves all.
#[derive(Default)]
struct ByLayout<'a> {
    dense: &'a [u8],
    listed: (&'a [u8], &'a [u8]),
    delta: &'a [u8],
    bitmap: (&'a [u8], &'a [u8]),
    blocks2: &'a [u8],
    blocks4: &'a [u8],
}

/// The weights of all stored rows, or of the remaining ones.
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

/// Weights after each column step, in rows that have a count.
#[derive(Clone, Copy)]
enum Counted {
    One = 1,
    Two = 2,
    Four = 4,
}

impl<'a> Weights<'a> {
    /// The weights of the next stored row.
    #[inline]
    pub(super) fn take_row(&mut self, cols: usize) -> RowWeights<'a> {
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
        // One copy of the code for all patterns with a count.
        let row = self.take_counted(counted);
        match counted {
            Counted::One => RowWeights::DeltaU8(row),
            Counted::Two => RowWeights::Blocks2(row),
            Counted::Four => RowWeights::Blocks4(row),
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
    pub(super) fn skip_rows(&mut self, rows: usize, cols: usize) {
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

    /// Whether all rows have the same number of weights, of one byte each.
    fn are_bytes(&self) -> bool {
        match (self.pattern.built(), self.values) {
            (Pattern::Dense | Pattern::Columns, Values::I8) => true,
            (
                Pattern::DeltaU8 | Pattern::Bitmap | Pattern::Blocks2 | Pattern::Blocks4,
                Values::I8,
            ) => false,
        }
    }

    /// Checks `rows` stored rows over `cols` columns, which end at `end` in the section.
    pub(super) fn check(&self, rows: usize, cols: usize, end: usize, fault: &Fault) -> Option<()> {
        let rest = self.bytes;
        let mut stream = Stream { rest, end, fault };
        let after_last = self.counts.last().map_or(0, |last| last >> 4);
        if !rows.is_multiple_of(2) && after_last != 0 {
            return stream.found(ErrorKind::Reserved, stream.at() - 1);
        }
        // Also if no row is stored: the list of columns is checked anyway.
        if self.are_bytes() {
            return dense::check(self.columns, rest, cols, end, fault);
        }
        for row in 0..rows {
            let row_at = stream.at();
            let half = blocks::half(self.counts, row);
            let sum = match (self.pattern.built(), self.values) {
                // Checked above; here their bytes would be left over.
                (Pattern::Dense | Pattern::Columns, Values::I8) => 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernels read columns without bounds checks, so the list is checked even without rows.
    #[test]
    fn columns_are_checked_where_no_row_is_stored() {
        let checked = |columns: [u16; 3]| {
            let columns = columns.map(u16::to_le_bytes);
            let weights = Weights {
                pattern: Pattern::Columns,
                columns: columns.as_flattened(),
                stored: 3,
                ..Weights::default()
            };
            Fault::catch(|fault| weights.check(0, 32, 100, fault)).map_err(|error| error.kind)
        };
        assert_eq!(checked([0, 7, 31]), Ok(()));
        for columns in [[0, 7, 32], [60_000, 60_001, 65_535], [7, 7, 8], [9, 8, 10]] {
            assert!(checked(columns).is_err(), "{columns:?}");
        }
    }
}
