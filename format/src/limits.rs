//! The maxima that determine how much scratch memory a model needs.
//!
//! They are in a section of fixed layout, so that a `const fn` can read them while firmware is
//! compiled; [`crate::Model::open`] checks that each is the true maximum.

use crate::bytes::Reader;
use crate::container::{ENTRY_BYTES, HEADER_BYTES, MAGIC};

/// Longest token sequence a file may state: 13-bit attention weights times int8
/// values then sum within 32 bits (2,048 · 8,191 · 127 < 2³¹).
pub const TOKENS: usize = 2048;

/// Bytes of the section.
pub const LIMITS_BYTES: usize = 32;

/// Largest sizes over all layers of a stack. Counts, not bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Longest token sequence, special tokens included.
    pub tokens: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query (and key) rows of the largest head.
    pub query: usize,
    /// Value rows of the largest head.
    pub value: usize,
    /// Value rows of all heads of the widest layer.
    pub context: usize,
    /// MLP neurons of the widest layer.
    pub intermediate: usize,
    /// Numbers that the head gives: one per class.
    pub outputs: usize,
    /// Width that the factor of the token table reads; 0 without one.
    pub embedding: usize,
    /// Rows of a recurrence, which are as many as the residual stream is wide; 0 without one.
    pub recurrence: usize,
}

impl Limits {
    #[inline(never)]
    pub(crate) fn read(reader: &mut Reader<'_, '_>) -> Option<Self> {
        let mut fields = [0; 7];
        for field in &mut fields {
            *field = reader.index()?;
        }
        let [embedding, recurrence] = [reader.u16()?, reader.u16()?].map(usize::from);
        reader.finish()?;
        let [tokens, hidden, query, value, context, intermediate, outputs] = fields;
        Some(Self {
            tokens,
            hidden,
            query,
            value,
            context,
            intermediate,
            outputs,
            embedding,
            recurrence,
        })
    }

    /// The section's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LIMITS_BYTES] {
        let fields = [
            self.tokens,
            self.hidden,
            self.query,
            self.value,
            self.context,
            self.intermediate,
            self.outputs,
            self.embedding | self.recurrence << 16,
        ];
        let mut bytes = [0; LIMITS_BYTES];
        for (bytes, field) in bytes.chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&u32::try_from(field).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes
    }

    /// Reads the limits of a file at compile time, for the size of a static.
    ///
    /// Only finds the section; [`crate::Model::open`] checks the file.
    ///
    /// # Panics
    /// When `file` is not a `.neuro` file with a limits section. In a `const` this
    /// is a compile error.
    #[must_use]
    #[allow(
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a panic in a const is a compile error, which is what is wanted"
    )]
    pub const fn of_file(file: &[u8]) -> Self {
        const fn word(bytes: &[u8], at: usize) -> usize {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
        }
        let mut index = 0;
        while index < MAGIC.len() {
            assert!(
                index < file.len() && file[index] == MAGIC[index],
                "not a .neuro file"
            );
            index += 1;
        }
        let sections = u16::from_le_bytes([file[10], file[11]]) as usize;
        let mut entry = 0;
        while entry < sections {
            let at = HEADER_BYTES + entry * ENTRY_BYTES;
            let kind = u16::from_le_bytes([file[at], file[at + 1]]);
            if kind == 2 {
                let at = word(file, at + 4);
                return Self {
                    tokens: word(file, at),
                    hidden: word(file, at + 4),
                    query: word(file, at + 8),
                    value: word(file, at + 12),
                    context: word(file, at + 16),
                    intermediate: word(file, at + 20),
                    outputs: word(file, at + 24),
                    embedding: word(file, at + 28) & 0xffff,
                    recurrence: word(file, at + 28) >> 16,
                };
            }
            entry += 1;
        }
        panic!("the .neuro file has no limits section")
    }
}
