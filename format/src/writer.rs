//! From quantised tensors to the bytes of a file.
//!
//! The writer chooses each matrix's layout, cuts zero rows and columns, and ends
//! by opening what it wrote: a file it returns is a file [`Model::open`] accepts.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use half::f16;

use crate::characters::{
    ASCII, DROPPED, FIRST_TARGET, ISOLATED_UNKNOWN, MAPPED_RUN, SPACE, UNKNOWN,
};
use crate::container::{
    ENTRY_BYTES, HEADER_BYTES, HEADER_CHECKSUM_OFFSET, MAGIC, REQUIRED, SECTION_ALIGNMENT, VERSION,
    checksum,
};
use crate::limits::Limits;
use crate::manifest::{Architecture, EncoderSettings, Manifest, Scores, TokenizerSettings};
use crate::tensor::{
    BIAS, COLUMN_LIST, LayoutKind, ROW_MAP, ROW_SUM_LIMIT, Role, TENSOR_ALIGNMENT,
};
use crate::{FormatError, Model, Section};

/// Everything that goes into a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSource {
    /// Name of the model.
    pub name: String,
    /// Program and version that writes the file.
    pub producer: String,
    /// Random seed of the run.
    pub seed: u64,
    /// SHA-256 of the resolved recipe.
    pub recipe: [u8; 32],
    /// SHA-256 of the training data.
    pub data: [u8; 32],
    /// What it scored.
    pub scores: Scores,
    /// Settings of the network.
    pub encoder: EncoderSettings,
    /// Settings of the tokenizer.
    pub tokenizer: TokenizerSettings,
    /// Longest token sequence.
    pub tokens: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// Pieces that begin a word, ascending by bytes; ids from 0.
    pub initial: Vec<String>,
    /// Pieces that continue a word, without `##`, ascending by bytes; ids follow.
    pub continuation: Vec<String>,
    /// What normalisation does to each character.
    pub characters: CharacterMap,
    /// The tensors, in any order.
    pub tensors: Vec<TensorSource>,
}

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorSource {
    /// A weight matrix.
    Matrix(MatrixSource),
    /// An embedding table.
    Embedding(EmbeddingSource),
    /// A LayerNorm.
    Norm(NormSource),
}

/// A quantised weight matrix, `[rows, cols]` row by row; row = output.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSource {
    /// What it is for.
    pub role: Role,
    /// Its layer, 0 outside of layers.
    pub layer: u16,
    /// Its head number, 0 for other roles.
    pub head: u16,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Query rows of a head, 0 for other roles.
    pub query_rows: usize,
    /// −127…127, `rows · cols` of them.
    pub weights: Vec<i8>,
    /// Value of one unit in each row, positive and finite.
    pub scales: Vec<f16>,
    /// Added to each output.
    pub bias: Option<Vec<f16>>,
    /// How to lay it out.
    pub layout: LayoutChoice,
}

/// Which layout a matrix gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutChoice {
    /// The one with the fewest bytes.
    #[default]
    Smallest,
    /// Every weight stored, zeros too: what the file would be without sparsity.
    Dense,
}

/// A quantised embedding table, `[rows, cols]` row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingSource {
    /// Which table.
    pub role: Role,
    /// Number of rows.
    pub rows: usize,
    /// Width of a row.
    pub cols: usize,
    /// −127…127.
    pub weights: Vec<i8>,
    /// Value of one unit in each row.
    pub scales: Vec<f16>,
}

/// The weights of a LayerNorm.
#[derive(Clone, Debug, PartialEq)]
pub struct NormSource {
    /// Which norm.
    pub role: Role,
    /// Its layer, 0 outside of layers.
    pub layer: u16,
    /// Multiplies each feature.
    pub gain: Vec<f16>,
    /// Added to each feature.
    pub shift: Vec<f16>,
}

