//! The passes of `floats` with AVX2: eight tokens in one register.
//!
//! Within a lane the same operations in the same order, each rounded separately: no fused
//! multiply-add. Lanes without a token are computed with the others.

use core::arch::x86_64::{
    __m128i, __m256, __m256i, _CMP_GE_OQ, _mm_unpacklo_epi32, _mm_unpacklo_epi64, _mm256_add_epi16,
    _mm256_add_epi32, _mm256_add_ps, _mm256_and_ps, _mm256_andnot_si256, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cvtepi16_epi32,
    _mm256_cvtepi32_ps, _mm256_extracti128_si256, _mm256_max_epi32, _mm256_max_epu32,
    _mm256_max_ps, _mm256_min_epi32, _mm256_min_ps, _mm256_mul_ps, _mm256_or_si256,
    _mm256_packs_epi16, _mm256_permute2x128_si256, _mm256_permute4x64_epi64, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_slli_epi32, _mm256_srai_epi16, _mm256_srai_epi32, _mm256_sub_epi32, _mm256_sub_ps,
    _mm256_unpackhi_epi32, _mm256_unpacklo_epi32,
};

use neuroprune_format::tensor::{Norm, Rows};

use crate::kernels::lanes::{grain_of, grains};
use crate::kernels::portable::floats::MixtureScales;
use crate::kernels::portable::scalar::{self, Feature};
use crate::kernels::tile::{LARGEST_WEIGHT, Lanes, Mixture, QUAD, Tile};
use crate::math::{EXPONENT_FLOOR, EXPONENTIAL, GELU, SHIFT};

/// See [`scalar::pack`]; four features at once.
#[target_feature(enable = "avx2")]
pub(super) fn pack(steps: &[Lanes<i16>], features: &mut [Feature]) {
    let half = _mm256_set1_epi16(128);
    let upper = |steps: [Lanes<i16>; 2]| {
        _mm256_srai_epi16::<8>(_mm256_add_epi16(bytemuck::must_cast(steps), half))
    };
    let (groups, rest) = features.as_chunks_mut::<4>();
    let (groups_of_steps, rest_of_steps) = steps.as_chunks::<4>();
    for (group, &[a, b, c, d]) in groups.iter_mut().zip(groups_of_steps) {
        let bytes = _mm256_packs_epi16(upper([a, b]), upper([c, d]));
        // Packing leaves a, c, b, d.
        let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
        *group = bytemuck::must_cast(bytes);
    }
    scalar::pack(rest_of_steps, rest);
}

/// See [`scalar::scale`].
#[target_feature(enable = "avx2")]
pub(super) fn scale(rows: &Rows<'_>, tile: &Tile<'_, Feature>, output: &mut [Lanes<f32>]) {
    let scales = load(&tile.scales);
    for (output, row) in output.iter_mut().zip(rows.affine()) {
        let sums = _mm256_cvtepi32_ps(_mm256_castps_si256(load(output)));
        let scales = _mm256_mul_ps(_mm256_set1_ps(row.scale), scales);
        let y = _mm256_add_ps(_mm256_mul_ps(sums, scales), _mm256_set1_ps(row.bias));
        *output = bytemuck::must_cast(y);
    }
}

/// See [`scalar::largest`].
#[target_feature(enable = "avx2")]
pub(super) fn largest(x: &[Lanes<f32>], _tokens: usize) -> Lanes<u32> {
    let mut largest = _mm256_setzero_si256();
    for x in x {
        largest = _mm256_max_epu32(largest, _mm256_castps_si256(magnitude(load(x))));
    }
    bytemuck::must_cast(largest)
}

/// See [`scalar::quantize`].
#[target_feature(enable = "avx2")]
pub(super) fn quantize(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    tokens: usize,
    features: &mut [Feature],
) {
    quantize_bytes(x, inverses, tokens, features);
}

/// See [`scalar::quantize_bytes`].
#[target_feature(enable = "avx2")]
pub(super) fn quantize_bytes(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    _tokens: usize,
    bytes: &mut [Lanes<i8>],
) {
    // The lowest byte of each word, in the first four bytes of each half.
    let lowest = _mm256_setr_epi8(
        0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, //
        0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    );
    let inverses = load(inverses);
    for (bytes, x) in bytes.iter_mut().zip(x) {
        let words = _mm256_shuffle_epi8(shifted(load(x), inverses), lowest);
        let (low, high) = halves(words);
        let [both, _]: [Lanes<i8>; 2] = bytemuck::must_cast(_mm_unpacklo_epi32(low, high));
        *bytes = both;
    }
}

