//! A weight matrix: what its bytes begin with, and what is checked.

use super::rows::Rows;
use super::weights::Weights;
use super::{BIAS, Layout, Pattern, ROW_MAP, Record, Values, check_numbers, tensor_reader};
use crate::bytes::Fault;
use crate::{ErrorKind, Section};

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

impl<'a> Matrix<'a> {
    /// Splits the bytes of `record` without looking at the weights.
    #[inline(never)]
    pub(crate) fn view(record: &Record, section: &'a [u8], fault: &Fault) -> Option<Self> {
        let Layout::Matrix(pattern, values) = record.layout else {
            return fault.found(ErrorKind::Tag, Section::Tensors, 1);
        };
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
            // The bits of the last byte after the last row.
            let used = record.rows % 8;
            if used != 0 && map.last().is_some_and(|last| last >> used != 0) {
                return reader.found(ErrorKind::Reserved, map_at);
            }
            stored_rows = map.iter().map(|byte| byte.count_ones() as usize).sum();
            row_map = Some(map);
        }
        let scales = reader.take(stored_rows)?;
        let mut weights = Weights {
            pattern,
            values,
            columns: &[],
            stored: record.cols,
            ..Weights::default()
        };
        match (weights.pattern, weights.values) {
            (Pattern::Dense | Pattern::Columns, Values::I8) => {
                if weights.pattern == Pattern::Columns {
                    weights.stored = usize::from(reader.u16()?);
                    weights.columns = reader.take_items(weights.stored, 2)?;
                }
                weights.bytes = reader.take_items(stored_rows, weights.stored)?;
                reader.finish()?;
            }
            (Pattern::DeltaU8 | Pattern::Bitmap, Values::I8) => weights.bytes = reader.rest(),
            (Pattern::Blocks2 | Pattern::Blocks4, Values::I8) => {
                weights.counts = reader.take(stored_rows.div_ceil(2))?;
                weights.bytes = reader.rest();
            }
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

    /// Checks the view that [`Matrix::view`] made of `record`.
    pub(crate) fn check(&self, record: &Record, fault: &Fault) -> Option<()> {
        let end = record.offset + record.length;
        check_numbers(self.bias, record.offset, fault)?;
        self.weights.check(self.scales.len(), self.cols, end, fault)
    }

    /// Outputs, cut rows included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the file states row by row which rows are cut.
    #[must_use]
    pub fn has_row_map(&self) -> bool {
        self.row_map.is_some()
    }

    /// Whether rows have a bias.
    #[must_use]
    pub fn has_bias(&self) -> bool {
        !self.bias.is_empty()
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
