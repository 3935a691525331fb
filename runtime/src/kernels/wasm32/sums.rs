//! Sums of products of four tokens per vector, and the features as one instruction reads them.
//!
//! Two features are interleaved, token by token; then `i32x4.dot_i16x8_s` is
//! w₀·x₀ + w₁·x₁ of four tokens, exactly.
#![allow(unsafe_code, reason = "features at a pointer, in the inner loops")]

use core::arch::wasm32::{
    i16x8_extend_low_i8x16, i16x8_shuffle, i16x8_splat, i32x4_add, i32x4_dot_i16x8, i32x4_shuffle,
    i32x4_splat, v128,
};

use super::feature::{Feature, store, vector};
use crate::kernels::tile::{Lanes, Mixture};

/// Σ w·x of eight tokens, or of the first four.
#[derive(Clone, Copy)]
pub(super) struct Sums<const FULL: bool> {
    low: v128,
    high: v128,
}

impl<const FULL: bool> Sums<FULL> {
    #[inline]
    pub(super) fn zero() -> Self {
        let zero = i32x4_splat(0);
        Self {
            low: zero,
            high: zero,
        }
    }

    /// Adds w₀·x₀ + w₁·x₁, `weights` being (w₀, w₁) four times.
    #[inline]
    pub(super) fn accumulate(&mut self, weights: v128, features: &Interleaved) {
        self.low = i32x4_add(self.low, i32x4_dot_i16x8(features.low, weights));
        if FULL {
            self.high = i32x4_add(self.high, i32x4_dot_i16x8(features.high, weights));
        }
    }

    /// [`Sums::accumulate`] of features at these pointers.
    ///
    /// # Safety
    /// The pointers are to features.
    #[inline]
    pub(super) unsafe fn accumulate_at(
        &mut self,
        weights: v128,
        even: *const Feature,
        odd: *const Feature,
    ) {
        // SAFETY: promised by the caller.
        let (even, odd) = unsafe { (&*even, &*odd) };
        self.accumulate(weights, &Interleaved::new(vector(even), vector(odd)));
    }

    #[inline]
    pub(super) fn store(self, sums: &mut Lanes<i32>) {
        if FULL {
            store(sums, [self.low, self.high]);
        } else {
            store(sums, [self.low]);
        }
    }
}

/// Two features, token by token.
pub(super) struct Interleaved {
    low: v128,
    high: v128,
}

impl Interleaved {
    #[inline]
    pub(super) fn new(even: v128, odd: v128) -> Self {
        Self {
            low: i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(even, odd),
            high: i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(even, odd),
        }
    }

    /// Attention weights of a quad of tokens: of its first two, and of its last two.
    #[inline]
    pub(super) fn of_tokens(mixture: &Mixture) -> (Self, Self) {
        let queries = mixture.as_flattened().as_chunks().0;
        let &[a, b, c, d] = queries else {
            let zero = i32x4_splat(0);
            return (Self::new(zero, zero), Self::new(zero, zero));
        };
        let [a, b, c, d] = [vector(&a), vector(&b), vector(&c), vector(&d)];
        let front = Self {
            low: i32x4_shuffle::<0, 2, 4, 6>(a, b),
            high: i32x4_shuffle::<0, 2, 4, 6>(c, d),
        };
        let back = Self {
            low: i32x4_shuffle::<1, 3, 5, 7>(a, b),
            high: i32x4_shuffle::<1, 3, 5, 7>(c, d),
        };
        (front, back)
    }
}

/// Two weights, four times.
#[inline]
pub(super) fn two(weights: [u8; 2]) -> v128 {
    i16x8_extend_low_i8x16(i16x8_splat(i16::from_le_bytes(weights)))
}

/// A weight and nothing, four times.
#[inline]
pub(super) fn one(weight: u8) -> v128 {
    i32x4_splat(i32::from(weight.cast_signed()) & 0xffff)
}
