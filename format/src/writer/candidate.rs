//! A matrix in one pattern.

use alloc::vec::Vec;

use crate::tensor::Pattern;

/// A matrix in one pattern, to be compared with others.
pub(super) struct Candidate {
    pub(super) pattern: Pattern,
    pub(super) flags: u8,
    pub(super) bytes: Vec<u8>,
    /// Rows that are stored.
    pub(super) rows: usize,
    /// Weights that are stored, zeros too.
    pub(super) entries: usize,
}
