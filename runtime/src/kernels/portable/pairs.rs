//! Two exact int8 products with one multiplication.
//!
//! Two tokens share one word, X = x₀ + x₁·2²⁴. Then w·X = w·x₀ + w·x₁·2²⁴, and a sum of
//! such products in 64 bits holds Σ w·x₀ in its low 24 bits and Σ w·x₁ above them, less
//! the borrow of a negative low sum. The low sum fits while Σ|w| · 127 < 2²³, which the format
//! guarantees for sparse rows; dense rows are summed in stretches of [`STRETCH`].
//!
//! This file is the portable form, for targets that multiply 32 by 32 bits into 64; an instruction
//! set only supplies its own [`RowSums`].

use neuroprune_format::tensor::{RowWeights, Rows};

use super::floats;
use crate::kernels::tile::{GRAIN, LANES, Lanes, Tile};

/// Words of a feature.
pub const WORDS: usize = LANES / 2;
/// One feature of eight tokens: words of two tokens each.
pub type Feature = [u32; WORDS];
/// Dense weights that may be summed before the lanes are taken apart: 512 · 127² < 2²³.
pub const STRETCH: usize = 512;

/// Sets the lanes of one grain of a feature.
#[inline]
pub fn set_grain(feature: &mut Feature, grain: usize, lanes: [i8; GRAIN]) {
    if let Some(words) = feature.as_chunks_mut::<{ GRAIN / 2 }>().0.get_mut(grain) {
        for (word, lanes) in words.iter_mut().zip(lanes.chunks_exact(2)) {
            if let &[even, odd] = lanes {
                let (even, odd) = (i32::from(even), i32::from(odd));
                *word = (even + (odd << 24)).cast_unsigned();
            }
        }
    }
}

/// See [`floats::quantize`].
pub fn quantize(x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, features: &mut [Feature]) {
    floats::quantize(x, inverses, tokens, features, set_grain);
}

/// The upper byte of each step of 16 bits, rounded to nearest, ties up.
///
/// Steps of lanes without a token may have any value: there the sum may wrap.
#[inline]
pub fn pack(steps: &[Lanes<i16>], features: &mut [Feature]) {
    const HALF: u32 = 128;
    for (feature, steps) in features.iter_mut().zip(steps) {
        let steps: &[[i16; 2]; WORDS] = bytemuck::must_cast_ref(steps);
        for (word, &[even, odd]) in feature.iter_mut().zip(steps) {
            let even = i32::from(even.wrapping_add(128) >> 8).cast_unsigned();
            let odd = i32::from(odd).cast_unsigned().wrapping_add(HALF) << 16 & 0xff00_0000;
            *word = odd.wrapping_add(even);
        }
    }
}

/// Sums of rows over one tile: the part that instruction sets replace.
pub trait RowSums {
    /// Σ w·x of a weight (as a byte) for each feature; at most [`STRETCH`].
    fn dense(weights: &[u8], tile: &[Feature]) -> Lanes<i32>;

    /// Σ w·x of (column step, weight) pairs, Σ|w| at most
    /// [`ROW_SUM_LIMIT`](neuroprune_format::tensor::ROW_SUM_LIMIT).
    fn delta(pairs: &[u8], tile: &[Feature]) -> Lanes<i32>;

    /// Σ w·x of a weight for each set bit, likewise.
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

impl RowSums for Portable {
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

/// The oracle's `multiply`, with the sums of `R`.
#[inline]
pub fn multiply<R: RowSums>(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    for (sums, row) in sums.iter_mut().zip(rows.clone()) {
        *sums = match row.weights {
            RowWeights::Dense(weights) => dense_row::<R>(weights, tile.features),
            RowWeights::Columns(columns, weights) => listed_row(columns, weights, tile.features),
            RowWeights::DeltaU8(pairs) => R::delta(pairs, tile.features),
            RowWeights::Bitmap { bits, weights } => R::bitmap(bits, weights, tile.features),
            RowWeights::Blocks2(blocks) => R::blocks2(blocks, tile.features),
            RowWeights::Blocks4(blocks) => R::blocks4(blocks, tile.features),
        };
    }
}

/// The oracle's `dense`, with the sums of `R`.
#[inline]
pub fn dense<R: RowSums>(
    weights: &[u8],
    cols: usize,
    tile: &Tile<'_, Feature>,
    sums: &mut [Lanes<i32>],
) {
    sums.fill([0; LANES]);
    for (sums, weights) in sums.iter_mut().zip(weights.chunks_exact(cols.max(1))) {
        *sums = dense_row::<R>(weights, tile.features);
    }
}

/// One row with a weight for each feature, with the sums of `R`.
#[inline]
#[must_use]
pub fn dense_row<R: RowSums>(weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
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
        let mut bytes = [0; 4];
        bytes
            .iter_mut()
            .zip(bits)
            .for_each(|(to, from)| *to = *from);
        let mut word = u32::from_be_bytes(bytes);
        while word != 0 {
            let column = word.leading_zeros() as usize;
            word &= u32::MAX >> 1 >> column;
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
        let features = tile.get(column..).unwrap_or(&[]).first_chunk::<N>();
        if let (Some(weights), Some(features)) = (weights.first_chunk::<N>(), features) {
            for (&weight, feature) in weights.iter().zip(features) {
                accumulate(&mut sums, weight, feature);
            }
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
