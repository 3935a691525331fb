//! The float functions of the network, the same bits on every target.
//!
//! Only additions, multiplications and divisions of `f32` in a fixed order, on top
//! of `micromath`'s approximations, which are integer arithmetic on the bits. The
//! errors and costs are in `docs/arithmetic.md`; the tests below hold the errors.

use micromath::F32Ext as _;

/// Below this, e^x is less than 2⁻¹²⁶ and counts as zero.
const EXPONENT_FLOOR: f32 = -87.0;
/// Adding it leaves the nearest integer in the low bits of the mantissa.
const SHIFT: f32 = 12_582_912.0;
/// Bits of the mantissa of an `f32`.
const MANTISSA: u32 = 23;

/// e^x for x ≤ 0. Relative error below 10⁻⁵. 0 for NaN, as of ∞ − ∞.
///
/// 2^(n + f) with n the integer nearest to x·log₂e: a polynomial for 2^f on [−½, ½], and
/// n added to its exponent.
#[inline]
#[must_use]
pub fn exponential(x: f32) -> f32 {
    if x.is_nan() || x < EXPONENT_FLOOR {
        return 0.0;
    }
    let scaled = x * core::f32::consts::LOG2_E;
    let shifted = scaled + SHIFT;
    let f = scaled - (shifted - SHIFT);
    let power = 1.0 + f * (0.693_124_2 + f * (0.240_241 + f * (0.055_906_415 + f * 0.009_582_82)));
    // n is in −126…0 and the polynomial in 0.7…1.5, so the exponent stays in range.
    let n = shifted.to_bits().wrapping_sub(SHIFT.to_bits());
    f32::from_bits(power.to_bits().wrapping_add(n << MANTISSA))
}

/// 1/√x for x > 0. Relative error below 10⁻⁵: `micromath`'s estimate (3.4 %) and two
/// Newton steps. 0 for what is not finite: a file may hold scales whose products
/// overflow, and its answers must be the same everywhere, as NaNs are not.
#[inline]
#[must_use]
pub fn inverse_square_root(x: f32) -> f32 {
    if !x.is_finite() {
        return 0.0;
    }
    let mut y = x.invsqrt();
    y *= 1.5 - 0.5 * x * y * y;
    y *= 1.5 - 0.5 * x * y * y;
    y
}

/// x·σ(√(8/π)·(x + 0.044715·x³)), the logistic form of GELU's tanh approximation.
#[inline]
#[must_use]
pub fn gelu(x: f32) -> f32 {
    let z = 1.595_769 * (x + 0.044_715 * x * x * x);
    // σ from e^−|z|, so that the exponential never overflows.
    let e = exponential(if z < 0.0 { z } else { -z });
    if z < 0.0 {
        x * e / (1.0 + e)
    } else {
        x / (1.0 + e)
    }
}

/// The integer nearest to x, ties to even, for |x| < 2²².
///
/// Adding 1.5·2²³ leaves the integer in the low mantissa bits; one addition on
/// every target, where `round` is a library call on most.
#[inline]
#[must_use]
pub fn nearest(x: f32) -> i32 {
    let bits = (x + SHIFT).to_bits().cast_signed();
    // Wraps only for values out of range, NaN among them; callers clamp.
    bits.wrapping_sub(SHIFT.to_bits().cast_signed())
}

/// [`nearest`] for |x| ≤ 127.5 as a byte: the low eight bits of the same sum.
#[inline]
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low bits are what is wanted"
)]
pub fn nearest_byte(x: f32) -> i8 {
    (x + SHIFT).to_bits() as i8
}

/// The bits of |x|, which are in the order of the numbers. An integer comparison is
/// cheaper than one of floats where there is a float unit, and far cheaper elsewhere.
#[inline]
#[must_use]
pub fn magnitude(x: f32) -> u32 {
    x.to_bits() & (u32::MAX >> 1)
}

/// max(0, x), never −0.
#[inline]
#[must_use]
pub fn rectify(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits.cast_signed() < 0 { 0 } else { bits })
}

/// LayerNorm of one vector, in place: (x − mean)/√(variance + ε)·gain + shift.
///
/// Ba et al. 2016. `weights` gives (gain, shift) of each feature.
pub fn layer_norm(x: &mut [f32], epsilon: f32, weights: impl Iterator<Item = (f32, f32)>) {
    let count = count(x.len());
    let mean = x.iter().fold(0.0, |sum, &x| sum + x) / count;
    let variance = x.iter().fold(0.0, |sum, &x| sum + (x - mean) * (x - mean)) / count;
    let inverse = inverse_square_root(variance + epsilon);
    for (x, (gain, shift)) in x.iter_mut().zip(weights) {
        *x = (*x - mean) * inverse * gain + shift;
    }
}

/// A count as a float; exact below 2²⁴.
#[inline]
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts here are below 2¹⁶")]
pub fn count(count: usize) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    #[test]
    fn exponential_stays_within_its_stated_error() {
        let mut worst: f64 = 0.0;
        for step in 0..870_000 {
            let x = -1e-4 * step as f32;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exponential(x)) - exact).abs() / exact);
        }
        assert!(worst < 1e-5, "relative error {worst}");
        assert_eq!(exponential(0.0), 1.0);
        assert_eq!(exponential(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn inverse_square_root_stays_within_its_stated_error() {
        let mut worst: f64 = 0.0;
        for exponent in -60..60 {
            for step in 0..1000 {
                let x = 2_f32.powi(exponent) * (1.0 + step as f32 / 1000.0);
                let exact = 1.0 / f64::from(x).sqrt();
                worst = worst.max((f64::from(inverse_square_root(x)) - exact).abs() / exact);
            }
        }
        assert!(worst < 1e-5, "relative error {worst}");
    }

    #[test]
    fn gelu_stays_within_three_parts_in_a_thousand() {
        for step in -10_000..10_000 {
            let x = step as f32 * 1e-3;
            let wide = f64::from(x);
            let exact = 0.5
                * wide
                * (1.0 + (0.797_884_560_8 * (wide + 0.044_715 * wide * wide * wide)).tanh());
            assert!((f64::from(gelu(x)) - exact).abs() <= 0.003 * wide.abs());
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    fn count_of(integer: i32) -> f32 {
        integer as f32
    }

    #[test]
    fn nearest_rounds_ties_to_even() {
        for (x, expected) in [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (-0.5, 0),
            (-1.5, -2),
            (126.6, 127),
        ] {
            assert_eq!(nearest(x), expected);
        }
        for step in -40_000..40_000 {
            let x = step as f32 / 250.0;
            assert_eq!(count_of(nearest(x)), x.round_ties_even());
        }
    }

    #[test]
    fn layer_norm_has_zero_mean_and_unit_variance() {
        let mut x = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0];
        layer_norm(&mut x, 1e-5, core::iter::repeat((1.0, 0.0)));
        let mean: f32 = x.iter().sum::<f32>() / 6.0;
        let variance: f32 = x.iter().map(|x| x * x).sum::<f32>() / 6.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-4);
    }
}
