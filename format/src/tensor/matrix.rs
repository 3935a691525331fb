//! Weight matrices: what every layout begins with, and rows whatever the layout.

use super::dense::Dense;
use super::{
    BIAS, LayoutKind, ROW_MAP, Record, bit, bitmap, blocks, delta, dense, is_scale, tensor_reader,
};
use crate::bytes::{f16_at, f16_from_bits, is_finite_f16, u16_at};
use crate::{ErrorKind, FormatError, Section};

/// A view of one weight matrix, `[rows, cols]`, row = output.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    rows: usize,
    cols: usize,
    query_rows: usize,
    scales: &'a [u8],
    bias: &'a [u8],
    row_map: Option<&'a [u8]>,
    weights: Weights<'a>,
}

/// The weights of all stored rows, by layout.
#[derive(Clone, Copy, Debug)]
enum Weights<'a> {
    Dense(Dense<'a>),
    DeltaU8(&'a [u8]),
    Bitmap(&'a [u8]),
    Blocks2(&'a [u8]),
    Blocks4(&'a [u8]),
}

impl<'a> Weights<'a> {
    /// The weights of the next stored row.
    #[inline]
    fn take_row(&self, rest: &mut &'a [u8], cols: usize) -> RowWeights<'a> {
        match self {
            Self::Dense(dense) => dense.take_row(rest),
            Self::DeltaU8(_) => RowWeights::DeltaU8(delta::take_row(rest)),
            Self::Bitmap(_) => {
                let (bits, weights) = bitmap::take_row(rest, cols);
                RowWeights::Bitmap { bits, weights }
            }
            Self::Blocks2(_) => RowWeights::Blocks2(blocks::take_row(rest, 2)),
            Self::Blocks4(_) => RowWeights::Blocks4(blocks::take_row(rest, 4)),
        }
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
    /// Splits and checks the bytes of `record`.
    pub(crate) fn read(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let matrix = Self::view(record, section)?;
        matrix.check(record)?;
        Ok(matrix)
    }

    /// Splits the bytes of `record` without looking at the weights.
    pub(crate) fn view(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = tensor_reader(record, section)?;
        let stored_rows_at = reader.position();
        let row_map = if record.flags & ROW_MAP != 0 {
            Some(reader.take(record.rows.div_ceil(8))?)
        } else {
            None
        };
        let stored_rows = match row_map {
            Some(map) => {
                let set: u32 = map.iter().map(|byte| byte.count_ones()).sum();
                let beyond = (record.rows..map.len() * 8).any(|row| bit(map, row));
                if beyond {
                    return Err(reader.error_at(ErrorKind::Reserved, stored_rows_at));
                }
                set as usize
            }
            None => record.rows,
        };
        if reader.position() % 2 != 0 {
            reader.reserved(1)?;
        }
        let scales = reader.take_items(stored_rows, 2)?;
        let bias = if record.flags & BIAS != 0 {
            reader.take_items(record.rows, 2)?
        } else {
            &[]
        };
        let weights = match record.layout {
            LayoutKind::Dense => Weights::Dense(Dense::view(&mut reader, record, stored_rows)?),
            LayoutKind::DeltaU8 => Weights::DeltaU8(reader.rest()),
            LayoutKind::Bitmap => Weights::Bitmap(reader.rest()),
            LayoutKind::Blocks2 => Weights::Blocks2(reader.rest()),
            LayoutKind::Blocks4 => Weights::Blocks4(reader.rest()),
            LayoutKind::Embedding | LayoutKind::Norm => {
                return Err(reader.error(ErrorKind::Shape));
            }
        };
        Ok(Self {
            rows: record.rows,
            cols: record.cols,
            query_rows: record.query_rows,
            scales,
            bias,
            row_map,
            weights,
        })
    }

    fn check(&self, record: &Record) -> Result<(), FormatError> {
        let error = |kind, at: usize| FormatError::new(kind, Section::Weights, at);
        let scales_at = record.offset + self.row_map.map_or(0, |map| map.len().next_multiple_of(2));
        for index in 0..self.scales.len() / 2 {
            if !is_scale(u16_at(self.scales, index * 2)) {
                return Err(error(ErrorKind::Scale, scales_at + index * 2));
            }
        }
        let bias_at = scales_at + self.scales.len();
        for index in 0..self.bias.len() / 2 {
            if !is_finite_f16(u16_at(self.bias, index * 2)) {
                return Err(error(ErrorKind::Scale, bias_at + index * 2));
            }
        }
        let (rows, cols) = (self.scales.len() / 2, self.cols);
        let end = record.offset + record.length;
        let (stream, checked) = match self.weights {
            Weights::Dense(dense) => return dense.check(cols, end),
            Weights::DeltaU8(stream) => (stream, delta::check_rows(stream, rows, cols)),
            Weights::Bitmap(stream) => (stream, bitmap::check_rows(stream, rows, cols)),
            Weights::Blocks2(stream) => (stream, blocks::check_rows(stream, rows, 2, cols)),
            Weights::Blocks4(stream) => (stream, blocks::check_rows(stream, rows, 4, cols)),
        };
        checked.map_err(|(kind, at)| error(kind, end - stream.len() + at))
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
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Rows<'a> {
        Rows {
            row: 0,
            rows: self.rows,
            cols: self.cols,
            row_map: self.row_map,
            scales: self.scales,
            bias: self.bias,
            layout: self.weights,
            rest: match self.weights {
                Weights::Dense(dense) => dense.weights,
                Weights::DeltaU8(stream)
                | Weights::Bitmap(stream)
                | Weights::Blocks2(stream)
                | Weights::Blocks4(stream) => stream,
            },
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
    rest: &'a [u8],
    layout: Weights<'a>,
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
    /// f16, one a stored row.
    pub scales: &'a [u8],
    /// f16, one a row, cut rows included; empty for a matrix without.
    pub bias: &'a [u8],
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
    #[must_use]
    pub fn bytes(&self) -> RowBytes<'a> {
        let layout = match self.layout {
            Weights::Dense(dense) => dense.columns.is_none().then_some(LayoutKind::Dense),
            Weights::DeltaU8(_) => Some(LayoutKind::DeltaU8),
            Weights::Bitmap(_) => Some(LayoutKind::Bitmap),
            Weights::Blocks2(_) => Some(LayoutKind::Blocks2),
            Weights::Blocks4(_) => Some(LayoutKind::Blocks4),
        };
        RowBytes {
            layout,
            scales: self.scales,
            bias: self.bias,
            weights: self.rest,
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
            mut rest,
            layout,
            ..
        } = *self;
        (row..rows).map(move |row| match row_map {
            Some(map) if !bit(map, row) => RowWeights::DeltaU8(&[]),
            _ => layout.take_row(&mut rest, cols),
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
                _ => take_f16(&mut scales),
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
        let scale = take_f16(&mut self.scales);
        let weights = self.layout.take_row(&mut self.rest, self.cols);
        Some(Row {
            scale,
            bias,
            weights,
        })
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
