//! Products of sparse rows with up to four tiles at once, with AVX2: the cost of a weight besides
//! its products is paid once for 32 tokens.
//!
//! The features of the tiles are first laid side by side ([`Columns`]). Leftover weights form a
//! group with zeros.

#![allow(
    unsafe_code,
    reason = "features are read without a check for each weight: `Model::open` checked the columns"
)]

use core::arch::x86_64::{
    _mm256_add_ps, _mm256_broadcastsi128_si256, _mm256_cvtepi32_ps, _mm256_mul_ps,
    _mm256_set1_epi64x, _mm256_set1_ps, _mm256_shuffle_epi8,
};
use core::mem::MaybeUninit;

use neuroprune_format::tensor::{Pattern, RowWeights, Rows, Values};

use super::columns::{Columns, Sums, of_halves, repeated};
use super::features::filled_up;
use super::{floats, products};
use crate::kernels::portable::scalar::Feature;
use crate::kernels::tile::{Lanes, Tile};

/// Most columns for which there is room on the stack: 64 KiB for four tiles.
const LONGEST: usize = 2048;

/// Multiplies and scales back at most four tiles; `output` is `[tiles, rows]`.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn project_tiles(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    output: &mut [Lanes<f32>],
) {
    let is_sparse = match (rows.bytes().pattern, rows.bytes().values) {
        (Pattern::Dense | Pattern::Columns, Values::I8) => false,
        (Pattern::DeltaU8 | Pattern::Bitmap | Pattern::Blocks2 | Pattern::Blocks4, Values::I8) => {
            true
        }
    };
    let is_done = is_sparse
        && match tiles.len() {
            2 => project_wide::<2, 8>(rows, tiles, output),
            3 | 4 => project_wide::<4, 4>(rows, tiles, output),
            _ => false,
        };
    if !is_done {
        let count = (output.len() / tiles.len().max(1)).max(1);
        for (tile, output) in tiles.iter().zip(output.chunks_exact_mut(count)) {
            products::multiply(rows, tile, bytemuck::cast_slice_mut(output));
            floats::scale(rows, tile, output);
        }
    }
}

/// For `N` tiles, a `GROUP` of weights at once; false if there are too many columns.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn project_wide<const N: usize, const GROUP: usize>(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    output: &mut [Lanes<f32>],
) -> bool {
    let mut memory = [MaybeUninit::uninit(); LONGEST];
    let Some(columns) = Columns::<N>::side_by_side(tiles, rows.cols(), &mut memory) else {
        return false;
    };
    project_rows::<N, GROUP>(rows, tiles, columns, output);
    true
}

/// A separate function, so that features are addressed from a register and not from the stack.
#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn project_rows<const N: usize, const GROUP: usize>(
    rows: &Rows<'_>,
    tiles: &[Tile<'_, Feature>],
    columns: Columns<'_, N>,
    output: &mut [Lanes<f32>],
) {
    let count = output.len() / tiles.len().max(1);
    for (at, row) in rows.clone().take(count).enumerate() {
        let mut sums = Sums::new();
        // SAFETY: there are as many features as columns, and a matrix has passed the checks
        // of its format: no row names a column after the last.
        unsafe {
            match row.weights {
                RowWeights::Dense(_) | RowWeights::Columns(..) => {
                    debug_assert!(false, "a row of bytes in a matrix that is sparse");
                }
                RowWeights::DeltaU8(pairs) => delta_row::<N, GROUP>(pairs, columns, &mut sums),
                RowWeights::Bitmap { bits, weights } => {
                    bitmap_row::<N, GROUP>(bits, weights, columns, &mut sums);
                }
                RowWeights::Blocks2(blocks) => {
                    blocks_row::<N, GROUP, 2>(blocks, columns, &mut sums);
                }
                RowWeights::Blocks4(blocks) => {
                    blocks_row::<N, GROUP, 4>(blocks, columns, &mut sums);
                }
            }
        }
        let bias = _mm256_set1_ps(row.bias);
        let scale = _mm256_set1_ps(row.scale);
        for ((tile, sums), number) in tiles.iter().zip(sums.of_tiles::<N>()).zip(0..) {
            // As `floats::scale`.
            let scales = _mm256_mul_ps(scale, bytemuck::must_cast(tile.scales));
            let y = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales);
            if let Some(output) = output.get_mut(number * count + at) {
                *output = bytemuck::must_cast(_mm256_add_ps(y, bias));
            }
        }
    }
}

/// Adds Σ w·x of (column step, weight) pairs.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn delta_row<const N: usize, const GROUP: usize>(
    pairs: &[u8],
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let mut place = 0;
    let groups = pairs.chunks_exact(2 * GROUP);
    let rest = groups.remainder();
    for group in groups {
        // SAFETY: the caller's promise.
        unsafe { delta_group::<N, GROUP>(group, &mut place, columns, sums) };
    }
    if !rest.is_empty() {
        let group = last_of(pairs, rest.len());
        let group = group.get(..2 * GROUP).unwrap_or_default();
        // SAFETY: the caller's promise; steps of zero repeat the last column.
        unsafe { delta_group::<N, GROUP>(group, &mut place, columns, sums) };
    }
}

