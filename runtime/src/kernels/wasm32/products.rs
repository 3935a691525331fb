//! Products of rows with the features of one tile, or of two: weights and columns are read
//! once for both.
#![allow(
    unsafe_code,
    reason = "features by columns that were checked when the model was opened"
)]

use core::arch::wasm32::{
    i16x8_extend_low_i8x16, i16x8_shr, i32x4_shuffle, v128, v128_load16_splat, v128_load32_splat,
};
use core::ops::Range;

use neuroprune_format::tensor::{Pattern, RowWeights, Rows, Values, take_delta_row};

use super::dense::dense_groups;
use super::feature::{Feature, vector};
use super::sums::{Interleaved, Sums, one, two};
use crate::kernels::tile::{GRAIN, LANES, Lanes, Tile};

/// See [`scalar::multiply`].
pub fn multiply(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    let Some(features) = tile.features.get(..rows.cols()) else {
        return;
    };
    if tile.tokens > GRAIN {
        multiply_tiles::<true, 1>(rows, [features], sums);
    } else {
        multiply_tiles::<false, 1>(rows, [features], sums);
    }
}

/// [`multiply`] for two tiles at once: weights and columns are read once for both. `sums` is
/// `[2, rows]`.
pub(crate) fn multiply_both(
    rows: &Rows<'_>,
    tiles: [&Tile<'_, Feature>; 2],
    sums: &mut [Lanes<i32>],
) {
    if let [Some(one), Some(other)] = tiles.map(|tile| tile.features.get(..rows.cols())) {
        multiply_tiles::<true, 2>(rows, [one, other], sums);
    }
}

/// `FULL`: more than one grain of tokens. Each tile has a feature for each column; `sums` is
/// `[N, rows]`.
fn multiply_tiles<const FULL: bool, const N: usize>(
    rows: &Rows<'_>,
    tiles: [&[Feature]; N],
    sums: &mut [Lanes<i32>],
) {
    match (rows.bytes().pattern, rows.bytes().values) {
        (Pattern::Dense, Values::I8) => dense_rows::<FULL, N>(rows, tiles, sums),
        (Pattern::DeltaU8, Values::I8) => delta_rows::<FULL, N>(rows, tiles, sums),
        (Pattern::Columns | Pattern::Bitmap | Pattern::Blocks2 | Pattern::Blocks4, Values::I8) => {
            other_rows::<FULL, N>(rows, tiles, sums);
        }
    }
}

/// Stored rows from one cut row to the next, of the first `count`.
fn stored_runs(rows: &Rows<'_>, count: usize) -> impl Iterator<Item = Range<usize>> {
    let mut row = 0;
    core::iter::from_fn(move || {
        while row < count {
            let start = row;
            let stored = rows.stored_from(row).min(count - row);
            row += stored.max(1);
            if stored > 0 {
                return Some(start..row);
            }
        }
        None
    })
}

/// The sums of each tile; rows that are cut have none.
fn sums_of_tiles<'s, const N: usize>(
    rows: &Rows<'_>,
    sums: &'s mut [Lanes<i32>],
) -> [&'s mut [Lanes<i32>]; N] {
    let count = sums.len() / N;
    if rows.stored_from(0) < count {
        sums.fill([0; LANES]);
    }
    let mut tiles = sums.chunks_mut(count.max(1));
    core::array::from_fn(|_| tiles.next().unwrap_or_default())
}

fn dense_rows<const FULL: bool, const N: usize>(
    rows: &Rows<'_>,
    tiles: [&[Feature]; N],
    sums: &mut [Lanes<i32>],
) {
    let (cols, all) = (rows.cols(), rows.bytes().weights);
    for (sums, features) in sums_of_tiles::<N>(rows, sums).into_iter().zip(tiles) {
        let mut weights = all;
        for run in stored_runs(rows, sums.len()) {
            let (now, after) = weights
                .split_at_checked(run.len() * cols)
                .unwrap_or_default();
            dense_groups::<FULL>(now, features, sums.get_mut(run).unwrap_or_default());
            weights = after;
        }
    }
}

