//! Cortex-M4, M7, M33: two int8 products with one `SMLAL`.
//!
//! The pairs of [`pairs`] in assembly, since a row needs all fourteen registers: eight hold the
//! sums, two the words of a feature. A nonzero weight costs its two loads, one addition, two loads
//! of a feature and four multiplications for eight tokens. The first weight of a row sets the sums,
//! so nothing is cleared; the rest run through a loop that is entered at the matching place. After
//! a row its sums are moved to the float unit, if there is one, and are scaled at once. Tiles of up
//! to four tokens have their own forms with half the features and sums. The feature `unrolled` pays
//! for all three with flash; without it sums are scaled in a separate loop.
#![allow(unsafe_code, reason = "assembly; `cortex_m` calls it")]

mod assembly;

use neuroprune_format::tensor::Rows;

pub(super) use crate::kernels::portable::pairs::STRETCH;
use crate::kernels::portable::pairs::{self, Portable};
pub use crate::kernels::portable::pairs::{Feature, set_grain};
use crate::kernels::tile::{Lanes, Tile};

/// See [`scalar::multiply`]. Only tests need sums alone.
pub fn multiply(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    pairs::multiply::<Portable>(rows, tile, sums);
}

/// Adds Σ w·x of a weight for each column of a list of `u16`.
///
/// # Safety
/// Every column of the list has a feature.
pub(super) unsafe fn add_listed_row(
    columns: &[u8],
    weights: &[u8],
    tile: &[Feature],
    sums: &mut Lanes<i32>,
) {
    if !weights.is_empty() && columns.len() / 2 >= weights.len() {
        let end = weights.as_ptr_range().end;
        // SAFETY: the caller's promise; there are as many columns as weights, at least one.
        unsafe {
            neuroprune_listed(weights.as_ptr(), columns.as_ptr(), tile.as_ptr(), sums, end);
        }
    }
}

unsafe extern "C" {
    /// `end` is the byte after the last weight; there is at least one.
    fn neuroprune_listed(
        weights: *const u8,
        columns: *const u8,
        tile: *const Feature,
        sums: *mut Lanes<i32>,
        end: *const u8,
    );
}
