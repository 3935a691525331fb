//! The parts of rows in the sparse layouts.

use alloc::vec::Vec;

use crate::tensor::{IN_STREAM, MOST_BLOCKS};

/// Rows as they are laid out, one after the other.
#[derive(Default)]
pub(super) struct Stream {
    /// Counts of blocks, stored before the rows in half a byte each.
    halves: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Stream {
    /// A count in half a byte, or in front of the row if half a byte cannot hold it.
    pub(super) fn push_half(&mut self, count: usize) -> Option<()> {
        match u8::try_from(count) {
            Ok(count) if count <= MOST_BLOCKS && count != IN_STREAM => self.halves.push(count),
            _ => {
                self.halves.push(IN_STREAM);
                push_count(&mut self.bytes, count)?;
            }
        }
        Some(())
    }

    /// Appends counts and rows after what the matrix begins with.
    pub(super) fn append_to(self, matrix: &mut Vec<u8>) {
        let pairs = self.halves.chunks(2);
        matrix.extend(pairs.map(|pair| pair.iter().rev().fold(0, |byte, half| byte << 4 | half)));
        matrix.extend(self.bytes);
    }
}

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

/// Appends a column step; entries of `width` zero weights bridge what one step cannot.
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
