//! Bitmap: one bit per column, then a weight for each set bit.
//!
//! The first column is the highest bit: cores count leading zeros with one instruction.

use super::stream::Stream;
use crate::ErrorKind;

/// Bits and weights of the next row over `cols` columns; empty after the last row.
#[inline]
pub(super) fn take_row<'a>(rest: &mut &'a [u8], cols: usize) -> (&'a [u8], &'a [u8]) {
    split_row(rest, cols).unwrap_or((&[], &[]))
}

#[inline(never)]
fn split_row<'a>(rest: &mut &'a [u8], cols: usize) -> Option<(&'a [u8], &'a [u8])> {
    let (bits, after) = rest.split_at_checked(cols.div_ceil(8))?;
    let (weights, after) = after.split_at_checked(count_bits(bits))?;
    *rest = after;
    Some((bits, weights))
}

/// Four bytes at a time: few of our targets count bits with one instruction.
#[inline]
fn count_bits(bits: &[u8]) -> usize {
    let (words, rest) = bits.as_chunks::<4>();
    let words: u32 = words
        .iter()
        .map(|&word| u32::from_le_bytes(word).count_ones())
        .sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    (words + rest) as usize
}

/// Checks the next row over `cols` columns; returns its Σ|w|.
pub(super) fn check_row(stream: &mut Stream<'_, '_>, cols: usize) -> Option<u32> {
    let row_at = stream.at();
    let Some((bits, weights)) = split_row(&mut stream.rest, cols) else {
        return stream.found(ErrorKind::Truncated, row_at);
    };
    let unused = u8::MAX >> (cols % 8);
    if !cols.is_multiple_of(8) && bits.last().is_some_and(|last| last & unused != 0) {
        return stream.found(ErrorKind::Reserved, row_at + bits.len() - 1);
    }
    let mut sum = 0;
    for (index, weight) in weights.iter().enumerate() {
        // 0 and −128 are the two bytes without the lower seven bits.
        if weight & 0x7f == 0 {
            return stream.found(ErrorKind::Weight, row_at + bits.len() + index);
        }
        sum += u32::from(weight.cast_signed().unsigned_abs());
    }
    Some(sum)
}

/// (column, weight) of each set bit.
pub(super) fn entries(bits: &[u8], weights: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    let columns = (0..bits.len() * 8).filter(|&column| {
        let byte = bits.get(column / 8).copied().unwrap_or(0);
        byte << (column % 8) & 0x80 != 0
    });
    columns.zip(weights.iter().map(|weight| weight.cast_signed()))
}
