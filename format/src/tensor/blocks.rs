//! Blocks of 1×2 and 1×4: half a byte per row with its count, then blocks, each a column step and
//! as many weights as the block is wide.

use super::stream::{Stream, take_counted};
use crate::ErrorKind;

/// Largest count that half a byte holds.
pub(crate) const MOST: u8 = 15;

/// Half of the byte that holds the counts of rows 2·j and 2·j + 1, the lower for the first.
#[inline]
pub(super) fn half(counts: &[u8], row: usize) -> u8 {
    counts.get(row / 2).map_or(0, |byte| byte >> (row % 2 * 4)) & MOST
}

/// Checks the next row over `cols` columns; returns its Σ|w|. One copy of the code for all widths.
#[inline(never)]
pub(super) fn check_row(
    stream: &mut Stream<'_, '_>,
    half: u8,
    width: usize,
    cols: usize,
) -> Option<u32> {
    let Some(blocks @ [_, ..]) = take_counted(&mut stream.rest, half, 1 + width) else {
        return stream.found(ErrorKind::Truncated, stream.at());
    };
    let end = stream.at();
    let mut at = end - blocks.len();
    let mut start = 0;
    // The column after the last one with a weight.
    let mut free = 0;
    let mut sum = 0;
    for block in blocks.chunks_exact(1 + width) {
        let Some((&step, weights)) = block.split_first() else {
            break;
        };
        let is_first = at == end - blocks.len();
        if step == 0 && !is_first {
            return stream.found(ErrorKind::Order, at);
        }
        start += usize::from(step);
        if start + width > cols {
            return stream.found(ErrorKind::Index, at);
        }
        let sum_before = sum;
        for (lane, &weight) in weights.iter().enumerate() {
            if weight == 0 {
                continue;
            }
            if weight == 0x80 {
                return stream.found(ErrorKind::Weight, at + 1 + lane);
            }
            // Where blocks overlap, only one of them may have a weight.
            if start + lane < free {
                return stream.found(ErrorKind::Order, at + 1 + lane);
            }
            free = start + lane + 1;
            sum += u32::from(weight.cast_signed().unsigned_abs());
        }
        // A block of zeros may only bridge a gap that one step cannot.
        let bridge = step == u8::MAX && at + block.len() < end;
        if sum == sum_before && !bridge {
            return stream.found(ErrorKind::Weight, at + 1);
        }
        at += block.len();
    }
    Some(sum)
}

/// (column, weight) of each entry of each block.
pub(super) fn entries(blocks: &[u8], width: usize) -> impl Iterator<Item = (usize, i8)> {
    let mut column = 0;
    let blocks = blocks
        .chunks_exact(1 + width)
        .filter_map(<[u8]>::split_first);
    blocks.flat_map(move |(&step, weights)| {
        column += usize::from(step);
        (column..).zip(weights.iter().map(|weight| weight.cast_signed()))
    })
}
