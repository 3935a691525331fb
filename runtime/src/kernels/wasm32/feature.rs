//! A feature is one vector of eight tokens in 16 bits, so that nothing has to be widened for a
//! product.
#![allow(unsafe_code, reason = "vectors from and to arrays of their size")]

use core::arch::wasm32::{v128, v128_load, v128_store};

use crate::kernels::tile::{GRAIN, LANES, Lanes};

/// One feature of eight tokens.
pub type Feature = [i16; LANES];

/// Sets the lanes of one grain of a feature.
#[inline]
pub fn set_grain(feature: &mut Feature, grain: usize, lanes: [i8; GRAIN]) {
    if let Some(part) = feature.as_chunks_mut().0.get_mut(grain) {
        *part = lanes.map(i16::from);
    }
}

/// The upper byte of each step of 16 bits, rounded to nearest, ties up.
///
/// Steps of lanes without a token may have any value: there the sum may wrap.
pub fn pack(steps: &[Lanes<i16>], features: &mut [Feature]) {
    for (feature, steps) in features.iter_mut().zip(steps) {
        *feature = steps.map(|step| step.wrapping_add(128) >> 8);
    }
}

/// The eight lanes of a feature.
#[inline]
pub(super) fn vector(lanes: &[i16; LANES]) -> v128 {
    let [vector] = load(lanes);
    vector
}

/// The first `N` vectors of eight lanes.
#[inline]
pub(super) fn load<T: Copy, const N: usize>(lanes: &Lanes<T>) -> [v128; N] {
    const { assert!(N * size_of::<v128>() <= size_of::<Lanes<T>>()) };
    let first = core::ptr::from_ref(lanes).cast::<v128>();
    // SAFETY: checked above; a vector need not be aligned.
    core::array::from_fn(|index| unsafe { v128_load(first.add(index)) })
}

/// Sets the first `N` vectors of eight lanes.
#[inline]
pub(super) fn store<T: Copy, const N: usize>(lanes: &mut Lanes<T>, vectors: [v128; N]) {
    const { assert!(N * size_of::<v128>() <= size_of::<Lanes<T>>()) };
    let first = core::ptr::from_mut(lanes).cast::<v128>();
    for (index, vector) in vectors.into_iter().enumerate() {
        // SAFETY: checked above; a vector need not be aligned.
        unsafe { v128_store(first.add(index), vector) };
    }
}
