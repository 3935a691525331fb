//! Tensors: a directory of fixed records, and checked views of their weights.
//!
//! Each record names a role, a layout and a range of the weights section. A
//! [`Matrix`] is read row by row; cut rows are rows without weights, so that a
//! kernel has one path for all of them.

use crate::bytes::{Reader, f16_at, f16_from_bits, is_finite_f16, position_of_lowest, u16_at};
use crate::{ErrorKind, FormatError, Section};

/// Bytes of one record of the directory.
pub const RECORD_BYTES: usize = 32;
/// Tensors begin on multiples of this within the weights section.
pub const TENSOR_ALIGNMENT: usize = 4;
/// Largest Σ|w| of a stored row. Two 24-bit lanes of one 64-bit accumulator stay
/// apart up to here: 127 · 66,052 < 2²³.
pub const ROW_SUM_LIMIT: u32 = 66_052;
/// Longest word, in characters, a tokenizer may be asked to split.
pub const WORD_CHARACTERS: u16 = 100;
/// Flag: one f16 bias an output follows the scales.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutKind {
    /// Every weight of the stored rows and columns, one `i8` each.
    Dense,
    /// Nonzero weights only: a count a row, then (column step, weight) pairs.
    DeltaU8,
    /// Rows of `i8` with one f16 scale each, to be looked up.
    Embedding,
    /// f16 gain, then f16 shift.
    Norm,
}

impl LayoutKind {
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
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let at = reader.position();
        let role = usize::from(reader.u8()?).wrapping_sub(1);
        let Some(&role) = Role::ALL.get(role) else {
            return Err(reader.error_at(ErrorKind::Tag, at));
        };
        let layout = match reader.u8()? {
            1 => LayoutKind::Dense,
            2 => LayoutKind::DeltaU8,
            3 => LayoutKind::Embedding,
            4 => LayoutKind::Norm,
            _ => return Err(reader.error_at(ErrorKind::Tag, at + 1)),
        };
        let flags = reader.u8()?;
        let allowed = match layout {
            LayoutKind::Dense => BIAS | ROW_MAP | COLUMN_LIST,
            LayoutKind::DeltaU8 => BIAS | ROW_MAP,
            LayoutKind::Embedding | LayoutKind::Norm => 0,
        };
        if flags & !allowed != 0 {
            return Err(reader.error_at(ErrorKind::Tag, at + 2));
        }
        reader.reserved(1)?;
        let record = Self {
            role,
            layout,
            flags,
            layer: reader.u16()?,
            head: reader.u16()?,
            rows: reader.index()?,
            cols: reader.index()?,
            offset: reader.index()?,
            length: reader.index()?,
            query_rows: reader.index()?,
        };
        reader.reserved(4)?;
        // Columns are named by u16 and summed in i32: 65,535 · 127² < 2³¹.
        if record.cols > usize::from(u16::MAX) || record.rows > usize::from(u16::MAX) {
            return Err(reader.error_at(ErrorKind::Shape, at + 8));
        }
        Ok(record)
    }
}

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

