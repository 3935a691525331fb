//! Products of one tile with AVX2: eight tokens in one register, four weights of a row at
//! once.
//!
//! Rows with a weight for each column, and blocks of four, are multiplied with four transposed
//! features. Scattered weights are multiplied in pairs with their features, widened to 16 bits, in
//! one vpmaddwd.

#![allow(
    unsafe_code,
    reason = "features are read without a check for each weight: `Model::open` checked the columns"
)]

use core::arch::x86_64::{
    __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_madd_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_srai_epi16,
};

use neuroprune_format::tensor::{Pattern, RowWeights, Rows, Values};

use super::features::{Features, filled_up, interleaved, products, transposed, widened};
use crate::kernels::portable::scalar::{self, Feature};
use crate::kernels::tile::{Lanes, Tile};

/// Weights that are multiplied at once.
const GROUP: usize = 4;
/// Rows of bytes that share the transposed features.
const ROWS: usize = 4;

/// See [`scalar::multiply`].
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn multiply(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    let Some(features) = Features::new(tile.features, rows.cols()) else {
        return scalar::multiply(rows, tile, sums);
    };
    match (rows.bytes().pattern, rows.bytes().values) {
        (Pattern::Dense, Values::I8) => return stored_rows(rows, tile, sums),
        (
            Pattern::Columns
            | Pattern::DeltaU8
            | Pattern::Bitmap
            | Pattern::Blocks2
            | Pattern::Blocks4,
            Values::I8,
        ) => {}
    }
    for (sums, row) in sums.iter_mut().zip(rows.clone()) {
        // SAFETY: there are as many features as columns, and a matrix has passed the checks
        // of its format: no row names a column after the last.
        let row = unsafe {
            match row.weights {
                RowWeights::Dense(weights) => {
                    let [sums, ..] = dense_rows(weights, rows.cols().max(1), tile.features);
                    sums
                }
                RowWeights::Columns(columns, weights) => listed_row(columns, weights, features),
                RowWeights::DeltaU8(pairs) => delta_row(pairs, features),
                RowWeights::Bitmap { bits, weights } => bitmap_row(bits, weights, features),
                RowWeights::Blocks2(blocks) => blocks2_row(blocks, features),
                RowWeights::Blocks4(blocks) => blocks4_row(blocks, features),
            }
        };
        *sums = bytemuck::must_cast(row);
    }
}

/// Rows of a matrix in the dense layout, consecutive ones together.
#[target_feature(enable = "avx2")]
fn stored_rows(rows: &Rows<'_>, tile: &Tile<'_, Feature>, mut sums: &mut [Lanes<i32>]) {
    let mut weights = rows.bytes().weights;
    let mut row = 0;
    while !sums.is_empty() {
        let stored = rows.stored_from(row).min(sums.len());
        let (stored_sums, rest) = sums.split_at_mut(stored);
        let (bytes, rest_weights) = weights
            .split_at_checked(stored * rows.cols())
            .unwrap_or((weights, &[]));
        dense(bytes, rows.cols(), tile, stored_sums);
        let Some((cut, rest)) = rest.split_first_mut() else {
            return;
        };
        *cut = [0; _];
        row += stored + 1;
        (weights, sums) = (rest_weights, rest);
    }
}

/// See [`scalar::dense`].
#[target_feature(enable = "avx2")]
pub(super) fn dense(
    weights: &[u8],
    cols: usize,
    tile: &Tile<'_, Feature>,
    sums: &mut [Lanes<i32>],
) {
    sums.fill([0; _]);
    let cols = cols.max(1);
    let rows = sums.len().min(weights.len() / cols);
    let (groups, rest) = sums
        .get_mut(..rows)
        .unwrap_or_default()
        .as_chunks_mut::<ROWS>();
    let (group_weights, rest_weights) = weights
        .split_at_checked(groups.len() * ROWS * cols)
        .unwrap_or_default();
    for (sums, weights) in groups
        .iter_mut()
        .zip(group_weights.chunks_exact(ROWS * cols))
    {
        *sums = bytemuck::must_cast(dense_rows(weights, cols, tile.features));
    }
    let rest_sums = dense_rows(rest_weights, cols, tile.features);
    for (sums, row_sums) in rest.iter_mut().zip(rest_sums) {
        *sums = bytemuck::must_cast(row_sums);
    }
}

/// See [`scalar::dense_row`]; up to four consecutive rows.
#[inline]
#[target_feature(enable = "avx2")]
fn dense_rows(weights: &[u8], cols: usize, tile: &[Feature]) -> [__m256i; ROWS] {
    let mut sums = [_mm256_setzero_si256(); ROWS];
    let mut rows = weights.chunks_exact(cols);
    let Some(first) = rows.next() else {
        return sums;
    };
    // The first is used for missing rows.
    let second = rows.next().unwrap_or(first);
    let third = rows.next().unwrap_or(first);
    let (a, last_of_a) = first.as_chunks::<GROUP>();
    let (b, last_of_b) = second.as_chunks::<GROUP>();
    let (c, last_of_c) = third.as_chunks::<GROUP>();
    let (d, last_of_d) = rows.next().unwrap_or(first).as_chunks::<GROUP>();
    let (groups, last) = tile.as_chunks::<GROUP>();
    for ((((group, a), b), c), d) in groups.iter().zip(a).zip(b).zip(c).zip(d) {
        add_dense(&mut sums, group, [*a, *b, *c, *d]);
    }
    if !last.is_empty() {
        let mut group = [Feature::default(); GROUP];
        group
            .iter_mut()
            .zip(last)
            .for_each(|(to, from)| *to = *from);
        let weights = [last_of_a, last_of_b, last_of_c, last_of_d].map(filled_up);
        add_dense(&mut sums, &group, weights);
    }
    sums
}