/// Why a [`ModelSource`] is not a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A tensor's vectors do not have the lengths its shape says.
    Lengths {
        /// What the tensor is for.
        role: Role,
        /// Its layer.
        layer: u16,
    },
    /// Something is larger than the format can say.
    TooLarge(Section),
    /// The finished bytes do not open.
    Format(FormatError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lengths { role, layer } => write!(
                f,
                "{} of layer {layer}: the number of weights, scales or biases is not that of its shape",
                role.name()
            ),
            Self::TooLarge(section) => write!(f, "{section}: larger than the format can say"),
            Self::Format(error) => write!(f, "the written model does not open: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

impl From<FormatError> for WriteError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl ModelSource {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`WriteError`] when the parts do not make a model.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let (records, weights) = self.write_tensors()?;
        let sections = [
            (Section::Manifest, self.write_manifest()?),
            (Section::Limits, self.limits().to_bytes().to_vec()),
            (
                Section::Labels,
                string_table(self.labels.iter(), Section::Labels)?,
            ),
            (Section::Vocabulary, self.write_vocabulary()?),
            (Section::Characters, self.characters.to_bytes()?),
            (Section::Tensors, records),
            (Section::Weights, weights),
        ];
        let bytes = assemble(&sections)?;
        Model::open(&bytes)?;
        Ok(bytes)
    }

    fn write_manifest(&self) -> Result<Vec<u8>, WriteError> {
        let manifest = Manifest {
            version: crate::manifest::VERSION,
            name: &self.name,
            architecture: Architecture::EncoderClassifier(self.encoder),
            tokenizer: self.tokenizer,
            provenance: crate::manifest::Provenance {
                producer: &self.producer,
                seed: self.seed,
                recipe: self.recipe,
                data: self.data,
            },
            scores: self.scores,
        };
        postcard::to_allocvec(&manifest).map_err(|_| WriteError::TooLarge(Section::Manifest))
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits {
            tokens: self.tokens,
            hidden: self.hidden,
            labels: self.labels.len(),
            ..Limits::default()
        };
        let mut context = BTreeMap::<u16, usize>::new();
        for tensor in &self.tensors {
            let TensorSource::Matrix(matrix) = tensor else {
                continue;
            };
            if matrix.role == Role::Head {
                let value = matrix
                    .rows
                    .saturating_sub(matrix.query_rows.saturating_mul(2));
                limits.query = limits.query.max(matrix.query_rows);
                limits.value = limits.value.max(value);
                *context.entry(matrix.layer).or_default() += value;
            } else if matrix.role == Role::MlpInput {
                limits.intermediate = limits.intermediate.max(matrix.rows);
            }
        }
        limits.context = context.values().copied().max().unwrap_or(0);
        limits
    }

    fn write_vocabulary(&self) -> Result<Vec<u8>, WriteError> {
        let mut bytes = Vec::new();
        push_u32(&mut bytes, self.initial.len(), Section::Vocabulary)?;
        push_u32(&mut bytes, 0, Section::Vocabulary)?;
        let pieces = self.initial.iter().chain(&self.continuation);
        bytes.extend(string_table(pieces, Section::Vocabulary)?);
        Ok(bytes)
    }

    fn write_tensors(&self) -> Result<(Vec<u8>, Vec<u8>), WriteError> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|tensor| tensor.order());
        let mut records = Vec::new();
        let mut weights = Vec::new();
        for tensor in tensors {
            weights.resize(weights.len().next_multiple_of(TENSOR_ALIGNMENT), 0);
            let encoded = tensor.encode()?;
            let (layer, head) = tensor.place();
            records.extend([tensor.role().tag(), encoded.layout.tag(), encoded.flags, 0]);
            records.extend(layer.to_le_bytes());
            records.extend(head.to_le_bytes());
            for field in [
                encoded.rows,
                encoded.cols,
                weights.len(),
                encoded.bytes.len(),
                encoded.query_rows,
                0,
            ] {
                push_u32(&mut records, field, Section::Tensors)?;
            }
            weights.extend(encoded.bytes);
        }
        Ok((records, weights))
    }
}

struct Encoded {
    layout: LayoutKind,
    flags: u8,
    rows: usize,
    cols: usize,
    query_rows: usize,
    bytes: Vec<u8>,
}

impl TensorSource {
    /// What the tensor is for.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Matrix(matrix) => matrix.role,
            Self::Embedding(embedding) => embedding.role,
            Self::Norm(norm) => norm.role,
        }
    }

    fn place(&self) -> (u16, u16) {
        match self {
            Self::Matrix(matrix) => (matrix.layer, matrix.head),
            Self::Embedding(_) => (0, 0),
            Self::Norm(norm) => (norm.layer, 0),
        }
    }

    fn order(&self) -> (u8, u16, Role, u16) {
        let (layer, head) = self.place();
        crate::tensor::encoder_order(self.role(), layer, head)
    }

    fn encode(&self) -> Result<Encoded, WriteError> {
        let error = WriteError::Lengths {
            role: self.role(),
            layer: self.place().0,
        };
        let (rows, cols) = match self {
            Self::Matrix(matrix) => (matrix.rows, matrix.cols),
            Self::Embedding(embedding) => (embedding.rows, embedding.cols),
            Self::Norm(norm) => (1, norm.gain.len()),
        };
        // Also keeps every product of the two below from overflowing.
        if rows.max(cols) > usize::from(u16::MAX) {
            return Err(WriteError::TooLarge(Section::Tensors));
        }
        match self {
            Self::Matrix(matrix) => matrix.encode().ok_or(error),
            Self::Embedding(embedding) => embedding.encode().ok_or(error),
            Self::Norm(norm) => norm.encode().ok_or(error),
        }
    }
}

