//! Weight matrices: what every layout begins with, and rows whatever the layout.

use super::stream::{IN_STREAM, Stream, take_counted};
use super::{
    BIAS, COLUMN_LIST, LayoutKind, ROW_MAP, ROW_SUM_LIMIT, Record, Scale, bit, bitmap, blocks,
    check_numbers, delta, dense, tensor_reader,
};
use crate::ErrorKind;
use crate::bytes::{Fault, f16_at, f16_from_bits};

/// A view of one weight matrix, `[rows, cols]`, row = output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Matrix<'a> {
    rows: usize,
    cols: usize,
    query_rows: usize,
    scales: &'a [u8],
    bias: &'a [u8],
    row_map: Option<&'a [u8]>,
    weights: Weights<'a>,
}

/// The weights of all stored rows, or of those still to come.
#[derive(Clone, Copy, Debug, Default)]
struct Weights<'a> {
    /// One of a matrix.
    layout: LayoutKind,
    /// The list of columns of a dense matrix.
    columns: Option<&'a [u8]>,
    /// Columns of a dense row.
    stored: usize,
    /// Counts of blocks, half a byte for each stored row of the matrix.
    counts: &'a [u8],
    /// Number of the next of these rows.
    row: usize,
    bytes: &'a [u8],
}

impl<'a> Weights<'a> {
    /// The weights of the next stored row.
    #[inline]
    fn take_row(&mut self, cols: usize) -> RowWeights<'a> {
        let rest = &mut self.bytes;
        let width = match self.layout.built() {
            LayoutKind::DeltaU8 => 1,
            LayoutKind::Blocks2 => 2,
            LayoutKind::Blocks4 => 4,
            LayoutKind::Bitmap => {
                let (bits, weights) = bitmap::take_row(rest, cols);
                return RowWeights::Bitmap { bits, weights };
            }
            _ => {
                let weights = dense::take_row(rest, self.stored);
                return match self.columns {
                    Some(columns) => RowWeights::Columns(columns, weights),
                    None => RowWeights::Dense(weights),
                };
            }
        };
        // One copy of the code for all that have a count.
        let row = self.take_counted(width);
        match width {
            1 => RowWeights::DeltaU8(row),
            2 => RowWeights::Blocks2(row),
            _ => RowWeights::Blocks4(row),
        }
    }

    /// The next stored row of a layout with counts and `width` weights a step.
    #[inline]
    fn take_counted(&mut self, width: usize) -> &'a [u8] {
        let half = match width {
            1 => IN_STREAM,
            _ => blocks::half(self.counts, self.row),
        };
        self.row += 1;
        take_counted(&mut self.bytes, half, 1 + width).unwrap_or(&[])
    }

    /// Goes on behind the next `rows` stored rows.
    fn skip_rows(&mut self, rows: usize, cols: usize) {
        let rest = &mut self.bytes;
        let width = match self.layout.built() {
            LayoutKind::DeltaU8 => 1,
            LayoutKind::Blocks2 => 2,
            LayoutKind::Blocks4 => 4,
            LayoutKind::Bitmap => {
                return (0..rows).for_each(|_| {
                    bitmap::take_row(rest, cols);
                });
            }
            _ => {
                *rest = rest.get(rows * self.stored..).unwrap_or(&[]);
                return;
            }
        };
        for _ in 0..rows {
            self.take_counted(width);
        }
    }

    /// Checks `rows` stored rows over `cols` columns, which end at `end` of the section.
    fn check(&self, rows: usize, cols: usize, end: usize, fault: &Fault) -> Option<()> {
        let rest = self.bytes;
        if self.layout == LayoutKind::Dense {
            return dense::check(self.columns.unwrap_or(&[]), rest, cols, end, fault);
        }
        let mut stream = Stream { rest, end, fault };
        let behind = self.counts.last().map_or(0, |last| last >> 4);
        if !rows.is_multiple_of(2) && behind != 0 {
            return stream.found(ErrorKind::Reserved, stream.at() - 1);
        }
        for row in 0..rows {
            let row_at = stream.at();
            let half = blocks::half(self.counts, row);
            let sum = match self.layout.built() {
                LayoutKind::Bitmap => bitmap::check_row(&mut stream, cols)?,
                LayoutKind::Blocks2 => blocks::check_row(&mut stream, half, 2, cols)?,
                LayoutKind::Blocks4 => blocks::check_row(&mut stream, half, 4, cols)?,
                _ => delta::check_row(&mut stream, cols)?,
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
        /// Column 8·j + k is bit k of byte j; none behind the last column is set.
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
    /// Added behind the scaling.
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

impl<'a> Matrix<'a> {
    /// Splits the bytes of `record` without looking at the weights.
    #[inline(never)]
    pub(crate) fn view(record: &Record, section: &'a [u8], fault: &Fault) -> Option<Self> {
        let mut reader = tensor_reader(record, section, fault)?;
        let mut bias: &[u8] = &[];
        if record.flags & BIAS != 0 {
            bias = reader.take_items(record.rows, 2)?;
        }
        let mut row_map = None;
        let mut stored_rows = record.rows;
        if record.flags & ROW_MAP != 0 {
            let map_at = reader.position();
            let map = reader.take(record.rows.div_ceil(8))?;
            // What is left of the last byte behind the last row.
            let behind = record.rows % 8;
            if behind != 0 && map.last().is_some_and(|last| last >> behind != 0) {
                return reader.found(ErrorKind::Reserved, map_at);
            }
            stored_rows = map.iter().map(|byte| byte.count_ones() as usize).sum();
            row_map = Some(map);
        }
        let scales = reader.take(stored_rows)?;
        let mut weights = Weights {
            layout: record.layout,
            columns: None,
            stored: record.cols,
            ..Weights::default()
        };
        if record.layout == LayoutKind::Dense {
            if record.flags & COLUMN_LIST != 0 {
                weights.stored = usize::from(reader.u16()?);
                weights.columns = Some(reader.take_items(weights.stored, 2)?);
            }
            weights.bytes = reader.take_items(stored_rows, weights.stored)?;
            reader.finish()?;
        } else {
            if matches!(record.layout, LayoutKind::Blocks2 | LayoutKind::Blocks4) {
                weights.counts = reader.take(stored_rows.div_ceil(2))?;
            }
            weights.bytes = reader.rest();
        }
        Some(Self {
            rows: record.rows,
            cols: record.cols,
            query_rows: record.query_rows,
            scales,
            bias,
            row_map,
            weights,
        })
    }

    /// Checks what [`Matrix::view`] made of `record`.
    pub(crate) fn check(&self, record: &Record, fault: &Fault) -> Option<()> {
        check_numbers(self.bias, record.offset, fault)?;
        let end = record.offset + record.length;
        self.weights.check(self.scales.len(), self.cols, end, fault)
    }

    /// Outputs, cut rows included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Query rows of a head; as many key rows follow, the rest are value rows.
    #[must_use]
    pub fn query_rows(&self) -> usize {
        self.query_rows
    }

    /// Value rows of a head.
    #[must_use]
    pub fn value_rows(&self) -> usize {
        self.rows - 2 * self.query_rows
    }

    /// Every row in order, cut rows as rows without weights.
    #[inline(never)]
    #[must_use]
    pub fn iter(&self) -> Rows<'a> {
        Rows {
            row: 0,
            rows: self.rows,
            cols: self.cols,
            row_map: self.row_map,
            scales: self.scales,
            bias: self.bias,
            weights: self.weights,
        }
    }

    /// Number of nonzero weights.
    #[must_use]
    pub fn count_nonzeros(&self) -> usize {
        self.iter().map(|row| row.weights.nonzeros().count()).sum()
    }
}

/// Iterator over the rows of a [`Matrix`].
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    row: usize,
    rows: usize,
    cols: usize,
    row_map: Option<&'a [u8]>,
    /// Scales of the stored rows, biases and weights that are still to come.
    scales: &'a [u8],
    bias: &'a [u8],
    weights: Weights<'a>,
}

/// What is done with the sum of a row: `y = scale · Σ w·x + bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Value of one unit of the integer weights.
    pub scale: f32,
    /// Added behind the scaling.
    pub bias: f32,
}

