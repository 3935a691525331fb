//! Products of rows with a weight for each feature: four rows share the interleaving of
//! features.

use core::arch::wasm32::{i16x8_extend_low_i8x16, i32x4_shuffle, i64x2_splat};

use super::feature::{Feature, vector};
use super::sums::{Interleaved, Sums, one};
use crate::kernels::tile::{GRAIN, LANES, Lanes, Tile};

/// Rows that share the interleaving of features.
const ROWS: usize = 4;

/// See [`scalar::dense`].
pub fn dense(weights: &[u8], cols: usize, tile: &Tile<'_, Feature>, sums: &mut [Lanes<i32>]) {
    if cols == 0 {
        return sums.fill([0; LANES]);
    }
    let features = tile.features.get(..cols).unwrap_or_default();
    if tile.tokens > GRAIN {
        dense_groups::<true>(weights, features, sums);
    } else {
        dense_groups::<false>(weights, features, sums);
    }
}

pub(super) fn dense_groups<const FULL: bool>(
    weights: &[u8],
    tile: &[Feature],
    sums: &mut [Lanes<i32>],
) {
    let mut rows = weights.chunks_exact(tile.len().max(1));
    let (groups, rest) = sums.as_chunks_mut::<ROWS>();
    for group in groups {
        let weights = core::array::from_fn(|_| rows.next().unwrap_or_default());
        dense_group::<FULL, ROWS>(weights, tile, group);
    }
    let (rest, _) = rest.as_chunks_mut();
    for row in rest {
        dense_group::<FULL, 1>([rows.next().unwrap_or_default()], tile, row);
    }
}

/// Rows that share the interleaving of features, each with one weight per feature.
#[inline(never)]
fn dense_group<const FULL: bool, const N: usize>(
    weights: [&[u8]; N],
    tile: &[Feature],
    sums: &mut [Lanes<i32>; N],
) {
    let mut rows = [Sums::<FULL>::zero(); N];
    let (eights, last) = tile.as_chunks::<8>();
    let chunks = weights.map(|weights| weights.as_chunks::<8>());
    for (index, [a, b, c, d, e, f, g, h]) in eights.iter().enumerate() {
        let weights = chunks.map(|(chunks, _)| {
            let weights = chunks.get(index).copied().unwrap_or_default();
            i16x8_extend_low_i8x16(i64x2_splat(i64::from_le_bytes(weights)))
        });
        let features = Interleaved::new(vector(a), vector(b));
        for (row, weights) in rows.iter_mut().zip(weights) {
            row.accumulate(i32x4_shuffle::<0, 0, 0, 0>(weights, weights), &features);
        }
        let features = Interleaved::new(vector(c), vector(d));
        for (row, weights) in rows.iter_mut().zip(weights) {
            row.accumulate(i32x4_shuffle::<1, 1, 1, 1>(weights, weights), &features);
        }
        let features = Interleaved::new(vector(e), vector(f));
        for (row, weights) in rows.iter_mut().zip(weights) {
            row.accumulate(i32x4_shuffle::<2, 2, 2, 2>(weights, weights), &features);
        }
        let features = Interleaved::new(vector(g), vector(h));
        for (row, weights) in rows.iter_mut().zip(weights) {
            row.accumulate(i32x4_shuffle::<3, 3, 3, 3>(weights, weights), &features);
        }
    }
    for (row, (_, weights)) in rows.iter_mut().zip(chunks) {
        for (&weight, feature) in weights.iter().zip(last) {
            let feature = vector(feature);
            row.accumulate(one(weight), &Interleaved::new(feature, feature));
        }
    }
    for (row, sums) in rows.into_iter().zip(sums) {
        row.store(sums);
    }
}
