//! Two exact int8 products with one multiplication.
//!
//! Two tokens ride in one word, X = x₀ + x₁·2²⁴. Then w·X = w·x₀ + w·x₁·2²⁴, and a sum of
//! such products in 64 bits holds Σ w·x₀ in its low 24 bits and Σ w·x₁ above them, less
//! the borrow of a negative low sum. The low sum fits while Σ|w| · 127 < 2²³, which the
//! format promises of sparse rows; dense rows are summed in stretches of [`STRETCH`].
//!
//! This file is the portable form, for targets that multiply 32 by 32 bits into 64; an
//! instruction set only brings [`Rows`] of its own.

use neuroprune_format::tensor::{Matrix, Row, RowWeights};

use super::{LANES, Lanes};

/// Words of a feature.
pub const WORDS: usize = LANES / 2;
/// One feature of eight tokens: words of two tokens each.
pub type Feature = [u32; WORDS];
/// Dense weights that may be summed before the lanes are taken apart: 512 · 127² < 2²³.
pub const STRETCH: usize = 512;

/// Sets tokens 2·`pair` and 2·`pair` + 1 of a feature.
#[inline]
pub fn set_pair(feature: &mut Feature, pair: usize, even: i8, odd: i8) {
    if let Some(word) = feature.get_mut(pair) {
        let (even, odd) = (i32::from(even), i32::from(odd));
        *word = (even + (odd << 24)).cast_unsigned();
    }
}

/// Sums of rows over one tile; what an instruction set does better.
pub trait Rows {
    /// Σ w·x of a weight (as its byte) for each feature; at most [`STRETCH`].
    fn dense(weights: &[u8], tile: &[Feature]) -> Lanes<i32>;

    /// Σ w·x of (column step, weight) pairs, Σ|w| at most
    /// [`ROW_SUM_LIMIT`](neuroprune_format::tensor::ROW_SUM_LIMIT).
    fn delta(pairs: &[u8], tile: &[Feature]) -> Lanes<i32>;

    /// Σ w·x of a weight for each bit that is set, likewise.
    #[inline]
    fn bitmap(bits: &[u8], weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
        bitmap_row(bits, weights, tile)
    }

    /// Σ w·x of (column step, 2 weights) blocks, likewise.
    #[inline]
    fn blocks2(blocks: &[u8], tile: &[Feature]) -> Lanes<i32> {
        block_row::<2>(blocks, tile)
    }

    /// Σ w·x of (column step, 4 weights) blocks, likewise.
    #[inline]
    fn blocks4(blocks: &[u8], tile: &[Feature]) -> Lanes<i32> {
        block_row::<4>(blocks, tile)
    }
}

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Rows for Portable {
    fn dense(weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
        let mut sums = [0; WORDS];
        for (&weight, feature) in weights.iter().zip(tile) {
            accumulate(&mut sums, weight, feature);
        }
        lanes(sums)
    }

    fn delta(pairs: &[u8], tile: &[Feature]) -> Lanes<i32> {
        let mut sums = [0; WORDS];
        let mut column = 0;
        for pair in pairs.chunks_exact(2) {
            let &[step, weight] = pair else { break };
            column += usize::from(step);
            if let Some(feature) = tile.get(column) {
                accumulate(&mut sums, weight, feature);
            }
        }
        lanes(sums)
    }
}

/// The oracle's `multiply`, with the rows of `R`.
#[inline]
pub fn multiply<R: Rows>(
    matrix: &Matrix<'_>,
    tile: &[Feature],
    mut emit: impl FnMut(usize, Row<'_>, Lanes<i32>),
) {
    for (index, row) in matrix.iter().enumerate() {
        let sums = match row.weights {
            RowWeights::Dense(weights) => dense_row::<R>(weights, tile),
            RowWeights::Columns(columns, weights) => listed_row(columns, weights, tile),
            RowWeights::DeltaU8(pairs) => R::delta(pairs, tile),
            RowWeights::Bitmap { bits, weights } => R::bitmap(bits, weights, tile),
            RowWeights::Blocks2(blocks) => R::blocks2(blocks, tile),
            RowWeights::Blocks4(blocks) => R::blocks4(blocks, tile),
        };
        emit(index, row, sums);
    }
}

/// The oracle's `dense_row`, with the rows of `R`.
#[inline]
#[must_use]
pub fn dense_row<R: Rows>(weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    if weights.len() <= STRETCH {
        return R::dense(weights, tile);
    }
    let mut sums = [0; LANES];
    for (weights, tile) in weights.chunks(STRETCH).zip(tile.chunks(STRETCH)) {
        add(&mut sums, R::dense(weights, tile));
    }
    sums
}

/// Rows with a column list are rare: plain Rust everywhere.
#[must_use]
pub fn listed_row(columns: &[u8], weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut all = [0; LANES];
    for (columns, weights) in columns.chunks(2 * STRETCH).zip(weights.chunks(STRETCH)) {
        let mut sums = [0; WORDS];
        for (column, &weight) in columns.chunks_exact(2).zip(weights) {
            let &[low, high] = column else { break };
            let column = usize::from(u16::from_le_bytes([low, high]));
            if let Some(feature) = tile.get(column) {
                accumulate(&mut sums, weight, feature);
            }
        }
        add(&mut all, lanes(sums));
    }
    all
}

/// Rows of a bitmap in plain Rust: 32 columns at a time, from one set bit to the next.
#[must_use]
pub fn bitmap_row(bits: &[u8], weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; WORDS];
    let mut weights = weights.iter();
    for (bits, tile) in bits.chunks(4).zip(tile.chunks(32)) {
        let mut word = bits
            .iter()
            .rfold(0, |word: u32, &byte| word << 8 | u32::from(byte));
        while word != 0 {
            let column = word.trailing_zeros() as usize;
            word &= word - 1;
            if let (Some(&weight), Some(feature)) = (weights.next(), tile.get(column)) {
                accumulate(&mut sums, weight, feature);
            }
        }
    }
    lanes(sums)
}

/// Rows of blocks in plain Rust.
#[must_use]
pub fn block_row<const N: usize>(blocks: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; WORDS];
    let mut column = 0;
    for block in blocks.chunks_exact(1 + N) {
        let Some((&step, weights)) = block.split_first() else {
            break;
        };
        column += usize::from(step);
        for (&weight, feature) in weights.iter().zip(tile.get(column..).unwrap_or(&[])) {
            accumulate(&mut sums, weight, feature);
        }
    }
    lanes(sums)
}

fn add(sums: &mut Lanes<i32>, more: Lanes<i32>) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

#[inline]
fn accumulate(sums: &mut [i64; WORDS], weight: u8, feature: &Feature) {
    let weight = i64::from(weight.cast_signed());
    for (sum, &word) in sums.iter_mut().zip(feature) {
        *sum += weight * i64::from(word.cast_signed());
    }
}

/// Takes the two sums of each word apart.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "both sums fit in 32 bits")]
fn lanes(sums: [i64; WORDS]) -> Lanes<i32> {
    let mut lanes = [0; LANES];
    for (pair, sum) in lanes.chunks_exact_mut(2).zip(sums) {
        let even = (sum as i32) << 8 >> 8;
        let odd = ((sum - i64::from(even)) >> 24) as i32;
        pair.copy_from_slice(&[even, odd]);
    }
    lanes
}