/// Rows as bytes, for kernels that read them on their own.
#[derive(Clone, Copy, Debug)]
pub struct RowBytes<'a> {
    /// How `weights` are laid out; `None` for a matrix with a list of columns.
    pub layout: Option<LayoutKind>,
    /// That list, of `u16`.
    pub columns: Option<&'a [u8]>,
    /// A [`Scale`] a stored row.
    pub scales: &'a [u8],
    /// f16, one a row, cut rows included; empty for a matrix without.
    pub bias: &'a [u8],
    /// Counts of blocks, half a byte for each stored row of the matrix, the lower first: 0
    /// where the row itself begins with its count. Empty for other layouts.
    pub counts: &'a [u8],
    /// Stored rows of the matrix before these, where there are counts.
    pub before: usize,
    /// The stored rows, one behind the other.
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
        // Written out, so that the compiler sees which layouts this build does not have.
        let layout = match self.weights.layout {
            LayoutKind::DeltaU8 => Some(LayoutKind::DeltaU8),
            LayoutKind::Bitmap if cfg!(feature = "bitmap") => Some(LayoutKind::Bitmap),
            LayoutKind::Blocks2 if cfg!(feature = "blocks") => Some(LayoutKind::Blocks2),
            LayoutKind::Blocks4 if cfg!(feature = "blocks") => Some(LayoutKind::Blocks4),
            _ if self.weights.columns.is_some() => None,
            _ => Some(LayoutKind::Dense),
        };
        RowBytes {
            layout,
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

    /// Goes on behind the next `count` rows.
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

/// The next scale, or 0 behind the last.
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

/// The next f16, or 0 behind the last.
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
