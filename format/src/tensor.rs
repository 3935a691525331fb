//! Tensors: a directory of fixed records, and checked views of their weights.
//!
//! Each record names a role, a layout and a range of the weights section. A
//! [`Matrix`] is read row by row; cut rows are rows without weights, so that a
//! kernel has one path for all of them. Each layout has a file of its own: how its
//! rows are taken off, what is checked, which entries they have.

mod bitmap;
mod blocks;
mod delta;
mod dense;
mod embedding;
mod matrix;
mod norm;
mod scale;
mod stream;

pub use delta::take_row as take_delta_row;
pub use embedding::Embedding;
pub use matrix::{Matrix, Row, RowBytes, RowWeights, Rows};
pub use norm::Norm;
pub use scale::Scale;
#[cfg(feature = "alloc")]
pub(crate) use {blocks::MOST as MOST_BLOCKS, stream::IN_STREAM};

use crate::bytes::{Fault, Reader, is_finite_f16, u16_at, u32_at};
use crate::{ErrorKind, Section};

/// Bytes of one record of the directory.
pub const RECORD_BYTES: usize = 32;
/// Tensors begin on multiples of this within the weights section.
pub const TENSOR_ALIGNMENT: usize = 4;
/// Largest Σ|w| of a stored row. Two 24-bit lanes of one 64-bit accumulator stay
/// apart up to here: 127 · 66,052 < 2²³.
pub const ROW_SUM_LIMIT: u32 = 66_052;
/// Longest word, in characters, a tokenizer may be asked to split.
pub const WORD_CHARACTERS: u16 = 100;
/// Flag: the tensor begins with one f16 bias an output.
pub const BIAS: u8 = 1;
/// Flag: a bitmap tells which rows are stored; the others are zero.
pub const ROW_MAP: u8 = 2;
/// Flag: a list of `u16` names the stored columns; the others are zero.
pub const COLUMN_LIST: u8 = 4;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// One row a token id.
    TokenEmbedding,
    /// One row a position.
    PositionEmbedding,
    /// One row a text of a pair.
    SegmentEmbedding,
    /// LayerNorm behind the embeddings.
    EmbeddingNorm,
    /// One attention head: rows of W_Q (scaled by 1/√d_head), then W_K, then W_V.
    Head,
    /// W_O: the heads' values back to the residual stream.
    AttentionOutput,
    /// LayerNorm behind the attention.
    AttentionNorm,
    /// L_in: residual stream to neurons.
    MlpInput,
    /// L_out: neurons to residual stream.
    MlpOutput,
    /// LayerNorm behind the MLP.
    MlpNorm,
    /// Pooled vector to class logits.
    Classifier,
}

impl Role {
    /// Every role, in the order of its tag (from 1) and of the directory.
    pub const ALL: [Self; 11] = [
        Self::TokenEmbedding,
        Self::PositionEmbedding,
        Self::SegmentEmbedding,
        Self::EmbeddingNorm,
        Self::Head,
        Self::AttentionOutput,
        Self::AttentionNorm,
        Self::MlpInput,
        Self::MlpOutput,
        Self::MlpNorm,
        Self::Classifier,
    ];

    /// The role a number of a record stands for.
    fn of(tag: u8) -> Option<Self> {
        Self::ALL.get(usize::from(tag).wrapping_sub(1)).copied()
    }

    /// The number that stands for this role in a record.
    #[must_use]
    pub fn tag(self) -> u8 {
        self as u8 + 1
    }

    /// The field's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenEmbedding => "token embedding",
            Self::PositionEmbedding => "position embedding",
            Self::SegmentEmbedding => "segment embedding",
            Self::EmbeddingNorm => "embedding norm",
            Self::Head => "attention head",
            Self::AttentionOutput => "attention output",
            Self::AttentionNorm => "attention norm",
            Self::MlpInput => "MLP input",
            Self::MlpOutput => "MLP output",
            Self::MlpNorm => "MLP norm",
            Self::Classifier => "classifier",
        }
    }
}

/// How the weights of a tensor are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutKind {
    /// Every weight of the stored rows and columns, one `i8` each.
    #[default]
    Dense,
    /// Nonzero weights only: a count a row, then (column step, weight) pairs.
    DeltaU8,
    /// Rows of `i8` with one scale each, to be looked up.
    Embedding,
    /// f16 gain, then f16 shift.
    Norm,
    /// A bit for each column, then the weights of the bits that are set.
    Bitmap,
    /// Two neighbouring weights a step: a count a row, then (column step, 2 weights).
    Blocks2,
    /// Four neighbouring weights a step: a count a row, then (column step, 4 weights).
    Blocks4,
}

impl LayoutKind {
    /// Every layout, in the order of its tag (from 1).
    pub const ALL: [Self; 7] = [
        Self::Dense,
        Self::DeltaU8,
        Self::Embedding,
        Self::Norm,
        Self::Bitmap,
        Self::Blocks2,
        Self::Blocks4,
    ];

