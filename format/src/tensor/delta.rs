//! Delta-u8: a count per row, then (column step, weight) pairs.

use super::stream::{IN_STREAM, Stream, take_counted};
use crate::ErrorKind;

/// Takes the next row of [`Pattern::DeltaU8`](super::Pattern::DeltaU8) off the stored rows: its
/// (step, weight) pairs; empty after the last row.
#[inline]
pub fn take_row<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    take_counted(rest, IN_STREAM, 2).unwrap_or(&[])
}

/// Checks the next row over `cols` columns; returns its Σ|w|.
pub(super) fn check_row(stream: &mut Stream<'_, '_>, cols: usize) -> Option<u32> {
    let Some(pairs) = take_counted(&mut stream.rest, IN_STREAM, 2) else {
        return stream.found(ErrorKind::Truncated, stream.at());
    };
    let mut rest = pairs;
    let mut column = 0;
    let mut sum = 0;
    while let Some((&[step, weight], after)) = rest.split_first_chunk() {
        // Evaluated only where something is wrong.
        let at = || stream.at() - rest.len();
        if step == 0 && rest.len() < pairs.len() {
            return stream.found(ErrorKind::Order, at());
        }
        column += usize::from(step);
        if column >= cols {
            return stream.found(ErrorKind::Index, at());
        }
        // 0 and −128 are the two bytes without the lower seven bits.
        if weight & 0x7f == 0 {
            // A zero may only bridge a gap that one step cannot.
            let bridge = weight == 0 && step == u8::MAX && !after.is_empty();
            if !bridge {
                return stream.found(ErrorKind::Weight, at() + 1);
            }
        }
        sum += u32::from(weight.cast_signed().unsigned_abs());
        rest = after;
    }
    Some(sum)
}

/// (column, weight) of each pair.
pub(super) fn entries(pairs: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    pairs.chunks_exact(2).scan(0, |column, pair| {
        let &[step, weight] = pair else { return None };
        *column += usize::from(step);
        Some((*column, weight.cast_signed()))
    })
}
