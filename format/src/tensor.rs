//! Tensors: a directory of fixed records, and checked views of their weights.
//!
//! Each record names a role, a layout and a range of the weights section. A [`Matrix`] is read row
//! by row; cut rows are rows without weights, so that a kernel has one path for all rows. Each
//! layout has a file of its own: how its rows are read, what is checked, which entries they have.

mod bitmap;
mod blocks;
mod delta;
mod dense;
pub(crate) mod layout;
mod matrix;
mod norm;
mod rows;
mod scale;
mod stream;
mod table;
mod weights;

pub use delta::take_row as take_delta_row;
pub use layout::{BIAS, COLUMN_LIST, Form, Layout, Pattern, ROW_MAP, TableValues, Values};
pub use matrix::Matrix;
pub use norm::Norm;
pub use rows::{Affine, Row, RowBytes, Rows};
pub use scale::Scale;
pub use table::{Table, TableRow};
pub use weights::RowWeights;
#[cfg(feature = "alloc")]
pub(crate) use {blocks::MOST as MOST_BLOCKS, stream::IN_STREAM};

use crate::bytes::{Fault, Reader, is_finite_f16, u16_at, u32_at};
pub use crate::schema::Role;
use crate::{ErrorKind, Section};

/// Bytes of one record of the directory.
pub const RECORD_BYTES: usize = 32;
/// Tensors begin on multiples of this within the weights section.
pub const TENSOR_ALIGNMENT: usize = 4;
/// Largest Σ|w| of a stored row. Two 24-bit lanes of one 64-bit accumulator do not overlap up to
/// this limit: 127 · 66,052 < 2²³.
pub const ROW_SUM_LIMIT: u32 = 66_052;
/// Longest word, in characters, that a tokenizer may be asked to split.
pub const WORD_CHARACTERS: u16 = 100;
/// One record of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the tensor is for.
    pub role: Role,
    /// How its weights are laid out.
    pub layout: Layout,
    /// [`BIAS`], [`ROW_MAP`], [`COLUMN_LIST`].
    pub flags: u8,
    /// Layer it belongs to, 0 outside of layers.
    pub layer: u16,
    /// Number of the head in the layer, 0 for other roles.
    pub head: u16,
    /// Outputs, cut rows included.
    pub rows: usize,
    /// Inputs, cut columns included.
    pub cols: usize,
    /// First byte in the weights section.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
    /// Query rows of a head (as many key rows follow, the rest are value rows).
    pub query_rows: usize,
}

impl Record {
    /// Value rows of a head.
    #[must_use]
    pub fn value_rows(&self) -> usize {
        self.rows.saturating_sub(self.query_rows.saturating_mul(2))
    }

    /// Reads the record at `at` in the directory, and checks the record by itself.
    fn read(bytes: &[u8; RECORD_BYTES], at: usize, fault: &Fault) -> Option<Self> {
        let found = |kind, within| fault.found(kind, Section::Tensors, at + within);
        let [role, _, flags, reserved, ..] = *bytes;
        let Some(record) = Self::of(bytes) else {
            return found(ErrorKind::Tag, usize::from(Role::of(role).is_some()));
        };
        if flags & !record.layout.allowed_flags() != 0 {
            return found(ErrorKind::Tag, 2);
        }
        if reserved != 0 {
            return found(ErrorKind::Reserved, 3);
        }
        if u32_at(bytes, 28) != 0 {
            return found(ErrorKind::Reserved, 28);
        }
        // Columns are named by u16 and summed in i32: 65,535 · 127² < 2³¹.
        let too_large = record.rows.max(record.cols) > usize::from(u16::MAX);
        if too_large || record.cols < record.layout.least_columns() {
            return found(ErrorKind::Shape, 8);
        }
        Some(record)
    }

    /// The record in these bytes; `None` if a tag is not known.
    #[inline(never)]
    fn of(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let [role, layout, flags, ..] = *bytes;
        let index_at = |at| u32_at(bytes, at) as usize;
        Some(Self {
            role: Role::of(role).filter(|role| role.is_built())?,
            layout: Layout::of(layout, flags)?,
            flags,
            layer: u16_at(bytes, 4),
            head: u16_at(bytes, 6),
            rows: index_at(8),
            cols: index_at(12),
            offset: index_at(16),
            length: index_at(20),
            query_rows: index_at(24),
        })
    }
}

