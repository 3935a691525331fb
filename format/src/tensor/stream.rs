//! What the sparse layouts share: rows that follow each other as a stream, each as
//! long as it says itself.

use super::ROW_SUM_LIMIT;
use crate::ErrorKind;

/// What is wrong, and how many bytes into what was checked.
pub(super) type Fault = (ErrorKind, usize);

/// Checks `rows` rows and that nothing follows them.
///
/// `check_row` takes one row off the front and returns its Σ|w|, or the fault and how
/// many bytes into the row it is. Columns stay below 2¹⁶, so Σ|w| fits.
pub(super) fn check_rows(
    stream: &[u8],
    rows: usize,
    mut check_row: impl FnMut(&mut &[u8]) -> Result<u32, Fault>,
) -> Result<(), Fault> {
    let mut rest = stream;
    for _ in 0..rows {
        let row_at = stream.len() - rest.len();
        let sum = check_row(&mut rest).map_err(|(kind, at)| (kind, row_at + at))?;
        if sum > ROW_SUM_LIMIT {
            return Err((ErrorKind::RowSum, row_at));
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err((ErrorKind::Trailing, stream.len() - rest.len()))
    }
}

/// Takes a count and so many items of `width` bytes; also the bytes of the count.
#[inline]
pub(super) fn take_counted<'a>(rest: &mut &'a [u8], width: usize) -> Option<(usize, &'a [u8])> {
    let before = rest.len();
    let count = take_count(rest)?;
    let count_bytes = before - rest.len();
    let (items, after) = rest.split_at_checked(count * width)?;
    *rest = after;
    Some((count_bytes, items))
}

/// The count of a row: one byte, or 255 and a `u16`.
#[inline]
fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (&short, after) = rest.split_first()?;
    *rest = after;
    if short < u8::MAX {
        return Some(usize::from(short));
    }
    let (&[low, high], after) = after.split_first_chunk::<2>()?;
    *rest = after;
    Some(usize::from(u16::from_le_bytes([low, high])))
}
