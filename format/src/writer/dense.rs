//! Dense: every weight of the stored rows and columns.

use alloc::vec::Vec;

use super::candidate::Candidate;
use super::matrix::MatrixSource;
use crate::tensor::{COLUMN_LIST, Pattern};

/// `cut` leaves out zero rows; `list` names the columns that are not zero, where that
/// saves bytes.
pub(super) fn encode(matrix: &MatrixSource, cut: bool, list: bool) -> Candidate {
    let (stored, mut flags, mut bytes) = matrix.encode_rows(cut);
    let mut used = alloc::vec![!list; matrix.cols];
    for &row in &stored {
        for (used, &weight) in used.iter_mut().zip(matrix.row(row)) {
            *used |= weight != 0;
        }
    }
    let columns: Vec<u16> = (0..=u16::MAX)
        .zip(&used)
        .filter_map(|(column, &used)| used.then_some(column))
        .collect();
    // Naming the columns costs two bytes each, which is worth it if it saves more.
    let named = columns.len() * (stored.len() + 2) + 2 < matrix.cols * stored.len();
    if named {
        flags |= COLUMN_LIST;
        let count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
        bytes.extend(count.to_le_bytes());
        bytes.extend(columns.iter().flat_map(|column| column.to_le_bytes()));
    }
    let before = bytes.len();
    for &row in &stored {
        let kept = matrix.row(row).iter().zip(&used);
        let kept = kept.filter(|&(_, &used)| used || !named);
        bytes.extend(kept.map(|(&weight, _)| weight.cast_unsigned()));
    }
    Candidate {
        pattern: if named {
            Pattern::Columns
        } else {
            Pattern::Dense
        },
        flags,
        rows: stored.len(),
        entries: bytes.len() - before,
        bytes,
    }
}
