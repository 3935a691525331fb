//! The oracle: every kernel in its simplest form.
//!
//! Each kind of row has a function of its own: eight sums and the loop's other values fill the
//! registers of most cores, and inlined into one function they would be spilled.

use neuroprune_format::tensor::{RowWeights, Rows};

use super::floats;
pub use super::floats::{
    add, gelu, largest, mixture, normalize, quantize_bytes, rectify, rescale, round, scale,
    softmax, sum, sum_of_squares,
};
use crate::kernels::tile::{GRAIN, LANES, Lanes, Mixture, QUAD, Tile};

/// One feature of eight tokens.
pub type Feature = [i8; LANES];

/// Sets the lanes of one grain of a feature.
#[inline]
pub fn set_grain(feature: &mut Feature, grain: usize, lanes: [i8; GRAIN]) {
    if let Some(part) = feature.as_chunks_mut().0.get_mut(grain) {
        *part = lanes;
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
    for (feature, steps) in features.iter_mut().zip(steps) {
        for (byte, step) in feature.iter_mut().zip(steps) {
            let [_, upper] = step.wrapping_add(128).to_le_bytes();
            *byte = upper.cast_signed();
        }
    }
}

/// Σ w·x of each row for the tokens of a tile, as many rows as there are `sums`.
///
/// Sums fit: at most 65,535 columns of |w·x| ≤ 127².
pub fn multiply(rows: &Rows<'_>, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    if tile.tokens > LANES / 2 {
        multiply_lanes::<LANES>(rows, tile.features, sums);
    } else {
        multiply_lanes::<{ LANES / 2 }>(rows, tile.features, sums);
    }
}

/// [`multiply`] for the first `N` lanes.
fn multiply_lanes<const N: usize>(rows: &Rows<'_>, tile: &[Feature], sums: &mut [Lanes<i32>]) {
    for (sums, row) in sums.iter_mut().zip(rows.clone()) {
        let lanes: [i32; N] = match row.weights {
            RowWeights::Dense(weights) => dense_row(weights, tile),
            RowWeights::Columns(columns, weights) => listed_row(columns, weights, tile),
            RowWeights::DeltaU8(pairs) => delta_row(pairs, tile),
            RowWeights::Bitmap { bits, weights } => bitmap_row(bits, weights, tile),
            RowWeights::Blocks2(blocks) => block_row::<2, N>(blocks, tile),
            RowWeights::Blocks4(blocks) => block_row::<4, N>(blocks, tile),
        };
        set(sums, lanes);
    }
}

/// Σ w·x of rows with a weight (as a byte) for each of `cols` features.
pub fn dense(weights: &[u8], cols: usize, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    sums.fill([0; LANES]);
    for (sums, weights) in sums.iter_mut().zip(weights.chunks_exact(cols.max(1))) {
        if tile.tokens > LANES / 2 {
            *sums = dense_row(weights, tile.features);
        } else {
            set(sums, dense_row::<{ LANES / 2 }>(weights, tile.features));
        }
    }
}

fn set<const N: usize>(sums: &mut Lanes<i32>, lanes: [i32; N]) {
    for (sum, lane) in sums.iter_mut().zip(lanes) {
        *sum = lane;
    }
}

/// Σ w·x of a row with a weight (as a byte) for each feature, for the first `N` lanes.
#[inline(never)]
#[must_use]
pub fn dense_row<const N: usize>(weights: &[u8], tile: &[Feature]) -> [i32; N] {
    let mut sums = [0; N];
    for (&weight, feature) in weights.iter().zip(tile) {
        accumulate(&mut sums, weight, feature);
    }
    sums
}

/// Σ w·x of a row with a weight for each column of a list of `u16`.
#[inline(never)]
#[must_use]
pub fn listed_row<const N: usize>(columns: &[u8], weights: &[u8], tile: &[Feature]) -> [i32; N] {
    let mut sums = [0; N];
    for (column, &weight) in columns.chunks_exact(2).zip(weights) {
        let &[low, high] = column else { break };
        let column = usize::from(u16::from_le_bytes([low, high]));
        if let Some(feature) = tile.get(column) {
            accumulate(&mut sums, weight, feature);
        }
    }
    sums
}

/// Σ w·x of a row of (column step, weight) pairs.
#[inline(never)]
#[must_use]
pub fn delta_row<const N: usize>(pairs: &[u8], tile: &[Feature]) -> [i32; N] {
    let mut sums = [0; N];
    let mut column = 0;
    for pair in pairs.chunks_exact(2) {
        let &[step, weight] = pair else { break };
        column += usize::from(step);
        if let Some(feature) = tile.get(column) {
            accumulate(&mut sums, weight, feature);
        }
    }
    sums
}

/// Σ w·x of a row with a weight for each set bit.
#[inline(never)]
#[must_use]
pub fn bitmap_row<const N: usize>(bits: &[u8], weights: &[u8], tile: &[Feature]) -> [i32; N] {
    let mut sums = [0; N];
    let mut weights = weights.iter();
    for (column, feature) in tile.iter().enumerate() {
        let byte = bits.get(column / 8).copied().unwrap_or(0);
        if byte << (column % 8) & 0x80 != 0
            && let Some(&weight) = weights.next()
        {
            accumulate(&mut sums, weight, feature);
        }
    }
    sums
}

/// Σ w·x of a row of (column step, `WIDTH` weights) blocks.
#[inline(never)]
#[must_use]
pub fn block_row<const WIDTH: usize, const N: usize>(blocks: &[u8], tile: &[Feature]) -> [i32; N] {
    let mut sums = [0; N];
    let mut column = 0;
    for block in blocks.chunks_exact(1 + WIDTH) {
        let Some((&step, weights)) = block.split_first() else {
            break;
        };
        column += usize::from(step);
        let features = tile.get(column..).unwrap_or(&[]).first_chunk::<WIDTH>();
        if let (Some(weights), Some(features)) = (weights.first_chunk::<WIDTH>(), features) {
            for (&weight, feature) in weights.iter().zip(features) {
                accumulate(&mut sums, weight, feature);
            }
        }
    }
    sums
}

#[inline]
fn accumulate<const N: usize>(sums: &mut [i32; N], weight: u8, feature: &Feature) {
    let weight = i32::from(weight.cast_signed());
    for (sum, &x) in sums.iter_mut().zip(feature) {
        *sum += weight * i32::from(x);
    }
}

/// One value dimension of four tokens; zero without tokens.
#[inline]
#[must_use]
pub fn value_word(values: Option<[i8; QUAD]>) -> u32 {
    u32::from_ne_bytes(values.unwrap_or_default().map(i8::cast_unsigned))
}

/// Σ p·v over tokens, of attention weights (0…8,191) and values (−127…127), for each value
/// dimension (as many as there are `sums`) and each query of the tile.
///
/// For each four tokens, `values` holds one word per dimension; see [`value_word`]. Sums fit for up
/// to 2,064 tokens.
pub fn mix(mixture: &[Mixture], values: &[u32], _queries: usize, sums: &mut [Lanes<i32>]) {
    sums.fill([0; LANES]);
    for (mixture, values) in mixture.iter().zip(values.chunks_exact(sums.len().max(1))) {
        for (sums, value) in sums.iter_mut().zip(values) {
            let value = value
                .to_ne_bytes()
                .map(|byte| i32::from(byte.cast_signed()));
            for (sum, weights) in sums.iter_mut().zip(mixture) {
                for (weight, value) in weights.iter().zip(value) {
                    *sum += i32::from(*weight) * value;
                }
            }
        }
    }
}
