//! Which layout a matrix gets.

use super::candidate::Candidate;
use crate::tensor::Pattern;

/// Which layout a matrix gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutChoice {
    /// Dense or delta-u8, whichever has fewer bytes.
    #[default]
    Smallest,
    /// Every weight stored, zeros too: what the file would be without sparsity.
    Dense,
    /// The layout with the least bytes × work.
    Cheapest(LayoutCosts),
    /// This one; an error if it is not possible. Dense leaves out zero rows, and zero columns where
    /// that saves bytes, as [`LayoutChoice::Smallest`] does.
    Forced(Pattern),
}

/// What a target's kernels need for one tile of eight tokens, in hundredths of an instruction.
///
/// The work of a matrix is
///
/// ```text
/// stored weights · cost of one in this layout + rows · row
/// ```
///
/// and for a bitmap additionally its bytes · `bitmap_byte`. Zeros that a layout stores count (in
/// dense matrices, within blocks, in bridges), and so do cut rows. Only ratios matter: all costs
/// ten times as high choose the same layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutCosts {
    /// A weight of a dense matrix that stores all columns.
    pub dense: u32,
    /// A weight of a dense matrix with a list of its columns.
    pub columns: u32,
    /// A pair of delta-u8.
    pub delta_u8: u32,
    /// A weight of a bitmap.
    pub bitmap: u32,
    /// Eight columns of a bitmap, whether bits are set or not.
    pub bitmap_byte: u32,
    /// One of the two weights of a 1×2 block.
    pub blocks2: u32,
    /// One of the four weights of a 1×4 block.
    pub blocks4: u32,
    /// A row, whatever its weights.
    pub row: u32,
}

impl LayoutCosts {
    /// Bytes × work of a matrix `[rows, cols]` in this form.
    pub(super) fn price(&self, rows: usize, cols: usize, candidate: &Candidate) -> u128 {
        candidate.bytes.len() as u128 * self.work(rows, cols, candidate)
    }

    fn work(&self, rows: usize, cols: usize, candidate: &Candidate) -> u128 {
        let (entry, bitmap_bytes) = match candidate.pattern {
            Pattern::Dense => (self.dense, 0),
            Pattern::Columns => (self.columns, 0),
            Pattern::DeltaU8 => (self.delta_u8, 0),
            Pattern::Bitmap => (self.bitmap, candidate.rows * cols.div_ceil(8)),
            Pattern::Blocks2 => (self.blocks2, 0),
            Pattern::Blocks4 => (self.blocks4, 0),
        };
        let terms = [
            (candidate.entries, entry),
            (bitmap_bytes, self.bitmap_byte),
            (rows, self.row),
        ];
        let term = |(count, cost): (usize, u32)| count as u128 * u128::from(cost);
        terms.map(term).iter().sum()
    }
}
