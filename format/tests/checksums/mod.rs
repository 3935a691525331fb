//! Makes damaged bytes pass every CRC-32, so that the checks after them are reached.

use neuroprune_format::container::{ENTRY_BYTES, HEADER_BYTES, HEADER_CHECKSUM_OFFSET, checksum};

/// Recomputes the checksum of each section that lies within `bytes`, then that of
/// header and table. Everything else is unchanged.
pub(crate) fn repair(bytes: &mut [u8]) {
    let Some(&[low, high]) = bytes.get(10..12) else {
        return;
    };
    let table_end = HEADER_BYTES + usize::from(u16::from_le_bytes([low, high])) * ENTRY_BYTES;
    for at in (HEADER_BYTES..table_end).step_by(ENTRY_BYTES) {
        if bytes.len() < at + ENTRY_BYTES {
            break;
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let start = word(at + 4) as usize;
        let end = start.saturating_add(word(at + 8) as usize);
        // A section must not overlap the header, or this would never settle.
        if start < table_end {
            continue;
        }
        if let Some(body) = bytes.get(start..end) {
            let sum = checksum(&[body]);
            bytes[at + 12..at + 16].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let after = HEADER_CHECKSUM_OFFSET + 4;
    if let Some(rest) = bytes.get(after..table_end) {
        let sum = checksum(&[&bytes[..HEADER_CHECKSUM_OFFSET], rest]);
        bytes[HEADER_CHECKSUM_OFFSET..after].copy_from_slice(&sum.to_le_bytes());
    }
}
