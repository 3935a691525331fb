//! What rows of the sparse layouts are made of.

use alloc::vec::Vec;

/// A count: one byte, or 255 and a `u16`.
pub(super) fn push_count(bytes: &mut Vec<u8>, count: usize) -> Option<()> {
    match u8::try_from(count) {
        Ok(count) if count < u8::MAX => bytes.push(count),
        _ => {
            bytes.push(u8::MAX);
            bytes.extend(u16::try_from(count).ok()?.to_le_bytes());
        }
    }
    Some(())
}

/// A column step; entries of `width` zero weights bridge what one step cannot.
pub(super) fn push_step(bytes: &mut Vec<u8>, mut gap: usize, width: usize) {
    let last = loop {
        match u8::try_from(gap) {
            Ok(last) => break last,
            Err(_) => {
                bytes.push(u8::MAX);
                bytes.resize(bytes.len() + width, 0);
                gap -= usize::from(u8::MAX);
            }
        }
    };
    bytes.push(last);
}
