//! Dense: every weight of the stored rows and columns.

use crate::bytes::{Fault, position_of_lowest, u16_at};
use crate::{ErrorKind, Section};

/// Checks `weights`, which end at `end` in the section, and the list of columns before them.
pub(super) fn check(
    columns: &[u8],
    weights: &[u8],
    cols: usize,
    end: usize,
    fault: &Fault,
) -> Option<()> {
    let found = |kind, at| fault.found(kind, Section::Weights, at);
    let weights_at = end - weights.len();
    let columns_at = weights_at - columns.len();
    // The smallest that the next column may be.
    let mut free = 0;
    for index in 0..columns.len() / 2 {
        let column = usize::from(u16_at(columns, index * 2));
        let at = columns_at + index * 2;
        if column >= cols {
            return found(ErrorKind::Index, at);
        }
        if column < free {
            return found(ErrorKind::Order, at);
        }
        free = column + 1;
    }
    match position_of_lowest(weights) {
        Some(at) => found(ErrorKind::Weight, weights_at + at),
        None => Some(()),
    }
}

/// The `stored` weights of the next row; whatever bytes are left if there are fewer.
#[inline]
pub(super) fn take_row<'a>(rest: &mut &'a [u8], stored: usize) -> &'a [u8] {
    match rest.split_at_checked(stored) {
        Some((weights, after)) => {
            *rest = after;
            weights
        }
        None => core::mem::take(rest),
    }
}

/// (column, weight) of a row that stores every column.
pub(super) fn entries(weights: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    (0..).zip(weights.iter().map(|weight| weight.cast_signed()))
}

/// (column, weight) of a row that stores the columns of a list.
pub(super) fn listed_entries(columns: &[u8], weights: &[u8]) -> impl Iterator<Item = (usize, i8)> {
    let (columns, _) = columns.as_chunks::<2>();
    let columns = columns
        .iter()
        .map(|&column| usize::from(u16::from_le_bytes(column)));
    columns.zip(weights.iter().map(|weight| weight.cast_signed()))
}
