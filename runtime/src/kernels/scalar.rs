//! The oracle: every kernel in its plainest form.

use neuroprune_format::tensor::{Matrix, Row, RowWeights};

use super::{LANES, Lanes, MIXED};

/// One feature of eight tokens.
pub type Feature = [i8; LANES];

/// Sets tokens 2·`pair` and 2·`pair` + 1 of a feature.
#[inline]
pub fn set_pair(feature: &mut Feature, pair: usize, even: i8, odd: i8) {
    if let Some(lanes) = feature.get_mut(2 * pair..2 * pair + 2) {
        lanes.copy_from_slice(&[even, odd]);
    }
}

/// Multiplies `matrix`, `[rows, cols]`, with one tile, `[cols]` features.
///
/// `emit` gets each row's number, the row, and Σ w·x of the eight tokens. Sums fit:
/// at most 65,535 columns of |w·x| ≤ 127².
#[inline]
pub fn multiply(
    matrix: &Matrix<'_>,
    tile: &[Feature],
    mut emit: impl FnMut(usize, Row<'_>, Lanes<i32>),
) {
    for (index, row) in matrix.iter().enumerate() {
        let sums = match row.weights {
            RowWeights::Dense(weights) => dense_row(weights, tile),
            RowWeights::Columns(columns, weights) => listed_row(columns, weights, tile),
            RowWeights::DeltaU8(pairs) => delta_row(pairs, tile),
            RowWeights::Bitmap { bits, weights } => bitmap_row(bits, weights, tile),
            RowWeights::Blocks2(blocks) => block_row::<2>(blocks, tile),
            RowWeights::Blocks4(blocks) => block_row::<4>(blocks, tile),
        };
        emit(index, row, sums);
    }
}

/// Σ w·x of a row with a weight (as its byte) for each feature.
#[inline]
#[must_use]
pub fn dense_row(weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; LANES];
    for (&weight, feature) in weights.iter().zip(tile) {
        accumulate(&mut sums, weight, feature);
    }
    sums
}

/// Σ w·x of a row with a weight for each column of a list of `u16`.
#[must_use]
pub fn listed_row(columns: &[u8], weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; LANES];
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
#[must_use]
pub fn delta_row(pairs: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; LANES];
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

/// Σ w·x of a row with a weight for each bit that is set.
#[must_use]
pub fn bitmap_row(bits: &[u8], weights: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; LANES];
    let mut weights = weights.iter();
    for (column, feature) in tile.iter().enumerate() {
        let byte = bits.get(column / 8).copied().unwrap_or(0);
        if byte >> (column % 8) & 1 != 0
            && let Some(&weight) = weights.next()
        {
            accumulate(&mut sums, weight, feature);
        }
    }
    sums
}

/// Σ w·x of a row of (column step, `N` weights) blocks.
#[must_use]
pub fn block_row<const N: usize>(blocks: &[u8], tile: &[Feature]) -> Lanes<i32> {
    let mut sums = [0; LANES];
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
    sums
}

#[inline]
fn accumulate(sums: &mut Lanes<i32>, weight: u8, feature: &Feature) {
    let weight = i32::from(weight.cast_signed());
    for (sum, &x) in sums.iter_mut().zip(feature) {
        *sum += weight * i32::from(x);
    }
}

/// Σ p·v of attention weights (0…8,191) and four value dimensions (−127…127).
///
/// `weights` has an even length; `values` holds for each two tokens `stride` dimensions,
/// see [`set_value`](super::set_value). Sums fit for up to 2,064 tokens.
#[inline]
#[must_use]
pub fn mix(weights: &[i16], values: &[u32], stride: usize, first: usize) -> [i32; MIXED] {
    let mut sums = [0; MIXED];
    let rows = values.chunks_exact(stride.max(1));
    for (weights, row) in weights.chunks_exact(2).zip(rows) {
        let &[even, odd] = weights else { break };
        let values = row.get(first..).unwrap_or(&[]);
        for (sum, &value) in sums.iter_mut().zip(values) {
            let [even_value, odd_value] = super::values(value);
            *sum += i32::from(even) * i32::from(even_value) + i32::from(odd) * i32::from(odd_value);
        }
    }
    sums
}
