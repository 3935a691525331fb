//! What the model is: a record in the postcard wire format with a version of its own.
//!
//! It holds no lists, so it decodes without memory. A change of any field needs a
//! new [`VERSION`]: postcard cannot tell an old record from a damaged one. Every version remains
//! readable; a writer uses the first one that can express the model, so that older readers can
//! still read what they can execute.

use serde::Deserialize;

use crate::ErrorKind;
use crate::architecture::{
    Architecture, ArchitectureKind, Head, HeadKind, MlpKind, NormKind, NormPlace, Numbered,
    StackSettings,
};
use crate::bytes::Reader;
use crate::strings::valid_text;

#[cfg(feature = "alloc")]
mod writing;

/// Newest manifest version that is read here.
pub const VERSION: u16 = 3;

/// Everything about a model except its shapes and weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manifest<'a> {
    /// Version of the record, 1 to [`VERSION`].
    pub version: u16,
    /// Name the author gave the model.
    pub name: &'a str,
    /// The kind of network, with the settings needed to execute it.
    pub architecture: Architecture,
    /// How text is turned into token ids.
    pub tokenizer: TokenizerSettings,
    /// Where it comes from.
    pub provenance: Provenance<'a>,
    /// What it scored.
    pub scores: Scores,
}

/// How text is turned into token ids.
#[cfg_attr(feature = "alloc", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerSettings {
    /// Token for a word that cannot be split into pieces.
    pub unknown: u16,
    /// Token at the beginning (`[CLS]`).
    pub start: u16,
    /// Token after each text (`[SEP]`).
    pub separator: u16,
    /// A word with more characters is unknown.
    pub word_characters: u16,
    /// Whether the model was trained on pairs of texts.
    pub pair: bool,
}

/// Where a model comes from.
#[cfg_attr(feature = "alloc", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance<'a> {
    /// Program and version that wrote the file.
    pub producer: &'a str,
    /// Random seed of the run.
    pub seed: u64,
    /// SHA-256 of the resolved recipe.
    pub recipe: [u8; 32],
    /// SHA-256 of the training data as read.
    pub data: [u8; 32],
}

/// Scores in per cent, if they were measured.
#[cfg_attr(feature = "alloc", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Test accuracy of the dense float model it came from.
    pub dense_float: Option<f32>,
    /// Test accuracy of the pruned float model.
    pub sparse_float: Option<f32>,
    /// Test accuracy of this file in the runtime.
    pub runtime: Option<f32>,
}

impl<'a> Manifest<'a> {
    /// The placeholder for a record that is missing.
    pub(crate) const EMPTY: Self = Self {
        version: 0,
        name: "",
        architecture: Architecture::EMPTY,
        tokenizer: TokenizerSettings {
            unknown: 0,
            start: 0,
            separator: 0,
            word_characters: 0,
            pair: false,
        },
        provenance: Provenance {
            producer: "",
            seed: 0,
            recipe: [0; 32],
            data: [0; 32],
        },
        scores: Scores {
            dense_float: None,
            sparse_float: None,
            runtime: None,
        },
    };

    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Option<Self> {
        let mut record = reader.rest();
        let length = record.len();
        let Some(version) = take_u16(&mut &*record) else {
            return reader.found(ErrorKind::Manifest, 0);
        };
        if version == 0 || version > VERSION {
            let (found, known) = (version, VERSION);
            return reader.found(ErrorKind::Version { found, known }, 0);
        }
        let Some(manifest) = Self::decode(&mut record) else {
            return reader.found(ErrorKind::Manifest, 0);
        };
        if !record.is_empty() {
            return reader.found(ErrorKind::Trailing, length - record.len());
        }
        if version < manifest.architecture.first_version() {
            return reader.found(ErrorKind::Manifest, 0);
        }
        let Architecture::Encoder { stack, .. } = manifest.architecture;
        // Written so that NaN fails too.
        if !(stack.norm_epsilon >= 0.0 && stack.norm_epsilon < 1.0) {
            return reader.found(ErrorKind::Scale, 0);
        }
        if manifest.tokenizer.word_characters > crate::tensor::WORD_CHARACTERS {
            return reader.found(ErrorKind::Limit, 0);
        }
        Some(manifest)
    }

