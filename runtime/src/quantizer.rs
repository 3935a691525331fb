//! Floats of eight tokens as integers with one scale per token.

use crate::kernels::{self, Feature, Lanes, Tile};
use crate::math::quotient_or_zero;

/// Steps of the largest magnitude in 8 bits.
pub(crate) const LARGEST: f32 = 127.0;

/// Symmetric integers of each token: x ≈ scale · q. In 8 bits |q| ≤ 127, never −128.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quantizer {
    /// Value of one step; zero for a lane without a token.
    pub(crate) scales: Lanes<f32>,
    /// Steps per unit.
    pub(crate) inverses: Lanes<f32>,
}

impl Quantizer {
    /// Maps the largest magnitude of each of `tokens` tokens to `steps` steps.
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
    ) -> Tile<'f, Feature> {
        kernels::quantize(x, &self.inverses, tokens, features);
        Tile {
            features,
            scales: self.scales,
            tokens,
        }
    }
}
