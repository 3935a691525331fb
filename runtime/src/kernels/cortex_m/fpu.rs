//! What a float unit adds (Cortex-M4F, M7, M33, M55): the passes of [`floats`] with
//! whole registers of lanes.
//!
//! The same operations on the same numbers in the same order, so the same bits: `VMLA`
//! rounds after its multiplication and after its addition, as two instructions do.
#![allow(unsafe_code, reason = "assembly; each call says what it stands on")]

mod assembly;
mod recurrence;

use neuroprune_format::tensor::Norm;
#[cfg(not(helium))]
pub(in crate::kernels) use recurrence::quantize_pairs;
pub use recurrence::{dequantize_bytes, recur};

use crate::kernels::portable::floats::{LARGEST_MIXTURE, MixtureScales};
#[cfg(not(helium))]
use crate::kernels::portable::pairs::Feature;
use crate::kernels::tile::{GRAIN, LANES, Lanes, Mixture, QUAD};
use crate::math;

/// See [`floats::rescale`].
pub fn rescale(x: &mut [Lanes<f32>], scales: &Lanes<f32>, _tokens: usize) {
    if !x.is_empty() {
        // SAFETY: reads and writes the rows of `x`, at least one; eight scales.
        unsafe { neuroprune_rescale(x.as_mut_ptr(), x.len(), scales) };
    }
}

/// See [`floats::largest`].
#[cfg(not(helium))]
pub fn largest(x: &[Lanes<f32>], _tokens: usize) -> Lanes<u32> {
    let mut largest = [0; LANES];
    if !x.is_empty() {
        // SAFETY: reads the rows of `x`, at least one; writes eight words.
        unsafe { neuroprune_largest(x.as_ptr(), x.len(), &raw mut largest) };
    }
    largest
}

/// See [`floats::quantize`].
#[cfg(not(helium))]
pub fn quantize(x: &[Lanes<f32>], inverses: &Lanes<f32>, _tokens: usize, features: &mut [Feature]) {
    let count = x.len().min(features.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight inverses.
        unsafe { neuroprune_quantize(x.as_ptr(), count, inverses, features.as_mut_ptr()) };
    }
}

/// See [`floats::quantize_bytes`].
pub fn quantize_bytes(
    x: &[Lanes<f32>],
    inverses: &Lanes<f32>,
    _tokens: usize,
    bytes: &mut [Lanes<i8>],
) {
    let count = x.len().min(bytes.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight inverses.
        unsafe { neuroprune_quantize_bytes(x.as_ptr(), count, inverses, bytes.as_mut_ptr()) };
    }
}

/// See [`floats::round`].
pub fn round(x: &[Lanes<f32>], inverses: &Lanes<f32>, _tokens: usize, steps: &mut [Lanes<i16>]) {
    let count = x.len().min(steps.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight inverses.
        unsafe { neuroprune_round(x.as_ptr(), count, inverses, steps.as_mut_ptr()) };
    }
}

/// See [`floats::add`].
pub fn add(x: &mut [Lanes<f32>], steps: &[Lanes<i16>], scales: &Lanes<f32>, _tokens: usize) {
    let count = x.len().min(steps.len());
    if count > 0 {
        // SAFETY: both have `count` rows, at least one; eight scales.
        unsafe { neuroprune_add(x.as_mut_ptr(), count, scales, steps.as_ptr()) };
    }
}

/// See [`floats::sum`].
pub fn sum(x: &[Lanes<f32>], _tokens: usize) -> Lanes<f32> {
    let mut sums = [0.0; LANES];
    if !x.is_empty() {
        // SAFETY: reads the rows of `x`, at least one; writes eight words.
        unsafe { neuroprune_sum(x.as_ptr(), x.len(), &raw mut sums) };
    }
    sums
}

/// See [`floats::sum_of_squares`].
pub fn sum_of_squares(x: &[Lanes<f32>], mean: &Lanes<f32>, _tokens: usize) -> Lanes<f32> {
    let mut sums = *mean;
    if !x.is_empty() {
        // SAFETY: reads the rows of `x`, at least one; reads and writes eight words.
        unsafe { neuroprune_sum_of_squares(x.as_ptr(), x.len(), &raw mut sums) };
    }
    sums
}

/// See [`floats::normalize`].
pub fn normalize(
    x: &mut [Lanes<f32>],
    mean: &Lanes<f32>,
    inverse: &Lanes<f32>,
    norm: Norm<'_>,
    _tokens: usize,
) {
    let (gain, shift) = (norm.gain(), norm.shift());
    let count = x.len().min(gain.len() / 2).min(shift.len() / 2);
    if count > 0 {
        let (gain, shift) = (gain.as_ptr(), shift.as_ptr());
        // SAFETY: all have `count` items, at least one; eight means and inverses.
        unsafe { neuroprune_normalize(x.as_mut_ptr(), gain, shift, count, mean, inverse) };
    }
}