#[inline(never)]
fn delta_rows<const FULL: bool, const N: usize>(
    rows: &Rows<'_>,
    tiles: [&[Feature]; N],
    sums: &mut [Lanes<i32>],
) {
    let mut weights = rows.bytes().weights;
    let count = sums.len() / N;
    let mut sums = sums_of_tiles::<N>(rows, sums);
    for run in stored_runs(rows, count) {
        for row in run {
            delta_row::<FULL, N>(take_delta_row(&mut weights), tiles).store(&mut sums, row);
        }
    }
}

/// Rows of every other layout.
fn other_rows<const FULL: bool, const N: usize>(
    rows: &Rows<'_>,
    tiles: [&[Feature]; N],
    sums: &mut [Lanes<i32>],
) {
    let count = sums.len() / N;
    let mut sums = sums_of_tiles::<N>(rows, sums);
    for (row, weights) in (0..count).zip(rows.weights()) {
        let row_sums = match weights {
            RowWeights::Columns(columns, weights) => listed_row::<FULL, N>(columns, weights, tiles),
            RowWeights::Bitmap { bits, weights } => bitmap_row::<FULL, N>(bits, weights, tiles),
            RowWeights::Blocks2(blocks) => blocks2_row::<FULL, N>(blocks, tiles),
            RowWeights::Blocks4(blocks) => blocks4_row::<FULL, N>(blocks, tiles),
            // A cut row; other rows are not handled by this function.
            RowWeights::DeltaU8(_) | RowWeights::Dense(_) => continue,
        };
        row_sums.store(&mut sums, row);
    }
}

/// Σ w·x of a row, for each tile.
struct RowSums<const FULL: bool, const N: usize>([Sums<FULL>; N]);

impl<const FULL: bool, const N: usize> RowSums<FULL, N> {
    #[inline]
    fn zero() -> Self {
        Self([Sums::zero(); N])
    }

    /// Adds w₀·x₀ + w₁·x₁ of the features of two columns, `weights` being (w₀, w₁) four times.
    ///
    /// # Safety
    /// Both columns are below the number of features of each tile.
    #[inline]
    unsafe fn accumulate(
        &mut self,
        weights: v128,
        tiles: [&[Feature]; N],
        even: usize,
        odd: usize,
    ) {
        for (sums, tile) in self.0.iter_mut().zip(tiles) {
            // SAFETY: promised by the caller.
            let (even, odd) = unsafe { (tile.get_unchecked(even), tile.get_unchecked(odd)) };
            sums.accumulate(weights, &Interleaved::new(vector(even), vector(odd)));
        }
    }

    #[inline]
    fn store(self, sums: &mut [&mut [Lanes<i32>]; N], row: usize) {
        for (sums, of_tile) in sums.iter_mut().zip(self.0) {
            if let Some(sums) = sums.get_mut(row) {
                of_tile.store(sums);
            }
        }
    }
}

#[inline]
fn delta_row<const FULL: bool, const N: usize>(
    pairs: &[u8],
    tiles: [&[Feature]; N],
) -> RowSums<FULL, N> {
    let mut row = RowSums::zero();
    let mut at = tiles.map(<[Feature]>::as_ptr);
    let (twos, last) = pairs.as_chunks();
    for two @ &[step, _, next, _] in twos {
        // SAFETY: four bytes are read, and there are four.
        let weights = unsafe { v128_load32_splat(two.as_ptr().cast()) };
        // A weight is the upper byte of its 16 bits.
        let weights = i16x8_shr(weights, 8);
        // One tile after the other: with all pointers moved first, V8 takes a tenth longer.
        for (sums, at) in row.0.iter_mut().zip(&mut at) {
            // SAFETY: `Model::open` checked that every column is below the matrix's, and
            // `multiply` that there are as many features.
            unsafe {
                let even = at.add(step.into());
                *at = even.add(next.into());
                sums.accumulate_at(weights, even, *at);
            }
        }
    }
    if let &[step, weight] = last {
        for (sums, at) in row.0.iter_mut().zip(at) {
            // SAFETY: as above.
            unsafe {
                let at = at.add(step.into());
                sums.accumulate_at(one(weight), at, at);
            }
        }
    }
    row
}

