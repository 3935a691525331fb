//! Dense: every weight of the stored rows and columns.

use super::{COLUMN_LIST, Record, RowWeights};
use crate::bytes::{Reader, position_of_lowest, u16_at};
use crate::{ErrorKind, FormatError, Section};

/// The weights of all stored rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense<'a> {
    pub(super) columns: Option<&'a [u8]>,
    /// Columns of a row.
    stored: usize,
    pub(super) weights: &'a [u8],
}

impl<'a> Dense<'a> {
    pub(super) fn view(
        reader: &mut Reader<'a>,
        record: &Record,
        stored_rows: usize,
    ) -> Result<Self, FormatError> {
        let columns = if record.flags & COLUMN_LIST != 0 {
            let count = usize::from(reader.u16()?);
            Some(reader.take_items(count, 2)?)
        } else {
            None
        };
        let stored = columns.map_or(record.cols, |columns| columns.len() / 2);
        let weights = reader.take_items(stored_rows, stored)?;
        reader.finish()?;
        Ok(Self {
            columns,
            stored,
            weights,
        })
    }

    /// `end`: where the weights end in the section.
    pub(super) fn check(&self, cols: usize, end: usize) -> Result<(), FormatError> {
        let error = |kind, at| Err(FormatError::new(kind, Section::Weights, at));
        let weights_at = end - self.weights.len();
        let columns = self.columns.unwrap_or(&[]);
        let columns_at = weights_at - columns.len();
        let mut previous = None;
        for index in 0..columns.len() / 2 {
            let column = usize::from(u16_at(columns, index * 2));
            if column >= cols {
                return error(ErrorKind::Index, columns_at + index * 2);
            }
            if previous >= Some(column) {
                return error(ErrorKind::Order, columns_at + index * 2);
            }
            previous = Some(column);
        }
        match position_of_lowest(self.weights) {
            Some(at) => error(ErrorKind::Weight, weights_at + at),
            None => Ok(()),
        }
    }

    /// The weights of the next row; none behind the last.
    #[inline]
    pub(super) fn take_row(&self, rest: &mut &'a [u8]) -> RowWeights<'a> {
        let weights = match rest.split_at_checked(self.stored) {
            Some((weights, after)) => {
                *rest = after;
                weights
            }
            None => core::mem::take(rest),
        };
        match self.columns {
            Some(columns) => RowWeights::Columns(columns, weights),
            None => RowWeights::Dense(weights),
        }
    }
}

/// (column, weight) of a row that stores every column.
pub(super) fn entries(weights: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    (0..).zip(weights.iter().map(|weight| weight.cast_signed()))
}

/// (column, weight) of a row that stores the columns of a list.
pub(super) fn listed_entries(columns: &[u8], weights: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    let (columns, _) = columns.as_chunks::<2>();
    let columns = columns
        .iter()
        .map(|&column| usize::from(u16::from_le_bytes(column)));
    columns.zip(weights.iter().map(|weight| weight.cast_signed()))
}