/// The directory and the weights it points into.
#[derive(Clone, Copy, Debug)]
pub struct Tensors<'a> {
    records: &'a [u8],
    weights: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// Checks the form of every record: tags, flags, order, ranges.
    pub(crate) fn read(records: &'a [u8], weights: &'a [u8], fault: &Fault) -> Option<Self> {
        let mut end = 0;
        let mut previous = 0;
        for (index, bytes) in records.chunks(RECORD_BYTES).enumerate() {
            let at = index * RECORD_BYTES;
            let found = |kind, within| fault.found(kind, Section::Tensors, at + within);
            let Some(bytes) = bytes.first_chunk() else {
                // Most fields have four bytes.
                return found(ErrorKind::Truncated, bytes.len() / 4 * 4);
            };
            let record = Record::read(bytes, at, fault)?;
            if record.offset != usize::next_multiple_of(end, TENSOR_ALIGNMENT) {
                return found(ErrorKind::Alignment, 16);
            }
            let gap = weights.get(end..record.offset);
            end = record.offset.saturating_add(record.length);
            let Some(gap) = gap.filter(|_| end <= weights.len()) else {
                return found(ErrorKind::Truncated, 16);
            };
            if gap.iter().any(|&byte| byte != 0) {
                return fault.found(ErrorKind::Reserved, Section::Weights, record.offset);
            }
            let place = record.role.place(record.layer, record.head);
            if previous >= place {
                return found(ErrorKind::Order, 0);
            }
            previous = place;
        }
        if end != weights.len() {
            return fault.found(ErrorKind::Trailing, Section::Weights, end);
        }
        Some(Self { records, weights })
    }

    /// Every record, in order.
    pub fn records(&self) -> impl Iterator<Item = Record> + Clone + use<'a> {
        let tensors = *self;
        (0..).map_while(move |index| tensors.record(index))
    }

    /// Record `index`.
    pub(crate) fn record(&self, index: usize) -> Option<Record> {
        let (records, _) = self.records.as_chunks();
        Record::of(records.get(index)?)
    }

    /// The role of record `index`.
    pub(crate) fn role(&self, index: usize) -> Option<Role> {
        let (records, _) = self.records.as_chunks::<RECORD_BYTES>();
        let [role, ..] = records.get(index)?;
        Role::of(*role)
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len() / RECORD_BYTES
    }

    /// The checked record `index`, as a matrix.
    #[inline(never)]
    pub(crate) fn matrix_at(&self, index: usize) -> Matrix<'a> {
        let view = |record| Matrix::view(&record, self.weights, &Fault::new());
        self.record(index).and_then(view).unwrap_or_default()
    }

    /// The checked record `index`, as a table.
    #[inline(never)]
    pub(crate) fn table_at(&self, index: usize) -> Table<'a> {
        let view = |record| Table::view(&record, self.weights, &Fault::new());
        self.record(index).and_then(view).unwrap_or_default()
    }

    /// The checked record `index`, as a LayerNorm.
    #[inline(never)]
    pub(crate) fn norm_at(&self, index: usize) -> Norm<'a> {
        let view = |record| Norm::view(&record, self.weights, &Fault::new());
        self.record(index).and_then(view).unwrap_or_default()
    }

    pub(crate) fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// The view of a matrix record; `None` for other layouts.
    ///
    /// Any code can make a [`Record`], so its weights are checked again.
    #[must_use]
    pub fn matrix(&self, record: &Record) -> Option<Matrix<'a>> {
        if record.query_rows > record.rows / 2 {
            return None;
        }
        let matrix = Matrix::view(record, self.weights, &Fault::new())?;
        matrix.check(record, &Fault::new())?;
        Some(matrix)
    }

    /// The view of a table record; `None` for other layouts.
    ///
    /// Any code can make a [`Record`], so its weights are checked again.
    #[must_use]
    pub fn table(&self, record: &Record) -> Option<Table<'a>> {
        let table = Table::view(record, self.weights, &Fault::new())?;
        table.check(record, &Fault::new())?;
        Some(table)
    }
}

/// Checks that the f16 values of the section from `at` onwards are finite.
#[inline(never)]
fn check_numbers(numbers: &[u8], at: usize, fault: &Fault) -> Option<()> {
    for (index, &bits) in numbers.as_chunks().0.iter().enumerate() {
        if !is_finite_f16(u16::from_le_bytes(bits)) {
            return fault.found(ErrorKind::Scale, Section::Weights, at + index * 2);
        }
    }
    Some(())
}

#[inline]
fn bit(map: &[u8], index: usize) -> bool {
    map.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 != 0)
}

/// Reads the bytes of `record`; errors keep their offset in the section.
#[inline(always)]
fn tensor_reader<'a, 'f>(
    record: &Record,
    section: &'a [u8],
    fault: &'f Fault,
) -> Option<Reader<'a, 'f>> {
    let bytes = up_to_end(record, section)?;
    Some(Reader::starting_at(
        record.offset,
        Section::Weights,
        bytes,
        fault,
    ))
}

/// The section up to the end of `record`.
#[inline(never)]
fn up_to_end<'a>(record: &Record, section: &'a [u8]) -> Option<&'a [u8]> {
    section.get(..record.offset.checked_add(record.length)?)
}
