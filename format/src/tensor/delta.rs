//! Delta-u8: a count a row, then (column step, weight) pairs.

use super::stream::{self, Fault, take_counted};
use crate::ErrorKind;

/// Takes the next row of [`LayoutKind::DeltaU8`](super::LayoutKind::DeltaU8) off the stored
/// rows: its (step, weight) pairs; none behind the last.
#[inline]
pub fn take_row<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    take_counted(rest, 2).map_or(&[], |(_, pairs)| pairs)
}

/// Checks `rows` rows over `cols` columns.
pub(super) fn check_rows(stream: &[u8], rows: usize, cols: usize) -> Result<(), Fault> {
    stream::check_rows(stream, rows, |rest| check_row(rest, cols))
}

/// Checks the next row; its Σ|w|.
fn check_row(rest: &mut &[u8], cols: usize) -> Result<u32, Fault> {
    let (pairs_at, pairs) = take_counted(rest, 2).ok_or((ErrorKind::Truncated, 0))?;
    let mut column = 0;
    let mut sum = 0;
    for (index, pair) in pairs.chunks_exact(2).enumerate() {
        let &[step, weight] = pair else { break };
        let at = pairs_at + index * 2;
        if step == 0 && index > 0 {
            return Err((ErrorKind::Order, at));
        }
        column += usize::from(step);
        if column >= cols {
            return Err((ErrorKind::Index, at));
        }
        // A zero only bridges a gap that one step cannot.
        let bridge = weight == 0 && step == u8::MAX && index * 2 + 2 < pairs.len();
        if weight == 0x80 || (weight == 0 && !bridge) {
            return Err((ErrorKind::Weight, at + 1));
        }
        sum += u32::from(weight.cast_signed().unsigned_abs());
    }
    Ok(sum)
}

/// (column, weight) of each pair.
pub(super) fn entries(pairs: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    pairs.chunks_exact(2).scan(0, |column, pair| {
        let &[step, weight] = pair else { return None };
        *column += usize::from(step);
        Some((*column, weight.cast_signed()))
    })
}
