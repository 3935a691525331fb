//! What `simd128` adds to WebAssembly: the passes of [`floats`], a vector of four
//! lanes at once.
//!
//! The same operations on the same numbers in the same order, so the same bits: nothing here uses
//! relaxed SIMD, and a product is rounded before the addition.

use core::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_mul, f32x4_pmin, f32x4_splat, f32x4_sub, i8x16_shuffle,
    i16x8_max, i16x8_min, i16x8_narrow_i32x4, i16x8_shuffle, i16x8_splat, i32x4_extend_high_i16x8,
    i32x4_extend_low_i16x8, i32x4_max, i32x4_splat, i32x4_sub, i64x2_extract_lane, u32x4_max,
    u32x4_splat, v128, v128_and,
};

use neuroprune_format::tensor::{Norm, Rows};

use super::feature::{Feature, load, store};
use crate::kernels::tile::{GRAIN, LANES, LARGEST_WEIGHT, Lanes, Mixture, QUAD, Tile};
use crate::math;

/// Grains of a tile with more than one.
const BOTH: usize = LANES / GRAIN;

/// Calls a pass for the number of grains that have tokens.
macro_rules! for_grains {
    ($tokens:expr, $pass:ident($($argument:expr),*)) => {
        if $tokens > GRAIN {
            $pass::<BOTH>($($argument),*)
        } else {
            $pass::<1>($($argument),*)
        }
    };
}

/// See [`floats::scale`].
pub fn scale(rows: &Rows<'_>, tile: &Tile<'_, Feature>, output: &mut [Lanes<f32>]) {
    for_grains!(tile.tokens, scale_grains(rows, &tile.scales, output));
}

fn scale_grains<const N: usize>(rows: &Rows<'_>, scales: &Lanes<f32>, output: &mut [Lanes<f32>]) {
    let scales = load::<f32, N>(scales);
    for (output, row) in output.iter_mut().zip(rows.affine()) {
        let (scale, bias) = (f32x4_splat(row.scale), f32x4_splat(row.bias));
        let scaled = zip(load(output), scales, |sum, token_scale| {
            f32x4_mul(f32x4_convert_i32x4(sum), f32x4_mul(scale, token_scale))
        });
        store(output, scaled.map(|y| f32x4_add(y, bias)));
    }
}

/// See [`floats::largest`].
pub fn largest(x: &[Lanes<f32>], tokens: usize) -> Lanes<u32> {
    for_grains!(tokens, largest_of_grains(x))
}

fn largest_of_grains<const N: usize>(x: &[Lanes<f32>]) -> Lanes<u32> {
    let mut largest = [u32x4_splat(0); N];
    for x in x {
        largest = zip(largest, load(x), |largest, x| {
            u32x4_max(largest, magnitude(x))
        });
    }
    let mut all = Lanes::default();
    store(&mut all, largest);
    all
}

/// See [`floats::quantize`].
pub fn quantize(x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, features: &mut [Feature]) {
    // A feature has the form of a step: 16 bits per token.
    round(x, inverses, tokens, features);
}

/// See [`floats::quantize_bytes`].
pub fn quantize_bytes(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    tokens: usize,
    bytes: &mut [Lanes<i8>],
) {
    for_grains!(tokens, bytes_of_grains(x, inverses, bytes));
}

fn bytes_of_grains<const N: usize>(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    bytes: &mut [Lanes<i8>],
) {
    let inverses = load::<f32, N>(inverses);
    for (bytes, x) in bytes.iter_mut().zip(x) {
        let (low, high) = ends(zip(load(x), inverses, nearest));
        // The low byte of each lane, as in `math::nearest_byte`.
        let lanes =
            i8x16_shuffle::<0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28>(low, high);
        let lanes = i64x2_extract_lane::<0>(lanes).to_le_bytes();
        *bytes = lanes.map(u8::cast_signed);
    }
}

/// See [`floats::round`].
pub fn round(x: &[Lanes<f32>], inverses: &Lanes<f32>, tokens: usize, steps: &mut [Lanes<i16>]) {
    for_grains!(tokens, round_grains(x, inverses, steps));
}

