//! Header, section table and checksums: the outer shape of every `.neuro` file.
//!
//! Nothing here knows what a section means, so the same container can hold an encoder, a decoder or
//! anything added later.

use crate::bytes::{Fault, Reader, u16_at, u32_at};
use crate::{ErrorKind, FormatError, Section};

/// The first eight bytes. The high bit and the line ending reveal a non-binary transfer.
pub const MAGIC: [u8; 8] = *b"\x89NEURO\r\n";
/// The container version written and read here.
pub const VERSION: u16 = 2;
/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of one entry of the section table.
pub const ENTRY_BYTES: usize = 16;
/// Sections begin on multiples of this.
pub const SECTION_ALIGNMENT: usize = 16;
/// Offset of the checksum over header and table.
pub const HEADER_CHECKSUM_OFFSET: usize = 16;
/// Flag of a section that a reader must know to execute the model.
pub const REQUIRED: u16 = 1;

const CRC_32: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// CRC-32 (ISO-HDLC, as in zip and PNG) of the pieces in order.
#[inline(never)]
#[must_use]
pub fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut digest = CRC_32.digest();
    for piece in pieces {
        digest.update(piece);
    }
    digest.finalize()
}

impl Section {
    /// The section's number in the table; `None` for the header and the table themselves.
    #[must_use]
    pub const fn kind(self) -> Option<u16> {
        match self {
            Self::Header | Self::Table => None,
            Self::Manifest => Some(1),
            Self::Limits => Some(2),
            Self::Labels => Some(3),
            Self::Vocabulary => Some(4),
            Self::Characters => Some(5),
            Self::Tensors => Some(6),
            Self::Weights => Some(7),
            Self::CharacterIndex => Some(8),
            Self::PieceBlocks => Some(9),
            Self::Unknown(kind) => Some(kind),
        }
    }

    /// Whether a reader must know the section to execute the model.
    #[cfg(feature = "alloc")]
    pub(crate) const fn is_required(self) -> bool {
        match self {
            Self::Header
            | Self::Table
            | Self::Manifest
            | Self::Limits
            | Self::Labels
            | Self::Vocabulary
            | Self::PieceBlocks
            | Self::Characters
            | Self::Tensors
            | Self::Weights => true,
            Self::CharacterIndex | Self::Unknown(_) => false,
        }
    }

    /// The section with this number in the table.
    #[must_use]
    pub const fn from_kind(kind: u16) -> Self {
        match kind {
            1 => Self::Manifest,
            2 => Self::Limits,
            3 => Self::Labels,
            4 => Self::Vocabulary,
            5 => Self::Characters,
            6 => Self::Tensors,
            7 => Self::Weights,
            8 => Self::CharacterIndex,
            9 => Self::PieceBlocks,
            other => Self::Unknown(other),
        }
    }
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the section is.
    pub section: Section,
    /// Whether a reader must know it.
    pub required: bool,
    /// First byte, from the beginning of the file.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
    /// CRC-32 of those bytes.
    pub checksum: u32,
}

impl Entry {
    fn of(bytes: &[u8; ENTRY_BYTES]) -> Self {
        Self {
            section: Section::from_kind(u16_at(bytes, 0)),
            required: u16_at(bytes, 2) & REQUIRED != 0,
            offset: u32_at(bytes, 4) as usize,
            length: u32_at(bytes, 8) as usize,
            checksum: u32_at(bytes, 12),
        }
    }
}

/// A file whose header, table and checksums are valid.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    bytes: &'a [u8],
    table: &'a [u8],
}

