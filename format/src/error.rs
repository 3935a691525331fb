//! What can be wrong with a file, and where.

use core::fmt;

/// The part of a file an error points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Section {
    /// The 32 bytes every file begins with.
    Header,
    /// The table of sections after the header.
    Table,
    /// What the model is, as postcard.
    Manifest,
    /// The maxima that decide the scratch memory.
    Limits,
    /// Names of the classes.
    Labels,
    /// Pieces of words the tokenizer knows.
    Vocabulary,
    /// What text normalisation does to each character.
    Characters,
    /// The directory of tensors.
    Tensors,
    /// Quantised weights.
    Weights,
    /// Where characters are in the runs of their section.
    CharacterIndex,
    /// Pieces of words the tokenizer knows, in blocks.
    PieceBlocks,
    /// A section of a kind this version does not know.
    Unknown(u16),
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// The first eight bytes are not those of a `.neuro` file.
    Magic,
    /// The file, or its manifest, is of a version this reader does not know.
    Version {
        /// The version the file states.
        found: u16,
        /// The newest version this reader knows.
        known: u16,
    },
    /// The file states more bytes than were given.
    Length {
        /// Length the file states, in bytes.
        stated: u32,
        /// Bytes given (saturated).
        given: u32,
    },
    /// The section ends before a value that must be here.
    Truncated,
    /// Bytes follow after the required end of the section.
    Trailing,
    /// A CRC-32 does not match its bytes.
    Checksum,
    /// A section or tensor does not begin on its boundary, or leaves a gap.
    Alignment,
    /// Entries that must ascend do not.
    Order,
    /// A section that this reader does not know is marked as required.
    Required,
    /// A section that every model has is not there.
    Missing,
    /// A reserved field, or a padding byte, is not zero.
    Reserved,
    /// The manifest does not decode.
    Manifest,
    /// Text is not UTF-8, or a string is empty that must not be.
    Text,
    /// A tag names no role, layout or kind known here.
    Tag,
    /// A shape disagrees with the rest of the model.
    Shape,
    /// An index is out of range.
    Index,
    /// A bias, a norm weight or ε is not a number that can be computed with.
    Scale,
    /// A weight is outside −127…127, or a zero is stored where none may be.
    Weight,
    /// The absolute weights of one row add up to more than [`crate::tensor::ROW_SUM_LIMIT`].
    RowSum,
    /// A stated maximum is not the maximum.
    Limit,
    /// The section says what another one says.
    Repeated,
}

/// Why bytes are not a model: what is wrong, in which section, and at which offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FormatError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The section it is in.
    pub section: Section,
    /// Bytes from the beginning of that section.
    pub offset: u32,
}

impl FormatError {
    pub(crate) fn new(kind: ErrorKind, section: Section, offset: usize) -> Self {
        Self {
            kind,
            section,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Table => "section table",
            Self::Manifest => "manifest",
            Self::Limits => "limits",
            Self::Labels => "labels",
            Self::Vocabulary => "vocabulary",
            Self::Characters => "characters",
            Self::Tensors => "tensors",
            Self::Weights => "weights",
            Self::CharacterIndex => "character index",
            Self::PieceBlocks => "piece blocks",
            Self::Unknown(kind) => return write!(f, "section of kind {kind}"),
        })
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "not a .neuro file: the magic number is wrong",
            Self::Version { found, known } => {
                return write!(
                    f,
                    "version {found} is not known (this reader knows up to {known})"
                );
            }
            Self::Length { stated, given } => {
                return write!(f, "the file states {stated} bytes but {given} were given");
            }
            Self::Truncated => "ends before the value expected here",
            Self::Trailing => "bytes follow where the end was expected",
            Self::Checksum => "the CRC-32 does not match",
            Self::Alignment => "does not begin on its boundary, or leaves a gap",
            Self::Order => "entries are not in ascending order",
            Self::Required => "marked as required, but not known to this reader",
            Self::Missing => "is missing",
            Self::Reserved => "a reserved byte is not zero",
            Self::Manifest => "the manifest does not decode",
            Self::Text => "text is not UTF-8, or empty where it may not be",
            Self::Tag => "a tag is not known",
            Self::Shape => "a shape disagrees with the rest of the model",
            Self::Index => "an index points outside",
            Self::Scale => "a bias, a norm weight or ε is not a valid number",
            Self::Weight => "a weight is outside -127…127, or zero where none may stand",
            Self::RowSum => "the absolute weights of a row sum above 66052",
            Self::Limit => "a stated maximum is not the maximum",
            Self::Repeated => "says what another section says",
        })
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.section, self.offset, self.kind)
    }
}

impl core::error::Error for FormatError {}