fn round_grains<const N: usize>(x: &[Lanes<f32>], inverses: &Lanes<f32>, steps: &mut [Lanes<i16>]) {
    let inverses = load::<f32, N>(inverses);
    for (steps, x) in steps.iter_mut().zip(x) {
        let (low, high) = ends(zip(load(x), inverses, nearest));
        // The low 16 bits of each lane, as in `math::nearest_half`.
        let lanes = i16x8_shuffle::<0, 2, 4, 6, 8, 10, 12, 14>(low, high);
        store(steps, [lanes]);
    }
}

/// See [`floats::mixture`].
pub fn mixture(weights: &[Lanes<f32>; QUAD], inverses: &Lanes<f32>) -> Mixture {
    let inverses = load::<f32, BOTH>(inverses);
    let shift = u32x4_splat(math::SHIFT.to_bits());
    // As integers, [tokens][queries 0…3, 4…7].
    let steps = weights
        .each_ref()
        .map(|weights| zip(load(weights), inverses, nearest).map(|bits| i32x4_sub(bits, shift)));
    let [[a, e], [b, f], [c, g], [d, h]] = steps;
    let mut mixture = Mixture::default();
    let [first, second] = transposed(a, b, c, d);
    let [third, fourth] = transposed(e, f, g, h);
    let queries = mixture.as_flattened_mut().as_chunks_mut().0.iter_mut();
    for (queries, steps) in queries.zip([first, second, third, fourth]) {
        store(queries, [steps]);
    }
    mixture
}

/// Four tokens of four queries each as four queries of four tokens each, within
/// 0…[`LARGEST_WEIGHT`].
#[inline]
fn transposed(a: v128, b: v128, c: v128, d: v128) -> [v128; 2] {
    let bounded = |steps| {
        i16x8_min(
            i16x8_max(steps, i16x8_splat(0)),
            i16x8_splat(LARGEST_WEIGHT),
        )
    };
    // Values that do not fit into 16 bits are saturated, and then clamped to the bounds.
    let front = bounded(i16x8_narrow_i32x4(a, b));
    let back = bounded(i16x8_narrow_i32x4(c, d));
    [
        i16x8_shuffle::<0, 4, 8, 12, 1, 5, 9, 13>(front, back),
        i16x8_shuffle::<2, 6, 10, 14, 3, 7, 11, 15>(front, back),
    ]
}

/// See [`floats::add`].
pub fn add(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>, tokens: usize) {
    for_grains!(tokens, add_grains(x, steps, scales));
}

fn add_grains<const N: usize>(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>) {
    let scales = load::<f32, N>(scales);
    for (x, steps) in x.iter_mut().zip(steps) {
        let [steps] = load(steps);
        let halves = [
            i32x4_extend_low_i16x8(steps),
            i32x4_extend_high_i16x8(steps),
        ];
        let mut grains = halves.into_iter().map(|steps| f32x4_convert_i32x4(steps));
        let grains: [v128; N] = core::array::from_fn(|_| grains.next().unwrap_or(steps));
        let products = zip(grains, scales, |step, scale| f32x4_mul(step, scale));
        store(
            x,
            zip(load(x), products, |x, product| f32x4_add(x, product)),
        );
    }
}

/// See [`floats::sum`].
pub fn sum(x: &[Lanes<f32>], tokens: usize) -> Lanes<f32> {
    for_grains!(tokens, sum_of_grains(x))
}

fn sum_of_grains<const N: usize>(x: &[Lanes<f32>]) -> Lanes<f32> {
    let mut sums = [f32x4_splat(0.0); N];
    for x in x {
        sums = zip(sums, load(x), |sum, x| f32x4_add(sum, x));
    }
    let mut all = Lanes::default();
    store(&mut all, sums);
    all
}

/// See [`floats::sum_of_squares`].
pub fn sum_of_squares(x: &[Lanes<f32>], mean: &Lanes<f32>, tokens: usize) -> Lanes<f32> {
    for_grains!(tokens, squares_of_grains(x, mean))
}

