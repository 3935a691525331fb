//! Attention weights times values with AVX2: four value dimensions at once.

use core::arch::x86_64::{
    __m256i, _mm_set1_epi32, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_hadd_epi32,
    _mm256_madd_epi16, _mm256_permute4x64_epi64, _mm256_setzero_si256,
};

use crate::kernels::tile::{Lanes, Mixture};

/// See `scalar::mix`; four value dimensions at once.
#[target_feature(enable = "avx2")]
pub(super) fn mix(mixture: &[Mixture], values: &[u32], _queries: usize, sums: &mut [Lanes<i32>]) {
    const DIMENSIONS: usize = 4;
    let width = sums.len().max(1);
    let (groups, rest) = sums.as_chunks_mut::<DIMENSIONS>();
    let at_rest = groups.len() * DIMENSIONS;
    for (at, sums) in groups.iter_mut().enumerate() {
        *sums = mix_dimensions(mixture, values, width, at * DIMENSIONS);
    }
    for (at, sums) in rest.iter_mut().enumerate() {
        [*sums] = mix_dimensions(mixture, values, width, at_rest + at);
    }
}

/// [`mix`] for `N` value dimensions of `width`, starting at `first`.
#[inline]
#[target_feature(enable = "avx2")]
fn mix_dimensions<const N: usize>(
    mixture: &[Mixture],
    values: &[u32],
    width: usize,
    first: usize,
) -> [Lanes<i32>; N] {
    // Of queries 0…3 and 4…7, two sums each.
    let mut sums = [[_mm256_setzero_si256(); 2]; N];
    for (mixture, values) in mixture.iter().zip(values.chunks_exact(width)) {
        let mixture: [__m256i; 2] = bytemuck::must_cast(*mixture);
        let Some(values) = values.get(first..).and_then(<[u32]>::first_chunk::<N>) else {
            break;
        };
        for (sums, value) in sums.iter_mut().zip(values) {
            let value = _mm_set1_epi32(value.cast_signed());
            let value = _mm256_cvtepi8_epi16(value);
            for (sums, mixture) in sums.iter_mut().zip(mixture) {
                *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(mixture, value));
            }
        }
    }
    sums.map(|[low, high]| {
        // Adding neighbours leaves queries 0, 1, 4, 5 and 2, 3, 6, 7.
        let sums = _mm256_hadd_epi32(low, high);
        bytemuck::must_cast(_mm256_permute4x64_epi64::<0b11_01_10_00>(sums))
    })
}
