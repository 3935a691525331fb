//! Writes sections as a file.

use alloc::vec::Vec;

use super::{WriteError, push_u32};
use crate::Section;
use crate::container::{
    ENTRY_BYTES, HEADER_BYTES, HEADER_CHECKSUM_OFFSET, MAGIC, REQUIRED, SECTION_ALIGNMENT, VERSION,
    checksum,
};

/// Header, table and sections, with every checksum. Sections must be in ascending order of kind;
/// all but the character index are marked as required.
///
/// # Errors
/// [`WriteError::TooLarge`] beyond what the header can express.
pub fn assemble(sections: &[(Section, Vec<u8>)]) -> Result<Vec<u8>, WriteError> {
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
        let flags = if section.is_required() { REQUIRED } else { 0 };
        table.extend(flags.to_le_bytes());
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