fn squares_of_grains<const N: usize>(x: &[Lanes<f32>], mean: &Lanes<f32>) -> Lanes<f32> {
    let mean = load::<f32, N>(mean);
    let mut sums = [f32x4_splat(0.0); N];
    for x in x {
        let apart = zip(load(x), mean, |x, mean| f32x4_sub(x, mean));
        sums = zip(sums, apart, |sum, x| f32x4_add(sum, f32x4_mul(x, x)));
    }
    let mut all = Lanes::default();
    store(&mut all, sums);
    all
}

/// See [`floats::normalize`].
pub fn normalize(
    x: &mut [Lanes<f32>],
    mean: &Lanes<f32>,
    inverse: &Lanes<f32>,
    norm: Norm<'_>,
    tokens: usize,
) {
    for_grains!(tokens, normalize_grains(x, mean, inverse, norm));
}

fn normalize_grains<const N: usize>(
    x: &mut [Lanes<f32>],
    mean: &Lanes<f32>,
    inverse: &Lanes<f32>,
    norm: Norm<'_>,
) {
    let (mean, inverse) = (load::<f32, N>(mean), load::<f32, N>(inverse));
    for (x, (gain, shift)) in x.iter_mut().zip(norm.iter()) {
        let (gain, shift) = (f32x4_splat(gain), f32x4_splat(shift));
        let apart = zip(load(x), mean, |x, mean| f32x4_sub(x, mean));
        let normal = zip(apart, inverse, |x, inverse| f32x4_mul(x, inverse));
        store(x, normal.map(|x| f32x4_add(f32x4_mul(x, gain), shift)));
    }
}

/// See [`floats::rectify`].
pub fn rectify(x: &mut [Lanes<f32>], tokens: usize) {
    for_grains!(tokens, rectify_grains(x));
}

fn rectify_grains<const N: usize>(x: &mut [Lanes<f32>]) {
    for x in x {
        store(x, load::<f32, N>(x).map(rectified));
    }
}

/// See [`floats::gelu`].
pub fn gelu(x: &mut [Lanes<f32>], tokens: usize) {
    for_grains!(tokens, gelu_grains(x));
}

fn gelu_grains<const N: usize>(x: &mut [Lanes<f32>]) {
    for x in x {
        store(x, load::<f32, N>(x).map(gelu_of));
    }
}

/// [`math::gelu`] of four lanes.
#[inline]
fn gelu_of(x: v128) -> v128 {
    let [end, a, b, c, d] = math::GELU.map(|number| f32x4_splat(number));
    // The first if the second is not below it, as when |x| is NaN.
    let t = f32x4_pmin(end, magnitude(x));
    let left = f32x4_sub(end, t);
    let bump = f32x4_add(c, f32x4_mul(t, d));
    let bump = f32x4_add(b, f32x4_mul(t, bump));
    let bump = f32x4_add(a, f32x4_mul(t, bump));
    let bump = f32x4_mul(f32x4_mul(bump, t), f32x4_mul(left, left));
    f32x4_sub(rectified(x), bump)
}

/// [`math::magnitude`] of four lanes.
#[inline]
fn magnitude(x: v128) -> v128 {
    v128_and(x, u32x4_splat(u32::MAX >> 1))
}

/// [`math::rectify`] of four lanes: as integers, negative floats are negative.
#[inline]
fn rectified(x: v128) -> v128 {
    i32x4_max(x, i32x4_splat(0))
}

/// x · inverse with the nearest integer in the low bits of the mantissa, see
/// [`math::nearest`].
#[inline]
fn nearest(x: v128, inverse: v128) -> v128 {
    f32x4_add(f32x4_mul(x, inverse), f32x4_splat(math::SHIFT))
}

#[inline]
fn zip<const N: usize>(a: [v128; N], b: [v128; N], f: impl Fn(v128, v128) -> v128) -> [v128; N] {
    let mut pairs = a.into_iter().zip(b);
    a.map(|a| pairs.next().map_or(a, |(a, b)| f(a, b)))
}

/// The first and the last vector.
#[inline]
fn ends<const N: usize>(vectors: [v128; N]) -> (v128, v128) {
    let zero = i32x4_splat(0);
    let first = vectors.first().copied().unwrap_or(zero);
    (first, vectors.last().copied().unwrap_or(zero))
}