#[inline(never)]
fn listed_row<const FULL: bool, const N: usize>(
    columns: &[u8],
    weights: &[u8],
    tiles: [&[Feature]; N],
) -> RowSums<FULL, N> {
    let mut sums = RowSums::zero();
    let (columns, weights) = (columns.chunks(4), weights.chunks(2));
    for (columns, weights) in columns.zip(weights) {
        let column = |bytes: [u8; 2]| usize::from(u16::from_le_bytes(bytes));
        let (even, odd, weights) = match (columns, weights) {
            (&[a, b, c, d], &[even, odd]) => (column([a, b]), column([c, d]), two([even, odd])),
            (&[a, b], &[even]) => (column([a, b]), column([a, b]), one(even)),
            _ => break,
        };
        // SAFETY: `Model::open` checked that every column is below the matrix's, and
        // `multiply` that there are as many features.
        unsafe { sums.accumulate(weights, tiles, even, odd) };
    }
    sums
}

#[inline(never)]
fn bitmap_row<const FULL: bool, const N: usize>(
    bits: &[u8],
    weights: &[u8],
    tiles: [&[Feature]; N],
) -> RowSums<FULL, N> {
    let mut sums = RowSums::zero();
    let mut rest = weights;
    let mut first = 0;
    for bits in bits.chunks(8) {
        let mut bytes = [0; 8];
        for (byte, bits) in bytes.iter_mut().zip(bits) {
            *byte = *bits;
        }
        let mut word = u64::from_be_bytes(bytes);
        let mut next = || {
            let column = word.leading_zeros();
            word &= !(u64::MAX.wrapping_shl(63) >> column);
            first + column as usize
        };
        let (now, after) = rest.split_at_checked(word_ones(&bytes)).unwrap_or_default();
        rest = after;
        let (twos, last) = now.as_chunks();
        for &weights in twos {
            // SAFETY: `Model::open` checked that every set bit belongs to a column of the matrix,
            // and `multiply` that there are as many features.
            unsafe { sums.accumulate(two(weights), tiles, next(), next()) };
        }
        if let &[weight] = last {
            let column = next();
            // SAFETY: as above.
            unsafe { sums.accumulate(one(weight), tiles, column, column) };
        }
        first += 64;
    }
    sums
}

fn word_ones(bytes: &[u8; 8]) -> usize {
    u64::from_ne_bytes(*bytes).count_ones() as usize
}

#[inline(never)]
fn blocks2_row<const FULL: bool, const N: usize>(
    blocks: &[u8],
    tiles: [&[Feature]; N],
) -> RowSums<FULL, N> {
    let mut row = RowSums::zero();
    let mut at = tiles.map(<[Feature]>::as_ptr);
    for block in blocks.as_chunks::<3>().0 {
        let [step, weights @ ..] = block;
        // SAFETY: two bytes are read, and there are two.
        let weights = unsafe { v128_load16_splat(weights.as_ptr().cast()) };
        let weights = i16x8_extend_low_i8x16(weights);
        for (sums, at) in row.0.iter_mut().zip(&mut at) {
            // SAFETY: `Model::open` checked that both columns are below the matrix's, and
            // `multiply` that there are as many features.
            unsafe {
                *at = at.add((*step).into());
                sums.accumulate_at(weights, *at, at.add(1));
            }
        }
    }
    row
}

#[inline(never)]
fn blocks4_row<const FULL: bool, const N: usize>(
    blocks: &[u8],
    tiles: [&[Feature]; N],
) -> RowSums<FULL, N> {
    let mut row = RowSums::zero();
    let mut at = tiles.map(<[Feature]>::as_ptr);
    for block in blocks.as_chunks::<5>().0 {
        let [step, weights @ ..] = block;
        // SAFETY: four bytes are read, and there are four.
        let weights = unsafe { v128_load32_splat(weights.as_ptr().cast()) };
        let weights = i16x8_extend_low_i8x16(weights);
        let front = i32x4_shuffle::<0, 0, 0, 0>(weights, weights);
        let back = i32x4_shuffle::<1, 1, 1, 1>(weights, weights);
        for (sums, at) in row.0.iter_mut().zip(&mut at) {
            // SAFETY: `Model::open` checked that all four columns are below the matrix's, and
            // `multiply` that there are as many features.
            unsafe {
                *at = at.add((*step).into());
                sums.accumulate_at(front, *at, at.add(1));
                sums.accumulate_at(back, at.add(2), at.add(3));
            }
        }
    }
    row
}
