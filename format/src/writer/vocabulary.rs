//! Writes pieces in blocks.

use alloc::string::String;
use alloc::vec::Vec;

use super::{WriteError, push_u32};
use crate::Section;
use crate::vocabulary::blocks::{ESCAPE, PIECES};

/// The section of these two halves, each of which ascends by bytes.
pub(super) fn blocks(initial: &[String], continuing: &[String]) -> Result<Vec<u8>, WriteError> {
    let section = Section::PieceBlocks;
    let mut offsets = Vec::new();
    let mut pieces = Vec::new();
    for block in initial.chunks(PIECES).chain(continuing.chunks(PIECES)) {
        offsets.push(pieces.len());
        let mut before = "";
        for piece in block {
            let kept = common(before, piece);
            push_piece(
                &mut pieces,
                kept,
                piece.as_bytes().get(kept..).unwrap_or(&[]),
            );
            before = piece;
        }
    }
    offsets.push(pieces.len());
    let is_wide = u16::try_from(pieces.len()).is_err();
    let mut bytes = Vec::new();
    push_u32(&mut bytes, initial.len(), section)?;
    push_u32(&mut bytes, continuing.len(), section)?;
    push_u32(&mut bytes, if is_wide { 4 } else { 2 }, section)?;
    for offset in offsets {
        match u16::try_from(offset) {
            Ok(offset) if !is_wide => bytes.extend(offset.to_le_bytes()),
            _ => push_u32(&mut bytes, offset, section)?,
        }
    }
    bytes.extend(pieces);
    Ok(bytes)
}

/// Bytes of whole characters with which both begin; the second has at least one more.
fn common(before: &str, piece: &str) -> usize {
    let both = before.chars().zip(piece.chars());
    let same = both.take_while(|(a, b)| a == b);
    same.map(|(character, _)| character.len_utf8()).sum()
}

fn push_piece(bytes: &mut Vec<u8>, kept: usize, more: &[u8]) {
    let [kept, length] = [kept, more.len().saturating_sub(1)];
    let half = |number: usize| u8::try_from(number.min(ESCAPE)).unwrap_or(0);
    bytes.push(half(kept) << 4 | half(length));
    for number in [kept, length] {
        if let Some(mut rest) = number.checked_sub(ESCAPE) {
            while rest > 127 {
                bytes.push(u8::try_from(rest & 127).unwrap_or(0) | 128);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap_or(0));
        }
    }
    bytes.extend(more);
}
