//! Attention weights times values: four value dimensions share the loading of the weights.

use core::arch::wasm32::{i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, i32x4_shuffle, u32x4};

use super::sums::{Interleaved, Sums};
use crate::kernels::tile::{GRAIN, Lanes, Mixture};

/// Value dimensions that share the loading of attention weights.
const DIMENSIONS: usize = 4;

/// See [`scalar::mix`].
pub fn mix(mixture: &[Mixture], values: &[u32], queries: usize, sums: &mut [Lanes<i32>]) {
    let dimensions = sums.len();
    for (group, sums) in sums.chunks_mut(DIMENSIONS).enumerate() {
        let values = values.get(group * DIMENSIONS..).unwrap_or_default();
        if queries > GRAIN {
            mix_group::<true>(mixture, values, dimensions, sums);
        } else {
            mix_group::<false>(mixture, values, dimensions, sums);
        }
    }
}

/// Up to four dimensions; `values` begins with theirs, `stride` words per quad of tokens.
#[inline(never)]
fn mix_group<const FULL: bool>(
    mixture: &[Mixture],
    values: &[u32],
    stride: usize,
    sums: &mut [Lanes<i32>],
) {
    let mut rows = [Sums::<FULL>::zero(); DIMENSIONS];
    let mut rest = values;
    for mixture in mixture {
        let [a, b, c, d] = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut words = [0; DIMENSIONS];
            for (word, value) in words.iter_mut().zip(rest) {
                *word = *value;
            }
            words
        });
        rest = rest.get(stride..).unwrap_or_default();
        let words = u32x4(a, b, c, d);
        let two = [
            i16x8_extend_low_i8x16(words),
            i16x8_extend_high_i8x16(words),
        ];
        let (front, back) = Interleaved::of_tokens(mixture);
        for ([even, odd], values) in rows.as_chunks_mut().0.iter_mut().zip(two) {
            even.accumulate(i32x4_shuffle::<0, 0, 0, 0>(values, values), &front);
            even.accumulate(i32x4_shuffle::<1, 1, 1, 1>(values, values), &back);
            odd.accumulate(i32x4_shuffle::<2, 2, 2, 2>(values, values), &front);
            odd.accumulate(i32x4_shuffle::<3, 3, 3, 3>(values, values), &back);
        }
    }
    for (row, sums) in rows.into_iter().zip(sums) {
        row.store(sums);
    }
}
