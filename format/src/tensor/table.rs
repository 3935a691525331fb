//! Tables of rows that are looked up: one scale per row, then the rows.

use super::layout::TableValues;
use super::{Record, Scale, tensor_reader};
use crate::bytes::{Fault, position_of_lowest};
use crate::tensor::Layout;
use crate::{ErrorKind, Section};

/// A view of one table, `[rows, cols]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Table<'a> {
    cols: usize,
    values: TableValues,
    scales: &'a [u8],
    bytes: &'a [u8],
}

/// One row of a table: weights in units of its scale.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<'a> {
    /// Value of one unit.
    pub scale: f32,
    /// How each weight is written.
    pub values: TableValues,
    /// As many as the columns take.
    pub bytes: &'a [u8],
}

impl<'a> Table<'a> {
    /// Splits the bytes of `record` without looking at the weights.
    #[inline(never)]
    pub(crate) fn view(record: &Record, section: &'a [u8], fault: &Fault) -> Option<Self> {
        let Layout::Table(values) = record.layout else {
            return fault.found(ErrorKind::Tag, Section::Tensors, 1);
        };
        let values = values.built();
        let mut reader = tensor_reader(record, section, fault)?;
        let scales = reader.take(record.rows)?;
        let bytes = reader.take_items(record.rows, values.row_bytes(record.cols))?;
        reader.finish()?;
        Some(Self {
            cols: record.cols,
            values,
            scales,
            bytes,
        })
    }

    /// Checks the view that [`Table::view`] made of `record`.
    pub(crate) fn check(&self, record: &Record, fault: &Fault) -> Option<()> {
        let begin = record.offset + self.scales.len();
        let wrong = match self.values.built() {
            TableValues::I8 => position_of_lowest(self.bytes),
            TableValues::I4 => self.position_of_wrong_half(),
        };
        match wrong {
            Some(at) => fault.found(ErrorKind::Weight, Section::Weights, begin + at),
            None => Some(()),
        }
    }

    /// The first byte with a half of −8, or with a second half after the last column of a row.
    fn position_of_wrong_half(&self) -> Option<usize> {
        let is_wrong = |&byte: &u8| byte & 0x0f == 0x08 || byte & 0xf0 == 0x80;
        let lowest = self.bytes.iter().position(is_wrong);
        if self.cols.is_multiple_of(2) {
            return lowest;
        }
        let row = TableValues::I4.row_bytes(self.cols);
        let mut lasts = (row - 1..self.bytes.len()).step_by(row);
        let padded = lasts.find(|&at| self.bytes.get(at).is_some_and(|byte| byte >> 4 != 0));
        [lowest, padded].into_iter().flatten().min()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Weights of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `index`; outside the table a row without weights.
    #[inline(never)]
    #[must_use]
    pub fn row(&self, index: usize) -> TableRow<'a> {
        let values = self.values.built();
        let Some(&scale) = self.scales.get(index) else {
            let (scale, bytes) = (0.0, [].as_slice());
            return TableRow {
                scale,
                values,
                bytes,
            };
        };
        let length = values.row_bytes(self.cols);
        let rest = self.bytes.get(index * length..).unwrap_or(&[]);
        TableRow {
            scale: Scale(scale).to_f32(),
            values,
            bytes: rest.get(..length).unwrap_or(&[]),
        }
    }

    /// Number of weights that are not zero.
    #[must_use]
    pub fn count_nonzeros(&self) -> usize {
        let halves = self.bytes.iter().map(|&byte| match self.values.built() {
            TableValues::I8 => usize::from(byte != 0),
            TableValues::I4 => usize::from(byte & 0x0f != 0) + usize::from(byte & 0xf0 != 0),
        });
        halves.sum()
    }
}

impl<'a> TableRow<'a> {
    /// The weights, in units of the scale. A row of four bits with an odd number of columns ends
    /// with a zero more.
    #[inline]
    pub fn weights(self) -> impl Iterator<Item = i8> + use<'a> {
        let [whole, halves]: [&[u8]; 2] = match self.values.built() {
            TableValues::I8 => [self.bytes, &[]],
            TableValues::I4 => [&[], self.bytes],
        };
        // Shifting up, then down, extends the sign.
        let halves = halves.iter().flat_map(|&byte| [byte << 4, byte]);
        let halves = halves.map(|byte| byte.cast_signed() >> 4);
        whole.iter().map(|byte| byte.cast_signed()).chain(halves)
    }
}