#[derive(Clone, Copy, Debug)]
enum Weights<'a> {
    Dense {
        columns: Option<&'a [u8]>,
        stored: usize,
        weights: &'a [u8],
    },
    DeltaU8(&'a [u8]),
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
        let (dense, columns, pairs): (&[u8], &[u8], &[u8]) = match self {
            Self::Dense(weights) => (weights, &[], &[]),
            Self::Columns(columns, weights) => (weights, columns, &[]),
            Self::DeltaU8(pairs) => (&[], &[], pairs),
        };
        let listed = dense.iter().enumerate().map(move |(index, &weight)| {
            let column = match self {
                Self::Columns(..) => usize::from(u16_at(columns, index * 2)),
                _ => index,
            };
            (column, weight.cast_signed())
        });
        let stepped = pairs.chunks_exact(2).scan(0, |column, pair| {
            let &[step, weight] = pair else { return None };
            *column += usize::from(step);
            Some((*column, weight.cast_signed()))
        });
        listed.chain(stepped).filter(|&(_, weight)| weight != 0)
    }
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
        let weights = if record.layout == LayoutKind::DeltaU8 {
            Weights::DeltaU8(reader.rest())
        } else {
            let columns = if record.flags & COLUMN_LIST != 0 {
                let count = usize::from(reader.u16()?);
                Some(reader.take_items(count, 2)?)
            } else {
                None
            };
            let stored = columns.map_or(record.cols, |columns| columns.len() / 2);
            let weights = reader.take_items(stored_rows, stored)?;
            reader.finish()?;
            Weights::Dense {
                columns,
                stored,
                weights,
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
        match self.weights {
            Weights::Dense {
                columns, weights, ..
            } => {
                let columns = columns.unwrap_or(&[]);
                let columns_at = bias_at + self.bias.len() + 2;
                let mut previous = None;
                for index in 0..columns.len() / 2 {
                    let column = usize::from(u16_at(columns, index * 2));
                    if column >= self.cols {
                        return Err(error(ErrorKind::Index, columns_at + index * 2));
                    }
                    if previous >= Some(column) {
                        return Err(error(ErrorKind::Order, columns_at + index * 2));
                    }
                    previous = Some(column);
                }
                let weights_at = record.offset + record.length - weights.len();
                match position_of_lowest(weights) {
                    Some(at) => Err(error(ErrorKind::Weight, weights_at + at)),
                    None => Ok(()),
                }
            }
            Weights::DeltaU8(stream) => {
                let stream_at = record.offset + record.length - stream.len();
                check_stream(stream, self.scales.len() / 2, self.cols)
                    .map_err(|(kind, at)| error(kind, stream_at + at))
            }
        }
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
            row_map: self.row_map,
            scales: self.scales,
            bias: self.bias,
            layout: self.weights,
            rest: match self.weights {
                Weights::Dense { weights, .. } => weights,
                Weights::DeltaU8(stream) => stream,
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
    row_map: Option<&'a [u8]>,
    /// Scales of the stored rows, biases and weights that are still to come.
    scales: &'a [u8],
    bias: &'a [u8],
    rest: &'a [u8],
    layout: Weights<'a>,
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
        let weights = match self.layout {
            Weights::Dense {
                columns, stored, ..
            } => {
                let weights = split_off(&mut self.rest, stored);
                match columns {
                    Some(columns) => RowWeights::Columns(columns, weights),
                    None => RowWeights::Dense(weights),
                }
            }
            Weights::DeltaU8(_) => {
                let count = take_count(&mut self.rest).unwrap_or(0);
                RowWeights::DeltaU8(split_off(&mut self.rest, count * 2))
            }
        };
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

#[inline]
fn split_off<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    match rest.split_at_checked(length) {
        Some((taken, left)) => {
            *rest = left;
            taken
        }
        None => core::mem::take(rest),
    }
}

/// The count of a row: one byte, or 255 and a `u16`.
#[inline]
fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (&short, after) = rest.split_first()?;
    *rest = after;
    if short < u8::MAX {
        return Some(usize::from(short));
    }
    let (&[low, high], after) = after.split_first_chunk::<2>()?;
    *rest = after;
    Some(usize::from(u16::from_le_bytes([low, high])))
}

/// Checks a delta-u8 stream of `rows` rows over `cols` columns.
fn check_stream(stream: &[u8], rows: usize, cols: usize) -> Result<(), (ErrorKind, usize)> {
    let mut rest = stream;
    for _ in 0..rows {
        let at = stream.len() - rest.len();
        let count = take_count(&mut rest).ok_or((ErrorKind::Truncated, at))?;
        let pairs_at = stream.len() - rest.len();
        if rest.len() < count * 2 {
            return Err((ErrorKind::Truncated, at));
        }
        let mut column = 0;
        let mut sum = 0;
        for (index, pair) in split_off(&mut rest, count * 2).chunks_exact(2).enumerate() {
            let &[step, weight] = pair else { break };
            let at = pairs_at + index * 2;
            if step == 0 && index > 0 {
                return Err((ErrorKind::Order, at));
            }
            column += usize::from(step);
            if column >= cols {
                return Err((ErrorKind::Index, at));
            }
            // A zero only bridges a gap that one step cannot.
            let bridge = weight == 0 && step == u8::MAX && index + 1 < count;
            if weight == 0x80 || (weight == 0 && !bridge) {
                return Err((ErrorKind::Weight, at + 1));
            }
            sum += u32::from(weight.cast_signed().unsigned_abs());
        }
        if sum > ROW_SUM_LIMIT {
            return Err((ErrorKind::RowSum, at));
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err((ErrorKind::Trailing, stream.len() - rest.len()))
    }
}

/// Whether an f16 is above zero and finite.
fn is_scale(bits: u16) -> bool {
    bits != 0 && bits & 0x8000 == 0 && is_finite_f16(bits)
}

#[inline]
fn bit(map: &[u8], index: usize) -> bool {
    map.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 != 0)
}

fn tensor_reader<'a>(record: &Record, section: &'a [u8]) -> Result<Reader<'a>, FormatError> {
    let mut reader = Reader::new(Section::Weights, section);
    reader.take(record.offset)?;
    // Errors keep their offset in the section; the end is the tensor's own.
    let end = record
        .offset
        .checked_add(record.length)
        .ok_or(reader.error(ErrorKind::Truncated))?;
    let bounded = section
        .get(..end)
        .ok_or(reader.error(ErrorKind::Truncated))?;
    let mut bounded = Reader::new(Section::Weights, bounded);
    bounded.take(record.offset)?;
    Ok(bounded)
}

/// A view of an embedding table, `[rows, cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    rows: usize,
    cols: usize,
    scales: &'a [u8],
    weights: &'a [u8],
}