    /// The layout a number of a record stands for, if this build has it.
    fn of(tag: u8) -> Option<Self> {
        let layout = *Self::ALL.get(usize::from(tag).wrapping_sub(1))?;
        (layout.built() == layout).then_some(layout)
    }

    /// Itself; dense where this build does not have it, which then no matrix has. So the
    /// compiler sees which code for layouts is never needed.
    #[inline(always)]
    pub(crate) fn built(self) -> Self {
        match self {
            Self::Bitmap if !cfg!(feature = "bitmap") => Self::Dense,
            Self::Blocks2 | Self::Blocks4 if !cfg!(feature = "blocks") => Self::Dense,
            layout => layout,
        }
    }

    /// The number that stands for this layout in a record.
    #[must_use]
    pub fn tag(self) -> u8 {
        self as u8 + 1
    }

    /// Name for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense int8",
            Self::DeltaU8 => "delta-u8",
            Self::Embedding => "embedding int8",
            Self::Norm => "f16",
            Self::Bitmap => "bitmap",
            Self::Blocks2 => "1×2 blocks",
            Self::Blocks4 => "1×4 blocks",
        }
    }

    /// Whether it is one of a [`Matrix`].
    #[must_use]
    pub const fn is_matrix(self) -> bool {
        !matches!(self, Self::Embedding | Self::Norm)
    }

    fn allowed_flags(self) -> u8 {
        match self {
            Self::Dense => BIAS | ROW_MAP | COLUMN_LIST,
            Self::DeltaU8 | Self::Bitmap | Self::Blocks2 | Self::Blocks4 => BIAS | ROW_MAP,
            Self::Embedding | Self::Norm => 0,
        }
    }

    /// Columns below which a matrix cannot have this layout.
    pub(crate) fn least_columns(self) -> usize {
        match self {
            Self::Blocks2 => 2,
            Self::Blocks4 => 4,
            _ => 0,
        }
    }
}

/// One record of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the tensor is for.
    pub role: Role,
    /// How its weights are laid out.
    pub layout: LayoutKind,
    /// [`BIAS`], [`ROW_MAP`], [`COLUMN_LIST`].
    pub flags: u8,
    /// Layer it belongs to, 0 outside of layers.
    pub layer: u16,
    /// Number of the head in the layer, 0 for others.
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
    /// Reads the record at `at` of the directory, and checks what it says of itself.
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

    /// What stands in these bytes; nothing where a tag is not known.
    #[inline(never)]
    fn of(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let [role, layout, flags, ..] = *bytes;
        let index_at = |at| u32_at(bytes, at) as usize;
        Some(Self {
            role: Role::of(role)?,
            layout: LayoutKind::of(layout)?,
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
    /// Checks every record's shape of bytes: tags, flags, order, ranges.
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
            let place = encoder_order(record.role, record.layer, record.head);
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

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len() / RECORD_BYTES
    }

    /// Record `index`, which was checked, as a matrix.
    #[inline(never)]
    pub(crate) fn matrix_at(&self, index: usize) -> Matrix<'a> {
        let view = |record| Matrix::view(&record, self.weights, &Fault::new());
        self.record(index).and_then(view).unwrap_or_default()
    }

    /// Record `index`, which was checked, as an embedding table.
    #[inline(never)]
    pub(crate) fn embedding_at(&self, index: usize) -> Embedding<'a> {
        let view = |record| Embedding::view(&record, self.weights, &Fault::new());
        self.record(index).and_then(view).unwrap_or_default()
    }

    /// Record `index`, which was checked, as a LayerNorm.
    #[inline(never)]
    pub(crate) fn norm_at(&self, index: usize) -> Norm<'a> {
        let view = |record| Norm::view(&record, self.weights, &Fault::new());
        self.record(index).and_then(view).unwrap_or_default()
    }

    pub(crate) fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// The view of a matrix record; nothing for other layouts.
    ///
    /// Anyone can make a [`Record`], so its weights are checked once more.
    #[must_use]
    pub fn matrix(&self, record: &Record) -> Option<Matrix<'a>> {
        let fits = record.layout.is_matrix() && record.query_rows <= record.rows / 2;
        let matrix = fits.then(|| Matrix::view(record, self.weights, &Fault::new()))??;
        matrix.check(record, &Fault::new())?;
        Some(matrix)
    }
}

/// Where a tensor must stand: embeddings, then layer by layer, then the rest. A number above
/// zero, since comparing tuples is far more code.
pub(crate) fn encoder_order(role: Role, layer: u16, head: u16) -> u64 {
    let part: u16 = match role {
        Role::TokenEmbedding
        | Role::PositionEmbedding
        | Role::SegmentEmbedding
        | Role::EmbeddingNorm => 1,
        Role::Classifier => 3,
        _ => 2,
    };
    [part, layer, role as u16, head]
        .iter()
        .fold(0, |order, &next| order << 16 | u64::from(next))
}

/// Checks that the f16 from `at` of the section on are finite.
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