impl<'a> Container<'a> {
    /// Checks header, section table, gaps and every CRC-32 of the file at the start of `bytes`.
    ///
    /// # Errors
    /// [`FormatError`] for the first rule that is broken.
    pub fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        Fault::catch(|fault| Self::read(bytes, fault))
    }

    #[inline(never)]
    pub(crate) fn read(bytes: &'a [u8], fault: &Fault) -> Option<Self> {
        let mut header = Reader::new(Section::Header, bytes, fault);
        if header.take(8)? != MAGIC {
            return header.found(ErrorKind::Magic, 0);
        }
        let found = header.u16()?;
        if found != VERSION {
            let known = VERSION;
            return header.found(ErrorKind::Version { found, known }, 8);
        }
        let sections = usize::from(header.u16()?);
        let stated = header.u32()?;
        let Some(bytes) = bytes.get(..stated as usize) else {
            let given = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            return header.found(ErrorKind::Length { stated, given }, 12);
        };
        let expected = header.u32()?;
        header.reserved(HEADER_BYTES - header.position())?;
        let table = header.take_items(sections, ENTRY_BYTES)?;
        let table_end = header.position();
        // The bytes after the file were given too.
        let Some(head) = bytes.get(..table_end) else {
            return header.found(ErrorKind::Truncated, HEADER_BYTES);
        };
        let (before, after) = head
            .split_at_checked(HEADER_CHECKSUM_OFFSET)
            .unwrap_or((&[], &[]));
        if checksum(&[before, after.get(4..).unwrap_or(&[])]) != expected {
            return header.found(ErrorKind::Checksum, HEADER_CHECKSUM_OFFSET);
        }
        let container = Self { bytes, table };
        container.check_sections(table_end, fault)?;
        Some(container)
    }

    fn check_sections(&self, table_end: usize, fault: &Fault) -> Option<()> {
        let mut previous_kind = 0;
        let mut end = table_end;
        for (index, bytes) in self.table.as_chunks().0.iter().enumerate() {
            let found =
                |kind, field| fault.found(kind, Section::Table, index * ENTRY_BYTES + field);
            let kind = u16_at(bytes, 0);
            if kind <= previous_kind {
                return found(ErrorKind::Order, 0);
            }
            previous_kind = kind;
            let entry = Entry::of(bytes);
            if u16_at(bytes, 2) & !REQUIRED != 0 {
                return found(ErrorKind::Reserved, 2);
            }
            if entry.required && matches!(entry.section, Section::Unknown(_)) {
                return fault.found(ErrorKind::Required, entry.section, 0);
            }
            if entry.offset != end.next_multiple_of(SECTION_ALIGNMENT) {
                return found(ErrorKind::Alignment, 4);
            }
            let gap = self.bytes.get(end..entry.offset);
            let body = self.body(&entry);
            let (Some(gap), Some(body)) = (gap, body) else {
                return found(ErrorKind::Truncated, 8);
            };
            if gap.iter().any(|&byte| byte != 0) {
                return found(ErrorKind::Reserved, 4);
            }
            if checksum(&[body]) != entry.checksum {
                return fault.found(ErrorKind::Checksum, entry.section, 0);
            }
            end = entry.offset + entry.length;
        }
        if end == self.bytes.len() {
            Some(())
        } else {
            fault.found(ErrorKind::Trailing, Section::Header, end)
        }
    }

    /// The file, without the bytes after it.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The section table, in file order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + use<'a> {
        self.table.as_chunks().0.iter().map(Entry::of)
    }

    /// The bytes of `section`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] when the file has none.
    pub fn section(&self, section: Section) -> Result<&'a [u8], FormatError> {
        Fault::catch(|fault| self.find(section, fault))
    }

    pub(crate) fn find(&self, section: Section, fault: &Fault) -> Option<&'a [u8]> {
        let found = self.find_optional(section);
        found.or_else(|| fault.found(ErrorKind::Missing, section, 0))
    }

    /// The bytes of a section that a file may not have.
    #[inline(never)]
    pub(crate) fn find_optional(&self, section: Section) -> Option<&'a [u8]> {
        self.entries()
            .find(|entry| entry.section == section)
            .and_then(|entry| self.body(&entry))
    }

    fn body(&self, entry: &Entry) -> Option<&'a [u8]> {
        self.bytes.get(entry.offset..)?.get(..entry.length)
    }
}