/// See [`floats::gelu`]. One grain at a time: half the code of whole rows.
pub fn gelu(x: &mut [Lanes<f32>], tokens: usize) {
    let row = size_of::<Lanes<f32>>();
    let (count, stride) = if tokens <= GRAIN {
        (x.len(), row)
    } else {
        (2 * x.len(), row / 2)
    };
    if count > 0 {
        let constants = math::GELU.as_ptr();
        // SAFETY: reads and writes the first grains of the rows of `x`, at least one, or all.
        unsafe { neuroprune_gelu(x.as_mut_ptr(), count, constants, stride) };
    }
}

/// The factors and addends of [`softmax`], in the order of its registers.
const SOFTMAX: [f32; 9] = {
    let [a, b, c, d, e] = math::EXPONENTIAL;
    let log = core::f32::consts::LOG2_E;
    let (shift, floor) = (math::SHIFT, math::EXPONENT_FLOOR);
    [LARGEST_MIXTURE, log, shift, e, d, c, b, a, floor]
};

/// See [`floats::softmax`]. One query at a time, so that everything is kept in registers.
pub fn softmax(
    scores: &mut [Lanes<f32>],
    query_scales: &Lanes<f32>,
    queries: usize,
    key_scales: &[f32],
    value_scales: &[f32],
) -> MixtureScales {
    let mut scales = MixtureScales::default();
    let (key, value) = (key_scales.as_ptr(), value_scales.as_ptr());
    let count = scores.len().min(key_scales.len()).min(value_scales.len());
    let queries = queries.min(LANES);
    if count > 0 && queries > 0 {
        let scores = scores.as_mut_ptr();
        let (scales, constants) = (&raw mut scales, SOFTMAX.as_ptr());
        // SAFETY: scores and scales have `count` rows, at least one; of eight lanes at least
        // one is a query. Writes up to eight words of both parts of the scales.
        unsafe {
            neuroprune_softmax(
                scores,
                count,
                query_scales,
                queries,
                key,
                value,
                scales,
                constants,
            );
        }
    }
    scales
}

/// See [`floats::mixture`].
pub fn mixture(weights: &[Lanes<f32>; QUAD], inverses: &Lanes<f32>) -> Mixture {
    let mut mixture = Mixture::default();
    // SAFETY: four rows of eight floats and eight inverses; writes eight times four halves.
    unsafe { neuroprune_mixture(weights, inverses, &raw mut mixture) };
    mixture
}

unsafe extern "C" {
    // `count` is not zero, nor is `queries`.

    fn neuroprune_rescale(x: *mut Lanes<f32>, count: usize, scales: *const Lanes<f32>);
    #[cfg(not(helium))]
    fn neuroprune_largest(x: *const Lanes<f32>, count: usize, largest: *mut Lanes<u32>);
    #[cfg(not(helium))]
    fn neuroprune_quantize(
        x: *const Lanes<f32>,
        count: usize,
        inverses: *const Lanes<f32>,
        features: *mut Feature,
    );
    fn neuroprune_quantize_bytes(
        x: *const Lanes<f32>,
        count: usize,
        inverses: *const Lanes<f32>,
        bytes: *mut Lanes<i8>,
    );
    fn neuroprune_round(
        x: *const Lanes<f32>,
        count: usize,
        inverses: *const Lanes<f32>,
        steps: *mut Lanes<i16>,
    );
    fn neuroprune_add(
        x: *mut Lanes<f32>,
        count: usize,
        scales: *const Lanes<f32>,
        steps: *const Lanes<i16>,
    );
    fn neuroprune_sum(x: *const Lanes<f32>, count: usize, sums: *mut Lanes<f32>);
    /// On entry `sums` holds the means.
    fn neuroprune_sum_of_squares(x: *const Lanes<f32>, count: usize, sums: *mut Lanes<f32>);
    fn neuroprune_normalize(
        x: *mut Lanes<f32>,
        gain: *const u8,
        shift: *const u8,
        count: usize,
        mean: *const Lanes<f32>,
        inverse: *const Lanes<f32>,
    );
    fn neuroprune_softmax(
        scores: *mut Lanes<f32>,
        count: usize,
        query_scales: *const Lanes<f32>,
        queries: usize,
        key_scales: *const f32,
        value_scales: *const f32,
        scales: *mut MixtureScales,
        constants: *const f32,
    );
    fn neuroprune_mixture(
        weights: *const [Lanes<f32>; QUAD],
        inverses: *const Lanes<f32>,
        mixture: *mut Mixture,
    );
    /// `stride` bytes from one grain to the next.
    fn neuroprune_gelu(x: *mut Lanes<f32>, count: usize, constants: *const f32, stride: usize);
}