/// See [`scalar::round`].
#[target_feature(enable = "avx2")]
pub(super) fn round(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    _tokens: usize,
    steps: &mut [Lanes<i16>],
) {
    // The lower half of each word, in the first eight bytes of each half.
    let lower = _mm256_setr_epi8(
        0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, //
        0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1,
    );
    let inverses = load(inverses);
    for (steps, x) in steps.iter_mut().zip(x) {
        let words = _mm256_shuffle_epi8(shifted(load(x), inverses), lower);
        let (low, high) = halves(words);
        *steps = bytemuck::must_cast(_mm_unpacklo_epi64(low, high));
    }
}

/// See [`scalar::add`].
#[target_feature(enable = "avx2")]
pub(super) fn add(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>, _tokens: usize) {
    let scales = load(scales);
    for (x, steps) in x.iter_mut().zip(steps) {
        let steps = _mm256_cvtepi16_epi32(bytemuck::must_cast(*steps));
        let steps = _mm256_mul_ps(_mm256_cvtepi32_ps(steps), scales);
        *x = bytemuck::must_cast(_mm256_add_ps(load(x), steps));
    }
}

/// See [`scalar::sum`].
#[target_feature(enable = "avx2")]
pub(super) fn sum(x: &[Lanes<f32>], _tokens: usize) -> Lanes<f32> {
    let mut sum = _mm256_set1_ps(0.0);
    for x in x {
        sum = _mm256_add_ps(sum, load(x));
    }
    bytemuck::must_cast(sum)
}

/// See [`scalar::sum_of_squares`].
#[target_feature(enable = "avx2")]
pub(super) fn sum_of_squares(x: &[Lanes<f32>], mean: &Lanes<f32>, _tokens: usize) -> Lanes<f32> {
    let mean = load(mean);
    let mut sum = _mm256_set1_ps(0.0);
    for x in x {
        let x = _mm256_sub_ps(load(x), mean);
        sum = _mm256_add_ps(sum, _mm256_mul_ps(x, x));
    }
    bytemuck::must_cast(sum)
}

/// See [`scalar::normalize`].
#[target_feature(enable = "avx2")]
pub(super) fn normalize(
    x: &mut [Lanes<f32>],
    mean: &Lanes<f32>,
    inverse: &Lanes<f32>,
    norm: Norm<'_>,
    _tokens: usize,
) {
    let (mean, inverse) = (load(mean), load(inverse));
    for (x, (gain, shift)) in x.iter_mut().zip(norm.iter()) {
        let y = _mm256_mul_ps(_mm256_sub_ps(load(x), mean), inverse);
        let y = _mm256_mul_ps(y, _mm256_set1_ps(gain));
        *x = bytemuck::must_cast(_mm256_add_ps(y, _mm256_set1_ps(shift)));
    }
}

/// See [`scalar::rectify`].
#[target_feature(enable = "avx2")]
pub(super) fn rectify(x: &mut [Lanes<f32>], _tokens: usize) {
    for x in x {
        *x = bytemuck::must_cast(positive(load(x)));
    }
}

/// See [`scalar::gelu`].
#[target_feature(enable = "avx2")]
pub(super) fn gelu(x: &mut [Lanes<f32>], _tokens: usize) {
    let [end, a, b, c, d] = GELU.map(|number| _mm256_set1_ps(number));
    for lanes in x {
        let x = load(lanes);
        let t = _mm256_min_ps(magnitude(x), end);
        let left = _mm256_sub_ps(end, t);
        let bump = _mm256_add_ps(c, _mm256_mul_ps(t, d));
        let bump = _mm256_add_ps(b, _mm256_mul_ps(t, bump));
        let bump = _mm256_add_ps(a, _mm256_mul_ps(t, bump));
        let bump = _mm256_mul_ps(_mm256_mul_ps(bump, t), _mm256_mul_ps(left, left));
        *lanes = bytemuck::must_cast(_mm256_sub_ps(positive(x), bump));
    }
}

/// See [`scalar::softmax`].
#[target_feature(enable = "avx2")]
pub(super) fn softmax(
    scores: &mut [Lanes<f32>],
    query_scales: &Lanes<f32>,
    queries: usize,
    key_scales: &[f32],
    value_scales: &[f32],
) -> MixtureScales {
    let query_scales = load(query_scales);
    let mut largest = _mm256_set1_ps(f32::NEG_INFINITY);
    for (lanes, &key_scale) in scores.iter_mut().zip(key_scales) {
        let scales = _mm256_mul_ps(query_scales, _mm256_set1_ps(key_scale));
        let sums = _mm256_cvtepi32_ps(_mm256_castps_si256(load(lanes)));
        let score = _mm256_mul_ps(sums, scales);
        largest = _mm256_max_ps(score, largest);
        *lanes = bytemuck::must_cast(score);
    }
    let mut sum = _mm256_set1_ps(0.0);
    let mut largest_weight = _mm256_set1_ps(0.0);
    for (lanes, &value_scale) in scores.iter_mut().zip(value_scales) {
        let weight = exponential(_mm256_sub_ps(load(lanes), largest));
        sum = _mm256_add_ps(sum, weight);
        let weight = _mm256_mul_ps(weight, _mm256_set1_ps(value_scale));
        largest_weight = _mm256_max_ps(weight, largest_weight);
        *lanes = bytemuck::must_cast(weight);
    }
    let mut scales = MixtureScales::default();
    let (largest, sums): (Lanes<f32>, Lanes<f32>) = (
        bytemuck::must_cast(largest_weight),
        bytemuck::must_cast(sum),
    );
    for part in grains(queries) {
        scales.set_grain(part, grain_of(&largest, part), grain_of(&sums, part));
    }
    scales
}