impl MatrixSource {
    fn encode(&self) -> Option<Encoded> {
        let fits = self.weights.len() == self.rows * self.cols
            && self.scales.len() == self.rows
            && self
                .bias
                .as_ref()
                .is_none_or(|bias| bias.len() == self.rows);
        if !fits {
            return None;
        }
        let dense = self.encode_dense(self.layout == LayoutChoice::Smallest);
        if self.layout == LayoutChoice::Dense {
            return Some(dense);
        }
        match self.encode_delta() {
            Some(delta) if delta.bytes.len() < dense.bytes.len() => Some(delta),
            _ => Some(dense),
        }
    }

    fn row(&self, row: usize) -> &[i8] {
        self.weights
            .get(row * self.cols..(row + 1) * self.cols)
            .unwrap_or(&[])
    }

    /// Row map (if rows are cut), scales of the stored rows, biases.
    fn encode_rows(&self, cut: bool) -> (Vec<usize>, u8, Vec<u8>) {
        let is_stored = |row: &usize| !cut || self.row(*row).iter().any(|&weight| weight != 0);
        let stored: Vec<usize> = (0..self.rows).filter(is_stored).collect();
        let mut flags = 0;
        let mut bytes = Vec::new();
        if stored.len() < self.rows {
            flags |= ROW_MAP;
            bytes.resize(self.rows.div_ceil(8), 0_u8);
            for &row in &stored {
                if let Some(byte) = bytes.get_mut(row / 8) {
                    *byte |= 1 << (row % 8);
                }
            }
            bytes.resize(bytes.len().next_multiple_of(2), 0);
        }
        for &row in &stored {
            bytes.extend(
                self.scales
                    .get(row)
                    .copied()
                    .unwrap_or_default()
                    .to_le_bytes(),
            );
        }
        if let Some(bias) = &self.bias {
            flags |= BIAS;
            bytes.extend(bias.iter().flat_map(|bias| bias.to_le_bytes()));
        }
        (stored, flags, bytes)
    }

    fn encode_dense(&self, cut: bool) -> Encoded {
        let (stored, mut flags, mut bytes) = self.encode_rows(cut);
        let mut used = alloc::vec![!cut; self.cols];
        for &row in &stored {
            for (used, &weight) in used.iter_mut().zip(self.row(row)) {
                *used |= weight != 0;
            }
        }
        let columns: Vec<u16> = (0..=u16::MAX)
            .zip(&used)
            .filter_map(|(column, &used)| used.then_some(column))
            .collect();
        // Naming the columns costs two bytes each; worth it where it saves more.
        let named = columns.len() * (stored.len() + 2) + 2 < self.cols * stored.len();
        if named {
            flags |= COLUMN_LIST;
            let count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
            bytes.extend(count.to_le_bytes());
            bytes.extend(columns.iter().flat_map(|column| column.to_le_bytes()));
        }
        for &row in &stored {
            let kept = self.row(row).iter().zip(&used);
            let kept = kept.filter(|&(_, &used)| used || !named);
            bytes.extend(kept.map(|(&weight, _)| weight.cast_unsigned()));
        }
        self.encoded(LayoutKind::Dense, flags, bytes)
    }

    /// `None` where a row's weights sum above what the layout allows: such a row
    /// has more than 520 nonzeros, and the matrix is better stored dense.
    fn encode_delta(&self) -> Option<Encoded> {
        let (stored, flags, mut bytes) = self.encode_rows(true);
        for &row in &stored {
            let row = self.row(row);
            let sum: u32 = row.iter().map(|w| u32::from(w.unsigned_abs())).sum();
            if sum > ROW_SUM_LIMIT {
                return None;
            }
            let pairs = delta_pairs(row);
            let count = pairs.len() / 2;
            match u8::try_from(count) {
                Ok(count) if count < u8::MAX => bytes.push(count),
                _ => {
                    bytes.push(u8::MAX);
                    bytes.extend(u16::try_from(count).ok()?.to_le_bytes());
                }
            }
            bytes.extend(pairs);
        }
        Some(self.encoded(LayoutKind::DeltaU8, flags, bytes))
    }

