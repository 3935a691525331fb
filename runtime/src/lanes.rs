//! Values of eight tokens side by side.
//!
//! A vector of eight tokens is `[features]` of [`Lanes`]. Passes take [`GRAIN`] lanes at
//! once, so that a tile with few tokens costs little; lanes behind the last grain hold
//! anything.

use crate::kernels::{self, Feature, GRAIN, Lanes, Tile};

/// Steps of the largest magnitude in 8 bits.
pub(crate) const LARGEST: f32 = 127.0;

/// Grains that hold `tokens` tokens.
#[inline]
pub(crate) const fn grains(tokens: usize) -> core::ops::Range<usize> {
    0..tokens.div_ceil(GRAIN)
}

/// One grain of each row.
#[inline]
pub(crate) fn grain<T>(rows: &[Lanes<T>], grain: usize) -> impl Iterator<Item = &[T; GRAIN]> {
    rows.iter()
        .filter_map(move |row| row.as_chunks().0.get(grain))
}

/// [`grain`], to be changed.
#[inline]
pub(crate) fn grain_mut<T>(
    rows: &mut [Lanes<T>],
    grain: usize,
) -> impl Iterator<Item = &mut [T; GRAIN]> {
    rows.iter_mut()
        .filter_map(move |row| row.as_chunks_mut().0.get_mut(grain))
}

/// One grain of one row.
#[inline]
pub(crate) fn grain_of<T: Copy + Default>(row: &Lanes<T>, grain: usize) -> [T; GRAIN] {
    row.as_chunks().0.get(grain).copied().unwrap_or_default()
}

/// Sets one grain of one row.
#[inline]
pub(crate) fn set_grain<T>(row: &mut Lanes<T>, grain: usize, values: [T; GRAIN]) {
    if let Some(part) = row.as_chunks_mut().0.get_mut(grain) {
        *part = values;
    }
}

/// One lane of each row.
#[inline]
pub(crate) fn lane<T>(rows: &[Lanes<T>], lane: usize) -> impl Iterator<Item = &T> {
    rows.iter().filter_map(move |row| row.get(lane))
}

/// `length` values from `start` on; none where there are fewer.
#[inline]
pub(crate) fn part<T>(values: &[T], start: usize, length: usize) -> &[T] {
    let behind = values.get(start..).unwrap_or(&[]);
    behind.get(..length).unwrap_or(&[])
}

/// [`part`], to be changed.
#[inline]
pub(crate) fn part_mut<T>(values: &mut [T], start: usize, length: usize) -> &mut [T] {
    let behind = values.get_mut(start..).unwrap_or(&mut []);
    behind.get_mut(..length).unwrap_or(&mut [])
}

/// Symmetric integers of each token: x ≈ scale · q. In 8 bits |q| ≤ 127, never −128.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quantizer {
    /// Value of one step; zero for a lane without a token.
    pub(crate) scales: Lanes<f32>,
    /// Steps of one unit.
    inverses: Lanes<f32>,
}

impl Quantizer {
    /// Gives the largest magnitude of each of `tokens` tokens `steps` steps.
    #[inline(never)]
    pub(crate) fn new(largest: &Lanes<u32>, steps: f32, tokens: usize) -> Self {
        let mut quantizer = Self::default();
        let lanes = quantizer.scales.iter_mut().zip(&mut quantizer.inverses);
        for ((scale, inverse), &largest) in lanes.zip(largest).take(tokens) {
            let largest = f32::from_bits(largest);
            *scale = largest / steps;
            *inverse = quotient_or_zero(steps, largest);
        }
        quantizer
    }

    /// Fits `[features]` of `tokens` tokens.
    #[inline(never)]
    pub(crate) fn of(x: &[Lanes<f32>], steps: f32, tokens: usize) -> Self {
        Self::new(&kernels::largest(x, tokens), steps, tokens)
    }

    /// In 16 bits.
    pub(crate) fn round(&self, x: &[Lanes<f32>], tokens: usize, steps: &mut [Lanes<i16>]) {
        kernels::round(x, &self.inverses, tokens, steps);
    }

    /// As bytes, `[features]` of eight tokens.
    pub(crate) fn bytes(&self, x: &[Lanes<f32>], tokens: usize, bytes: &mut [Lanes<i8>]) {
        kernels::quantize_bytes(x, &self.inverses, tokens, bytes);
    }

    /// As the features of a tile. A lane without a token is zero, or in a grain without one.
    pub(crate) fn tile<'f>(
        &self,
        x: &[Lanes<f32>],
        tokens: usize,
        features: &'f mut [Feature],
    ) -> Tile<'f> {
        kernels::quantize(x, &self.inverses, tokens, features);
        Tile {
            features,
            scales: self.scales,
            tokens,
        }
    }
}

/// `numerator / x`, or zero where that is not a finite number.
#[inline]
pub(crate) fn quotient_or_zero(numerator: f32, x: f32) -> f32 {
    let quotient = numerator / x;
    if quotient.is_finite() { quotient } else { 0.0 }
}

/// An integer sum as a float (rounded to 24 bits, to nearest, everywhere).
#[inline]
#[allow(
    clippy::cast_precision_loss,
    reason = "rounding here is the definition"
)]
pub(crate) fn float(sum: i32) -> f32 {
    sum as f32
}