/// See [`scalar::mixture`].
#[target_feature(enable = "avx2")]
pub(super) fn mixture(weights: &[Lanes<f32>; QUAD], inverses: &Lanes<f32>) -> Mixture {
    let [a, b, c, d] = weights;
    let inverses = load(inverses);
    let low = two_steps(load(a), load(b), inverses);
    let high = two_steps(load(c), load(d), inverses);
    // Queries 0, 1, 4, 5 and 2, 3, 6, 7.
    let even = _mm256_unpacklo_epi32(low, high);
    let odd = _mm256_unpackhi_epi32(low, high);
    bytemuck::must_cast([
        _mm256_permute2x128_si256::<0x20>(even, odd),
        _mm256_permute2x128_si256::<0x31>(even, odd),
    ])
}

/// Attention weights of two tokens as integers, side by side for each query.
#[inline]
#[target_feature(enable = "avx2")]
fn two_steps(first: __m256, second: __m256, inverses: __m256) -> __m256i {
    let low = mixture_step(first, inverses);
    let high = _mm256_slli_epi32::<16>(mixture_step(second, inverses));
    _mm256_or_si256(low, high)
}

/// 0…[`LARGEST_WEIGHT`].
#[inline]
#[target_feature(enable = "avx2")]
fn mixture_step(score: __m256, inverses: __m256) -> __m256i {
    let zero = _mm256_castps_si256(_mm256_set1_ps(SHIFT));
    let step = _mm256_sub_epi32(shifted(score, inverses), zero);
    let step = _mm256_max_epi32(step, _mm256_setzero_si256());
    _mm256_min_epi32(step, _mm256_set1_epi32(LARGEST_WEIGHT.into()))
}

/// See `math::exponential`.
#[inline]
#[target_feature(enable = "avx2")]
fn exponential(x: __m256) -> __m256 {
    let one = |number: f32| _mm256_set1_ps(number);
    let [a, b, c, d, e] = EXPONENTIAL.map(|number| _mm256_set1_ps(number));
    let scaled = _mm256_mul_ps(x, one(core::f32::consts::LOG2_E));
    let shifted = _mm256_add_ps(scaled, one(SHIFT));
    let f = _mm256_sub_ps(scaled, _mm256_sub_ps(shifted, one(SHIFT)));
    let power = _mm256_add_ps(d, _mm256_mul_ps(f, e));
    let power = _mm256_add_ps(c, _mm256_mul_ps(f, power));
    let power = _mm256_add_ps(b, _mm256_mul_ps(f, power));
    let power = _mm256_add_ps(a, _mm256_mul_ps(f, power));
    // The low bits of SHIFT, which are zeros, leave the mantissa alone.
    let n = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
    let power = _mm256_add_epi32(_mm256_castps_si256(power), n);
    let is_large = _mm256_cmp_ps::<_CMP_GE_OQ>(x, one(EXPONENT_FLOOR));
    _mm256_and_ps(_mm256_castsi256_ps(power), is_large)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(x: &Lanes<f32>) -> __m256 {
    bytemuck::must_cast(*x)
}

/// The two halves of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(x: __m256i) -> (__m128i, __m128i) {
    (_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x))
}

/// x · inverse with the nearest integer in its low bits, see `math::nearest`.
#[inline]
#[target_feature(enable = "avx2")]
fn shifted(x: __m256, inverse: __m256) -> __m256i {
    let x = _mm256_add_ps(_mm256_mul_ps(x, inverse), _mm256_set1_ps(SHIFT));
    _mm256_castps_si256(x)
}

/// See `math::magnitude`.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitude(x: __m256) -> __m256 {
    _mm256_and_ps(x, _mm256_set1_ps(f32::from_bits(u32::MAX >> 1)))
}

/// See `math::rectify`.
#[inline]
#[target_feature(enable = "avx2")]
fn positive(x: __m256) -> __m256 {
    let x = _mm256_castps_si256(x);
    _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_srai_epi32::<31>(x), x))
}