/// Adds Σ w·x of four features and four weights of each row.
#[inline]
#[target_feature(enable = "avx2")]
fn add_dense(sums: &mut [__m256i; ROWS], group: &[Feature; GROUP], weights: [[u8; GROUP]; ROWS]) {
    let features = transposed(bytemuck::must_cast(*group));
    let magnitudes = _mm256_abs_epi8(features);
    for (sums, weights) in sums.iter_mut().zip(weights) {
        let weights = _mm256_set1_epi32(i32::from_le_bytes(weights));
        *sums = _mm256_add_epi32(*sums, products(magnitudes, features, weights));
    }
}

/// See [`scalar::listed_row`].
///
/// # Safety
/// Every column must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn listed_row(columns: &[u8], weights: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let column = |bytes: [u8; 2]| usize::from(u16::from_le_bytes(bytes));
    let (pairs_of_columns, last_column) = columns.as_chunks::<4>();
    let (pairs, last) = weights.as_chunks::<2>();
    for (&[a, b, c, d], weights) in pairs_of_columns.iter().zip(pairs) {
        // SAFETY: the caller's promise.
        let pair = unsafe { features.pair(column([a, b]), column([c, d])) };
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pair, widened(*weights)));
    }
    if let (&[a, b], &[weight]) = (last_column, last) {
        // SAFETY: the caller's promise.
        let feature = unsafe { features.single(column([a, b])) };
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(feature, widened([weight, 0])));
    }
    sums
}

/// See [`scalar::delta_row`].
///
/// # Safety
/// Every column must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn delta_row(pairs: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut column = 0;
    let (groups, last) = pairs.as_chunks::<4>();
    for group in groups {
        // By reference: each step is loaded separately, and so are the weights.
        let &[first_step, _, second_step, _] = group;
        let first = column + usize::from(first_step);
        column = first + usize::from(second_step);
        // SAFETY: the caller's promise.
        let pair = unsafe { features.pair(first, column) };
        // Step and weight are a word whose upper byte is the weight.
        let weights = _mm256_set1_epi32(i32::from_le_bytes(*group));
        let weights = _mm256_srai_epi16::<8>(weights);
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pair, weights));
    }
    if let &[step, weight] = last {
        // SAFETY: the caller's promise.
        let feature = unsafe { features.single(column + usize::from(step)) };
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(feature, widened([weight, 0])));
    }
    sums
}

/// See [`scalar::bitmap_row`].
///
/// # Safety
/// Every column must be one of the features.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn bitmap_row(bits: &[u8], mut weights: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    for (at, bits) in bits.chunks(8).enumerate() {
        let mut word = match bits.first_chunk() {
            Some(bits) => u64::from_be_bytes(*bits),
            None => u64::from_be_bytes(filled_up(bits)),
        };
        let count = word.count_ones() as usize;
        let mut next = || {
            let column = word.leading_zeros() as usize;
            word &= !(1 << 63 >> column);
            at * 64 + column
        };
        let (word_weights, rest) = weights.split_at_checked(count).unwrap_or_default();
        weights = rest;
        let (pairs, last) = word_weights.as_chunks::<2>();
        for weights in pairs {
            // SAFETY: the caller's promise; there are as many bits as weights.
            let pair = unsafe { features.pair(next(), next()) };
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pair, widened(*weights)));
        }
        if let &[weight] = last {
            // SAFETY: likewise.
            let feature = unsafe { features.single(next()) };
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(feature, widened([weight, 0])));
        }
    }
    sums
}

/// See [`scalar::block_row`].
///
/// # Safety
/// Every column of every block must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn blocks2_row(blocks: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut column = 0;
    for &[step, ref weights @ ..] in blocks.as_chunks::<3>().0 {
        column += usize::from(step);
        // SAFETY: the caller's promise.
        let pair = interleaved(unsafe { features.read(column) });
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pair, widened(*weights)));
    }
    sums
}

/// See [`scalar::block_row`].
///
/// # Safety
/// Every column of every block must be one of the features.
#[target_feature(enable = "avx2")]
unsafe fn blocks4_row(blocks: &[u8], features: Features<'_>) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut column = 0;
    for &[step, ref weights @ ..] in blocks.as_chunks::<5>().0 {
        column += usize::from(step);
        let weights = _mm256_set1_epi32(i32::from_le_bytes(*weights));
        // SAFETY: the caller's promise.
        let group = transposed(unsafe { features.read(column) });
        sums = _mm256_add_epi32(sums, products(_mm256_abs_epi8(group), group, weights));
    }
    sums
}