    fn encoded(&self, layout: LayoutKind, flags: u8, bytes: Vec<u8>) -> Encoded {
        Encoded {
            layout,
            flags,
            rows: self.rows,
            cols: self.cols,
            query_rows: self.query_rows,
            bytes,
        }
    }
}

/// (column step, weight) of each nonzero; a zero weight bridges wide gaps.
fn delta_pairs(row: &[i8]) -> Vec<u8> {
    let mut pairs = Vec::new();
    let mut position = 0;
    for (column, &weight) in row.iter().enumerate() {
        if weight == 0 {
            continue;
        }
        let mut gap = column - position;
        while gap > usize::from(u8::MAX) {
            pairs.extend([u8::MAX, 0]);
            gap -= usize::from(u8::MAX);
        }
        pairs.push(u8::try_from(gap).unwrap_or(u8::MAX));
        pairs.push(weight.cast_unsigned());
        position = column;
    }
    pairs
}

impl EmbeddingSource {
    fn encode(&self) -> Option<Encoded> {
        if self.weights.len() != self.rows * self.cols || self.scales.len() != self.rows {
            return None;
        }
        let mut bytes: Vec<u8> = self.scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        bytes.extend(self.weights.iter().map(|weight| weight.cast_unsigned()));
        Some(Encoded {
            layout: LayoutKind::Embedding,
            flags: 0,
            rows: self.rows,
            cols: self.cols,
            query_rows: 0,
            bytes,
        })
    }
}

impl NormSource {
    fn encode(&self) -> Option<Encoded> {
        if self.gain.len() != self.shift.len() {
            return None;
        }
        let numbers = self.gain.iter().chain(&self.shift);
        Some(Encoded {
            layout: LayoutKind::Norm,
            flags: 0,
            rows: 1,
            cols: self.gain.len(),
            query_rows: 0,
            bytes: numbers.flat_map(|number| number.to_le_bytes()).collect(),
        })
    }
}

/// What becomes of a character, as the exporter found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CharacterOutcome {
    /// Part of a word, but in no piece of the vocabulary.
    Unknown,
    /// Removed.
    Dropped,
    /// A word of its own that is not in the vocabulary.
    IsolatedUnknown,
    /// White space.
    Space,
    /// These characters, within the word.
    Word(String),
    /// These characters, a word of its own.
    Isolated(String),
}

/// The outcome of every character, as runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharacterMap {
    words: Vec<String>,
    isolated: Vec<String>,
    /// Outcome code of each scalar value from 0; surrogates, and what is beyond
    /// the end, are unknown.
    codes: Vec<u16>,
}