/// Adds Σ w·x of a group of (column step, weight) pairs after `place`.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn delta_group<const N: usize, const GROUP: usize>(
    pairs: &[u8],
    place: &mut usize,
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let mut places = [0; GROUP];
    for (at, [step, _]) in places.iter_mut().zip(pairs.as_chunks().0) {
        *place += usize::from(*step) * N;
        *at = *place;
    }
    // Step and weight are a word whose upper byte is the weight.
    let (both, upper) = match (pairs.first_chunk(), pairs.first_chunk()) {
        (_, Some(pairs)) if GROUP == 8 => (
            _mm256_broadcastsi128_si256(bytemuck::must_cast::<[u8; 16], _>(*pairs)),
            of_halves([1, 3, 5, 7], [9, 11, 13, 15]),
        ),
        (Some(pairs), _) => (
            _mm256_set1_epi64x(i64::from_le_bytes(*pairs)),
            of_halves([1, 3, 5, 7], [1, 3, 5, 7]),
        ),
        _ => return,
    };
    // SAFETY: the caller's promise.
    let group = unsafe { columns.read(places) };
    sums.add(group, _mm256_shuffle_epi8(both, upper));
}

/// Adds Σ w·x of a weight for each set bit.
///
/// # Safety
/// Every column must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn bitmap_row<const N: usize, const GROUP: usize>(
    bits: &[u8],
    mut weights: &[u8],
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    for (at, bits) in bits.chunks(8).enumerate() {
        let mut word = match bits.first_chunk() {
            Some(bits) => u64::from_be_bytes(*bits),
            None => u64::from_be_bytes(filled_up(bits)),
        };
        let count = word.count_ones() as usize;
        let mut next = || {
            let column = word.leading_zeros() as usize;
            word &= !(1 << 63 >> column);
            (at * 64 + column) * N
        };
        let (word_weights, rest) = weights.split_at_checked(count).unwrap_or_default();
        weights = rest;
        let (groups, last) = word_weights.as_chunks::<GROUP>();
        for weights in groups {
            let mut places = [0; GROUP];
            for place in &mut places {
                *place = next();
            }
            // SAFETY: the caller's promise; there are as many bits as weights.
            sums.add(unsafe { columns.read(places) }, repeated(*weights));
        }
        if !last.is_empty() {
            let mut places = [next(); GROUP];
            for place in places.iter_mut().take(last.len()).skip(1) {
                *place = next();
            }
            // SAFETY: likewise; the first column is used for missing ones.
            let group = unsafe { columns.read(places) };
            sums.add(group, repeated::<GROUP>(filled_up(last)));
        }
    }
}

/// Adds Σ w·x of (column step, `WIDTH` weights) blocks.
///
/// # Safety
/// Every column of every block must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks_row<const N: usize, const GROUP: usize, const WIDTH: usize>(
    blocks: &[u8],
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let bytes = (1 + WIDTH) * (GROUP / WIDTH);
    let mut place = 0;
    let groups = blocks.chunks_exact(bytes);
    let rest = groups.remainder();
    for group in groups {
        // SAFETY: the caller's promise.
        unsafe { blocks_group::<N, GROUP, WIDTH>(group, &mut place, columns, sums) };
    }
    if !rest.is_empty() {
        let group = last_of(blocks, rest.len());
        let group = group.get(..bytes).unwrap_or_default();
        // SAFETY: the caller's promise; steps of zero repeat the last block.
        unsafe { blocks_group::<N, GROUP, WIDTH>(group, &mut place, columns, sums) };
    }
}

/// Adds Σ w·x of a group of (column step, `WIDTH` weights) blocks after `place`.
///
/// # Safety
/// Every column of every block must be one of the matrix.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn blocks_group<const N: usize, const GROUP: usize, const WIDTH: usize>(
    blocks: &[u8],
    place: &mut usize,
    columns: Columns<'_, N>,
    sums: &mut Sums,
) {
    let (mut places, mut weights) = ([0; GROUP], [0; GROUP]);
    let grouped = weights.as_chunks_mut::<WIDTH>().0.iter_mut();
    let grouped = grouped.zip(places.as_chunks_mut::<WIDTH>().0);
    for ((weights, places), block) in grouped.zip(blocks.chunks_exact(1 + WIDTH)) {
        let (Some((step, _)), Some(block_weights)) = (block.split_first(), block.last_chunk())
        else {
            return;
        };
        *place += usize::from(*step) * N;
        *weights = *block_weights;
        for (at, column) in places.iter_mut().zip(0..) {
            *at = *place + column * N;
        }
    }
    // SAFETY: the caller's promise.
    let group = unsafe { columns.read(places) };
    sums.add(group, repeated(weights));
}

/// The last bytes of a row that do not fill a group, with zeros after them; at least one,
/// at most 15.
#[inline]
fn last_of(row: &[u8], count: usize) -> [u8; 16] {
    match row.last_chunk() {
        Some(last) => (u128::from_le_bytes(*last) >> (128 - 8 * count)).to_le_bytes(),
        None => filled_up(row.get(row.len() - count..).unwrap_or_default()),
    }
}