impl<'a> Embedding<'a> {
    pub(crate) fn read(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let embedding = Self::view(record, section)?;
        for index in 0..embedding.rows {
            if !is_scale(u16_at(embedding.scales, index * 2)) {
                let at = record.offset + index * 2;
                return Err(FormatError::new(ErrorKind::Scale, Section::Weights, at));
            }
        }
        if let Some(at) = position_of_lowest(embedding.weights) {
            let at = record.offset + embedding.scales.len() + at;
            return Err(FormatError::new(ErrorKind::Weight, Section::Weights, at));
        }
        Ok(embedding)
    }

    pub(crate) fn view(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = tensor_reader(record, section)?;
        let scales = reader.take_items(record.rows, 2)?;
        let weights = reader.take_items(record.rows, record.cols)?;
        reader.finish()?;
        Ok(Self {
            rows: record.rows,
            cols: record.cols,
            scales,
            weights,
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `index` as its scale and one `i8` (as its byte) a column; nothing
    /// outside the table.
    #[inline]
    #[must_use]
    pub fn row(&self, index: usize) -> (f32, &'a [u8]) {
        if index >= self.rows {
            return (0.0, &[]);
        }
        let start = index * self.cols;
        match self.weights.get(start..start + self.cols) {
            Some(weights) => (f16_at(self.scales, index), weights),
            None => (0.0, &[]),
        }
    }
}

/// A view of a LayerNorm's weights.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    gain: &'a [u8],
    shift: &'a [u8],
}

impl<'a> Norm<'a> {
    pub(crate) fn read(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let norm = Self::view(record, section)?;
        let shift_at = record.offset + norm.gain.len();
        for (numbers, numbers_at) in [(norm.gain, record.offset), (norm.shift, shift_at)] {
            for index in 0..numbers.len() / 2 {
                if !is_finite_f16(u16_at(numbers, index * 2)) {
                    let at = numbers_at + index * 2;
                    return Err(FormatError::new(ErrorKind::Scale, Section::Weights, at));
                }
            }
        }
        Ok(norm)
    }

    pub(crate) fn view(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = tensor_reader(record, section)?;
        let gain = reader.take_items(record.cols, 2)?;
        let shift = reader.take_items(record.cols, 2)?;
        reader.finish()?;
        Ok(Self { gain, shift })
    }

    /// (gain, shift) of each feature.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (f32, f32)> + use<'a> {
        let widen = |pair: &[u8; 2]| f16_from_bits(u16::from_le_bytes(*pair));
        let (gain, _) = self.gain.as_chunks::<2>();
        let (shift, _) = self.shift.as_chunks::<2>();
        gain.iter().map(widen).zip(shift.iter().map(widen))
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
    pub(crate) fn read(records: &'a [u8], weights: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(Section::Tensors, records);
        let mut end = 0;
        let mut previous = None;
        while reader.position() < records.len() {
            let at = reader.position();
            let record = Record::read(&mut reader)?;
            if record.offset != usize::next_multiple_of(end, TENSOR_ALIGNMENT) {
                return Err(reader.error_at(ErrorKind::Alignment, at + 16));
            }
            let gap = weights.get(end..record.offset);
            end = record.offset.saturating_add(record.length);
            let Some(gap) = gap.filter(|_| end <= weights.len()) else {
                return Err(reader.error_at(ErrorKind::Truncated, at + 16));
            };
            if gap.iter().any(|&byte| byte != 0) {
                return Err(FormatError::new(
                    ErrorKind::Reserved,
                    Section::Weights,
                    record.offset,
                ));
            }
            let place = Some(encoder_order(record.role, record.layer, record.head));
            if previous >= place {
                return Err(reader.error_at(ErrorKind::Order, at));
            }
            previous = place;
        }
        if end != weights.len() {
            return Err(FormatError::new(ErrorKind::Trailing, Section::Weights, end));
        }
        Ok(Self { records, weights })
    }

    /// Every record, in order.
    pub fn records(&self) -> impl Iterator<Item = Record> + Clone + use<'a> {
        let records = self.records;
        (0..records.len() / RECORD_BYTES).filter_map(move |index| {
            let at = index * RECORD_BYTES;
            let mut reader = Reader::new(Section::Tensors, records.get(at..at + RECORD_BYTES)?);
            Record::read(&mut reader).ok()
        })
    }

    pub(crate) fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// The view of a matrix record; nothing for other layouts.
    ///
    /// Anyone can make a [`Record`], so its weights are checked once more.
    #[must_use]
    pub fn matrix(&self, record: &Record) -> Option<Matrix<'a>> {
        let is_matrix = matches!(record.layout, LayoutKind::Dense | LayoutKind::DeltaU8);
        let fits = is_matrix && record.query_rows <= record.rows / 2;
        fits.then(|| Matrix::read(record, self.weights).ok())
            .flatten()
    }
}

/// Where a tensor must stand: embeddings, then layer by layer, then the rest.
pub(crate) fn encoder_order(role: Role, layer: u16, head: u16) -> (u8, u16, Role, u16) {
    let part = match role {
        Role::TokenEmbedding
        | Role::PositionEmbedding
        | Role::SegmentEmbedding
        | Role::EmbeddingNorm => 0,
        Role::Classifier => 2,
        _ => 1,
    };
    (part, layer, role, head)
}
