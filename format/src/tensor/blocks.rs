//! Blocks of 1×2 and 1×4: a count a row, then blocks of a column step and as many
//! weights as the block is wide.

use super::stream::{self, Fault, take_counted};
use crate::ErrorKind;

/// The blocks of the next row; none behind the last.
#[inline]
pub(super) fn take_row<'a>(rest: &mut &'a [u8], width: usize) -> &'a [u8] {
    take_counted(rest, 1 + width).map_or(&[], |(_, blocks)| blocks)
}

/// Checks `rows` rows over `cols` columns; one copy of the code for all widths.
#[inline(never)]
pub(super) fn check_rows(
    stream: &[u8],
    rows: usize,
    width: usize,
    cols: usize,
) -> Result<(), Fault> {
    stream::check_rows(stream, rows, |rest| check_row(rest, width, cols))
}

/// Checks the next row; its Σ|w|.
fn check_row(rest: &mut &[u8], width: usize, cols: usize) -> Result<u32, Fault> {
    let (mut at, blocks) = take_counted(rest, 1 + width).ok_or((ErrorKind::Truncated, 0))?;
    let end = at + blocks.len();
    let mut start = 0;
    // Behind the last column with a weight.
    let mut free = 0;
    let mut sum = 0;
    for (index, block) in blocks.chunks_exact(1 + width).enumerate() {
        let Some((&step, weights)) = block.split_first() else {
            break;
        };
        if step == 0 && index > 0 {
            return Err((ErrorKind::Order, at));
        }
        start += usize::from(step);
        if start + width > cols {
            return Err((ErrorKind::Index, at));
        }
        let sum_before = sum;
        for (lane, &weight) in weights.iter().enumerate() {
            if weight == 0 {
                continue;
            }
            if weight == 0x80 {
                return Err((ErrorKind::Weight, at + 1 + lane));
            }
            // Where blocks overlap, only one of them has a weight.
            if start + lane < free {
                return Err((ErrorKind::Order, at + 1 + lane));
            }
            free = start + lane + 1;
            sum += u32::from(weight.cast_signed().unsigned_abs());
        }
        // Zeros alone only bridge a gap that one step cannot.
        let bridge = step == u8::MAX && at + block.len() < end;
        if sum == sum_before && !bridge {
            return Err((ErrorKind::Weight, at + 1));
        }
        at += block.len();
    }
    Ok(sum)
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