impl CharacterMap {
    /// Asks `outcome` about every character.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] with more than 65,531 different targets.
    pub fn new(outcome: impl Fn(char) -> CharacterOutcome) -> Result<Self, WriteError> {
        let outcomes: Vec<CharacterOutcome> = (0..=u32::from(char::MAX))
            .map(|scalar| char::from_u32(scalar).map_or(CharacterOutcome::Unknown, &outcome))
            .collect();
        let targets = |wanted: fn(&CharacterOutcome) -> Option<&String>| {
            let mut targets: Vec<String> = outcomes.iter().filter_map(wanted).cloned().collect();
            targets.sort();
            targets.dedup();
            targets
        };
        let words = targets(|outcome| match outcome {
            CharacterOutcome::Word(target) => Some(target),
            _ => None,
        });
        let isolated = targets(|outcome| match outcome {
            CharacterOutcome::Isolated(target) => Some(target),
            _ => None,
        });
        if words.len() + isolated.len() > usize::from(u16::MAX - FIRST_TARGET) {
            return Err(WriteError::TooLarge(Section::Characters));
        }
        let target_code = |index: usize| {
            u16::try_from(index + usize::from(FIRST_TARGET))
                .map_err(|_| WriteError::TooLarge(Section::Characters))
        };
        let find = |targets: &[String], target| targets.binary_search(target).unwrap_or(0);
        let codes = outcomes
            .iter()
            .map(|outcome| match outcome {
                CharacterOutcome::Unknown => Ok(UNKNOWN),
                CharacterOutcome::Dropped => Ok(DROPPED),
                CharacterOutcome::IsolatedUnknown => Ok(ISOLATED_UNKNOWN),
                CharacterOutcome::Space => Ok(SPACE),
                CharacterOutcome::Word(target) => target_code(find(&words, target)),
                CharacterOutcome::Isolated(target) => {
                    target_code(words.len() + find(&isolated, target))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words,
            isolated,
            codes,
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let section = Section::Characters;
        let mut bytes = string_table(self.words.iter().chain(&self.isolated), section)?;
        let runs = character_runs(self.codes.get(ASCII..).unwrap_or(&[]));
        push_u32(&mut bytes, self.words.len(), section)?;
        push_u32(&mut bytes, runs.len(), section)?;
        // The default map has no codes: every character is unknown.
        let codes = self.codes.iter().copied();
        let ascii = codes.chain(core::iter::repeat(UNKNOWN)).take(ASCII);
        bytes.extend(ascii.flat_map(u16::to_le_bytes));
        bytes.extend(runs);
        Ok(bytes)
    }
}

/// Runs of equal classes; stretches of mapped characters list their codes.
fn character_runs(codes: &[u16]) -> Vec<u8> {
    let class = |code: u16| match code {
        UNKNOWN | DROPPED | ISOLATED_UNKNOWN => u32::from(code),
        _ => MAPPED_RUN,
    };
    let used = codes
        .iter()
        .rposition(|&code| code != UNKNOWN)
        .map_or(0, |last| last + 1);
    let mut bytes = Vec::new();
    let codes = codes.get(..used).unwrap_or(&[]);
    for run in codes.chunk_by(|&a, &b| class(a) == class(b)) {
        let kind = run.first().map_or(0, |&code| class(code));
        // At most 0x11_0000 characters: the shifted count fits.
        let count = u32::try_from(run.len()).unwrap_or(0);
        push_code(&mut bytes, count << 2 | kind);
        if kind == MAPPED_RUN {
            for &code in run {
                push_code(&mut bytes, u32::from(code));
            }
        }
    }
    bytes
}

fn push_code(bytes: &mut Vec<u8>, mut value: u32) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn push_u32(bytes: &mut Vec<u8>, value: usize, section: Section) -> Result<(), WriteError> {
    let value = u32::try_from(value).map_err(|_| WriteError::TooLarge(section))?;
    bytes.extend(value.to_le_bytes());
    Ok(())
}

fn string_table<'s>(
    strings: impl Iterator<Item = &'s String> + Clone,
    section: Section,
) -> Result<Vec<u8>, WriteError> {
    let too_large = || WriteError::TooLarge(section);
    let length: usize = strings.clone().map(String::len).sum();
    let wide = u16::try_from(length).is_err();
    let mut bytes = Vec::new();
    push_u32(&mut bytes, strings.clone().count(), section)?;
    push_u32(&mut bytes, if wide { 4 } else { 2 }, section)?;
    let mut end = 0_usize;
    for string in core::iter::once("").chain(strings.clone().map(String::as_str)) {
        end += string.len();
        if wide {
            push_u32(&mut bytes, end, section)?;
        } else {
            bytes.extend(u16::try_from(end).map_err(|_| too_large())?.to_le_bytes());
        }
    }
    bytes.extend(strings.flat_map(|string| string.bytes()));
    Ok(bytes)
}

/// Header, table and sections, with every checksum.
fn assemble(sections: &[(Section, Vec<u8>)]) -> Result<Vec<u8>, WriteError> {
    let header = Section::Header;
    let mut table = Vec::new();
    let mut body = Vec::new();
    let body_at = HEADER_BYTES + sections.len() * ENTRY_BYTES;
    for (section, bytes) in sections {
        let end = body_at + body.len();
        body.resize(
            body.len() + end.next_multiple_of(SECTION_ALIGNMENT) - end,
            0,
        );
        table.extend(section.kind().unwrap_or(0).to_le_bytes());
        table.extend(REQUIRED.to_le_bytes());
        push_u32(&mut table, body_at + body.len(), header)?;
        push_u32(&mut table, bytes.len(), header)?;
        table.extend(checksum(&[bytes]).to_le_bytes());
        body.extend(bytes);
    }
    let mut file = Vec::from(MAGIC);
    file.extend(VERSION.to_le_bytes());
    let count = u16::try_from(sections.len()).map_err(|_| WriteError::TooLarge(header))?;
    file.extend(count.to_le_bytes());
    push_u32(&mut file, body_at + body.len(), header)?;
    let mut rest = alloc::vec![0; HEADER_BYTES - HEADER_CHECKSUM_OFFSET - 4];
    rest.extend(table);
    let sum = checksum(&[&file, &rest]);
    file.extend(sum.to_le_bytes());
    file.extend(rest);
    file.extend(body);
    Ok(file)
}
