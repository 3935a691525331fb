//! Turns quantised tensors into the bytes of a file.
//!
//! The writer chooses each matrix's layout, cuts zero rows and columns, and finally opens what it
//! wrote: every file it returns is one that [`Model::open`] accepts.

mod bitmap;
mod blocks;
mod candidate;
mod characters;
mod choice;
mod container;
mod delta;
mod dense;
mod error;
mod layout;
mod matrix;
mod stream;
mod strings;
mod table;
mod vocabulary;

pub use characters::{CharacterMap, CharacterOutcome};
pub use choice::{LayoutChoice, LayoutCosts};
pub use container::assemble;
pub use error::WriteError;
pub use matrix::MatrixSource;
pub use table::TableSource;
pub use vocabulary::repack;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use half::f16;

use self::strings::string_table;
use crate::architecture::{Architecture, Head};
use crate::limits::Limits;
use crate::manifest::{Manifest, Scores, TokenizerSettings};
use crate::schema::{Role, Size};
use crate::tensor::{Layout, TENSOR_ALIGNMENT, TableValues};
use crate::{Model, Section};

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
    pub architecture: Architecture,
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
    /// A table of rows that are looked up.
    Table(TableSource),
    /// A LayerNorm.
    Norm(NormSource),
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

impl ModelSource {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`WriteError`] when the parts do not make a model.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let (records, weights) = self.write_tensors()?;
        let (characters, index) = self.characters.to_bytes()?;
        let mut sections = vec![
            (Section::Manifest, self.write_manifest()?),
            (Section::Limits, self.limits().to_bytes().to_vec()),
            (
                Section::Labels,
                string_table(self.labels.iter(), Section::Labels)?,
            ),
            (Section::Characters, characters),
            (Section::Tensors, records),
            (Section::Weights, weights),
        ];
        if !index.is_empty() {
            sections.push((Section::CharacterIndex, index));
        }
        sections.push((
            Section::PieceBlocks,
            vocabulary::blocks(&self.initial, &self.continuation)?,
        ));
        let bytes = assemble(&sections)?;
        Model::open(&bytes)?;
        Ok(bytes)
    }

    fn write_manifest(&self) -> Result<Vec<u8>, WriteError> {
        let manifest = Manifest {
            version: self.version(),
            name: &self.name,
            architecture: self.architecture,
            tokenizer: self.tokenizer,
            provenance: crate::manifest::Provenance {
                producer: &self.producer,
                seed: self.seed,
                recipe: self.recipe,
                data: self.data,
            },
            scores: self.scores,
        };
        let bytes = manifest.to_bytes();
        bytes.ok_or(WriteError::TooLarge(Section::Manifest))
    }

    /// The first version whose readers know everything in the file.
    fn version(&self) -> u16 {
        let of_tensor = |tensor: &TensorSource| match (tensor.role(), tensor) {
            (
                Role::EmbeddingFactor
                | Role::ForwardRecurrence
                | Role::BackwardRecurrence
                | Role::RecurrenceNorm,
                _,
            ) => 3,
            (_, TensorSource::Table(table)) if table.values == TableValues::I4 => 3,
            _ => 1,
        };
        let tensors = self.tensors.iter().map(of_tensor);
        tensors.fold(self.architecture.first_version(), u16::max)
    }

    fn limits(&self) -> Limits {
        let Architecture::Encoder { head, .. } = self.architecture;
        let mut limits = Limits {
            tokens: self.tokens,
            hidden: self.hidden,
            outputs: match head {
                Head::Classes(_) => self.labels.len(),
            },
            ..Limits::default()
        };
        let mut context = BTreeMap::<u16, usize>::new();
        for tensor in &self.tensors {
            let TensorSource::Matrix(matrix) = tensor else {
                continue;
            };
            match matrix.role.slot().rows {
                Size::OfHead => {
                    let query = matrix.query_rows;
                    let value = matrix.rows.saturating_sub(query.saturating_mul(2));
                    limits.query = limits.query.max(query);
                    limits.value = limits.value.max(value);
                    *context.entry(matrix.layer).or_default() += value;
                }
                Size::Intermediate => limits.intermediate = limits.intermediate.max(matrix.rows),
                Size::One
                | Size::Pieces
                | Size::Tokens
                | Size::Texts
                | Size::Embedding
                | Size::Hidden
                | Size::TwoHidden
                | Size::Context
                | Size::Outputs => {}
            }
            match matrix.role.slot().cols {
                Size::Embedding => limits.embedding = matrix.cols,
                Size::TwoHidden => limits.recurrence = matrix.rows,
                Size::One
                | Size::Pieces
                | Size::Tokens
                | Size::Texts
                | Size::Hidden
                | Size::OfHead
                | Size::Context
                | Size::Intermediate
                | Size::Outputs => {}
            }
        }
        limits.context = context.values().copied().max().unwrap_or(0);
        limits
    }

    fn write_tensors(&self) -> Result<(Vec<u8>, Vec<u8>), WriteError> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|tensor| {
            let (layer, head) = tensor.place();
            tensor.role().place(layer, head)
        });
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
    layout: Layout,
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
            Self::Table(table) => table.role,
            Self::Norm(norm) => norm.role,
        }
    }

    fn place(&self) -> (u16, u16) {
        match self {
            Self::Matrix(matrix) => (matrix.layer, matrix.head),
            Self::Table(_) => (0, 0),
            Self::Norm(norm) => (norm.layer, 0),
        }
    }

    fn encode(&self) -> Result<Encoded, WriteError> {
        let error = WriteError::Lengths {
            role: self.role(),
            layer: self.place().0,
        };
        let (rows, cols) = match self {
            Self::Matrix(matrix) => (matrix.rows, matrix.cols),
            Self::Table(table) => (table.rows, table.cols),
            Self::Norm(norm) => (1, norm.gain.len()),
        };
        // Also keeps every product of the two below from overflowing.
        if rows.max(cols) > usize::from(u16::MAX) {
            return Err(WriteError::TooLarge(Section::Tensors));
        }
        let halves: [&[f16]; 2] = match self {
            Self::Matrix(matrix) => [matrix.bias.as_deref().unwrap_or(&[]), &[]],
            Self::Table(_) => [&[], &[]],
            Self::Norm(norm) => [&norm.gain, &norm.shift],
        };
        if !halves.into_iter().flatten().all(|value| value.is_finite()) {
            return Err(WriteError::NotFinite {
                role: self.role(),
                layer: self.place().0,
            });
        }
        match self {
            Self::Matrix(matrix) => matrix.encode(),
            Self::Table(table) => table.encode().ok_or(error),
            Self::Norm(norm) => norm.encode().ok_or(error),
        }
    }
}

impl MatrixSource {
    fn encode(&self) -> Result<Encoded, WriteError> {
        let chosen = self.lay_out()?;
        Ok(Encoded {
            layout: Layout::matrix(chosen.pattern),
            flags: chosen.flags,
            rows: self.rows,
            cols: self.cols,
            query_rows: self.query_rows,
            bytes: chosen.bytes,
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
            layout: Layout::Norm,
            flags: 0,
            rows: 1,
            cols: self.gain.len(),
            query_rows: 0,
            bytes: numbers.flat_map(|number| number.to_le_bytes()).collect(),
        })
    }
}

fn push_u32(bytes: &mut Vec<u8>, value: usize, section: Section) -> Result<(), WriteError> {
    let value = u32::try_from(value).map_err(|_| WriteError::TooLarge(section))?;
    bytes.extend(value.to_le_bytes());
    Ok(())
}