    /// Field by field: a visitor for each type, as serde derives it, is five times the code.
    pub(crate) fn decode(record: &mut &'a [u8]) -> Option<Self> {
        let version = take_u16(record)?;
        let name = take_text(record)?;
        let architecture = decode_architecture(record, version)?;
        let mut settings = [0; 4];
        for setting in &mut settings {
            *setting = take_u16(record)?;
        }
        let [unknown, start, separator, word_characters] = settings;
        let pair = take_bool(record)?;
        let provenance = Provenance {
            producer: take_text(record)?,
            seed: take(record)?,
            recipe: take_hash(record)?,
            data: take_hash(record)?,
        };
        let mut scores = [None; 3];
        for score in &mut scores {
            if take_bool(record)? {
                *score = Some(take(record)?);
            }
        }
        let [dense_float, sparse_float, runtime] = scores;
        Some(Self {
            version,
            name,
            architecture,
            tokenizer: TokenizerSettings {
                unknown,
                start,
                separator,
                word_characters,
                pair,
            },
            provenance,
            scores: Scores {
                dense_float,
                sparse_float,
                runtime,
            },
        })
    }
}

/// Version 1 knows one kind of stack: BERT's, with a head for classes. It stores the pooling, which
/// belongs to the head, among the settings of the stack.
fn decode_architecture(record: &mut &[u8], version: u16) -> Option<Architecture> {
    // Each of these has one variant so far, so that one copy of the code reads them all.
    const _: () = assert!(
        ArchitectureKind::ALL.len() == 1
            && NormKind::ALL.len() == 1
            && NormPlace::ALL.len() == 1
            && MlpKind::ALL.len() == 1
            && HeadKind::ALL.len() == 1
    );
    take_zero(record)?;
    let mut stack = StackSettings {
        layers: take_u16(record)?,
        ..StackSettings::default()
    };
    if version > 1 {
        // The norm and its place.
        take_zero(record)?;
        take_zero(record)?;
        stack.positions = take_variant(record)?;
        // The MLP.
        take_zero(record)?;
    }
    stack.activation = take_variant(record)?;
    if version > 1 {
        take_zero(record)?;
    }
    let head = Head::Classes(take_variant(record)?);
    stack.norm_epsilon = take(record)?;
    stack.dense_weights = take_integer(record)?;
    Some(Architecture::Encoder { stack, head })
}

/// The number of the first variant.
#[inline(never)]
fn take_zero(record: &mut &[u8]) -> Option<()> {
    (take_u16(record)? == 0).then_some(())
}

/// The variant whose number comes next.
fn take_variant<T: Numbered>(record: &mut &[u8]) -> Option<T> {
    let number = take_u16(record)?;
    T::VARIANTS.get(usize::from(number)).copied()
}

/// The next value.
#[inline(never)]
fn take<'a, T: Deserialize<'a>>(record: &mut &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(record).ok()?;
    *record = rest;
    Some(value)
}

/// An integer of any width, or the number of an enum's variant: postcard writes all alike, in
/// groups of seven bits, so one copy of the code reads them.
fn take_integer<T: TryFrom<u64>>(record: &mut &[u8]) -> Option<T> {
    let number: u64 = take(record)?;
    number.try_into().ok()
}

#[inline(never)]
fn take_u16(record: &mut &[u8]) -> Option<u16> {
    take_integer(record)
}

/// 0 or 1, as for a `bool`, and in front of an optional value.
fn take_bool(record: &mut &[u8]) -> Option<bool> {
    let (&byte, rest) = record.split_first()?;
    *record = rest;
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// A length in front of bytes that are UTF-8.
#[inline(never)]
fn take_text<'a>(record: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_integer(record)?;
    let (bytes, rest) = record.split_at_checked(length)?;
    *record = rest;
    let text = valid_text(bytes);
    (text.len() == bytes.len()).then_some(text)
}

/// An array is not preceded by a length.
fn take_hash(record: &mut &[u8]) -> Option<[u8; 32]> {
    let (&hash, rest) = record.split_first_chunk()?;
    *record = rest;
    Some(hash)
}
