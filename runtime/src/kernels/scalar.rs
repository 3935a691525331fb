//! The oracle: every kernel in its plainest form.

use neuroprune_format::tensor::{Matrix, Row, RowWeights};

use super::{LANES, Lanes};

/// Multiplies `matrix`, `[rows, cols]`, with one tile, `[cols, 8]`.
///
/// `emit` gets each row's number, the row, and Σ w·x of the eight tokens. Sums fit:
/// at most 65,535 columns of |w·x| ≤ 127².
#[inline]
pub fn multiply(
    matrix: &Matrix<'_>,
    tile: &[i8],
    mut emit: impl FnMut(usize, Row<'_>, Lanes<i32>),
) {
    for (index, row) in matrix.iter().enumerate() {
        let mut sums = [0; LANES];
        match row.weights {
            RowWeights::Dense(weights) => {
                for (&weight, lanes) in weights.iter().zip(tile.chunks_exact(LANES)) {
                    accumulate(&mut sums, weight.cast_signed(), lanes);
                }
            }
            RowWeights::Columns(columns, weights) => {
                for (column, &weight) in columns.chunks_exact(2).zip(weights) {
                    let &[low, high] = column else { break };
                    let column = usize::from(u16::from_le_bytes([low, high]));
                    accumulate(&mut sums, weight.cast_signed(), lanes(tile, column));
                }
            }
            RowWeights::DeltaU8(pairs) => {
                let mut column = 0;
                for pair in pairs.chunks_exact(2) {
                    let &[step, weight] = pair else { break };
                    column += usize::from(step);
                    accumulate(&mut sums, weight.cast_signed(), lanes(tile, column));
                }
            }
        }
        emit(index, row, sums);
    }
}

#[inline]
fn lanes(tile: &[i8], column: usize) -> &[i8] {
    tile.get(column * LANES..(column + 1) * LANES)
        .unwrap_or(&[])
}

#[inline]
fn accumulate(sums: &mut Lanes<i32>, weight: i8, lanes: &[i8]) {
    let weight = i32::from(weight);
    for (sum, &x) in sums.iter_mut().zip(lanes) {
        *sum += weight * i32::from(x);
    }
}

/// Σ a·b of two vectors: a query against a key.
#[inline]
#[must_use]
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| i32::from(a) * i32::from(b))
        .sum()
}

/// Σ p·v of attention weights (0…8,191) and one value dimension over all tokens.
///
/// Fits for up to 2,064 tokens.
#[inline]
#[must_use]
pub fn mix(weights: &[i16], values: &[i8]) -> i32 {
    weights
        .iter()
        .zip(values)
        .map(|(&p, &v)| i32::from(p) * i32::from(v))
        .sum()
}
