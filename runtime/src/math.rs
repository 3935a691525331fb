//! The float functions of the network, with the same bits on every target.
//!
//! Only additions, multiplications and divisions of `f32` in a fixed order, on top
//! of `micromath`'s approximations, which are integer arithmetic on the bits. The errors and costs
//! are in `docs/arithmetic.md`; the tests below check the errors.

use micromath::F32Ext as _;

/// Below this, e^x is less than 2⁻¹²⁶ and counts as zero.
pub(crate) const EXPONENT_FLOOR: f32 = -87.0;
/// Adding it leaves the nearest integer in the low bits of the mantissa.
pub(crate) const SHIFT: f32 = 12_582_912.0;
/// Bits of the mantissa of an `f32`.
const MANTISSA: u32 = 23;

/// 2^f on [−½, ½], coefficients by ascending power.
pub(crate) const EXPONENTIAL: [f32; 5] = [1.0, 0.693_124_2, 0.240_241, 0.055_906_415, 0.009_582_82];

/// e^x for x ≤ 0. Relative error below 10⁻⁵. 0 for NaN, as of ∞ − ∞.
///
/// 2^(n + f) with n the integer nearest to x·log₂e: a polynomial for 2^f on [−½, ½], and
/// n added to its exponent.
#[inline]
#[must_use]
pub fn exponential(x: f32) -> f32 {
    let scaled = x * core::f32::consts::LOG2_E;
    let shifted = scaled + SHIFT;
    let f = scaled - (shifted - SHIFT);
    let [a, b, c, d, e] = EXPONENTIAL;
    let power = a + f * (b + f * (c + f * (d + f * e)));
    // n is in −126…0 and the polynomial in 0.7…1.5, so the exponent is in range.
    let n = shifted.to_bits().wrapping_sub(SHIFT.to_bits());
    let power = f32::from_bits(power.to_bits().wrapping_add(n << MANTISSA));
    // Not so for NaN.
    if x >= EXPONENT_FLOOR { power } else { 0.0 }
}

/// 1/√x for x > 0. Relative error below 10⁻⁵: `micromath`'s estimate (3.4 %) and two
/// Newton steps. 0 for values that are not finite: a file may hold scales whose products overflow,
/// and its answers must be the same everywhere, unlike NaNs.
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

/// Where the bump of [`gelu`] ends, and the coefficients of its cubic by ascending power.
/// `docs/format.md` states them: they are part of what a file means.
pub const GELU: [f32; 5] = [3.5, 0.041_913_9, -0.013_530_1, -0.004_824_7, 0.001_801_8];

/// x·Φ(x) (Hendrycks and Gimpel 2016), off by less than 0.001:
/// max(0, x) − (p(t)·t)·(l·l) with t = min(|x|, 3.5), l = 3.5 − t and p a cubic.
///
/// The subtracted term approximates t·(1 − Φ(t)), an even bump that is negligible beyond 3.5; p is
/// fitted to minimise the largest error.
#[inline]
#[must_use]
pub fn gelu(x: f32) -> f32 {
    let [end, a, b, c, d] = GELU;
    let t = f32::from_bits(magnitude(x));
    let t = if t < end { t } else { end };
    let left = end - t;
    let bump = a + t * (b + t * (c + t * d));
    rectify(x) - (bump * t) * (left * left)
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

/// [`nearest`] for |x| ≤ 32,767.5 as 16 bits.
#[inline]
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low bits are what is wanted"
)]
pub fn nearest_half(x: f32) -> i16 {
    (x + SHIFT).to_bits() as i16
}

/// The bits of |x|, which are in the order of the numbers. An integer comparison is cheaper than a
/// float comparison, and far cheaper without a float unit.
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

/// Forget gate of a recurrence: y/4 + 1/2, within 0…1.
#[inline]
#[must_use]
pub fn forget_gate(y: f32) -> f32 {
    clamp(y * 0.25 + 0.5, 0.0)
}

/// Candidate of a recurrence: y, within −1…1.
#[inline]
#[must_use]
pub fn candidate(y: f32) -> f32 {
    clamp(y, -1.0)
}

/// x, within `low` and 1. Comparisons, since `f32::min` is a library call on some targets.
#[inline]
fn clamp(x: f32, low: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > 1.0 { 1.0 } else { x }
}

/// A count as a float; exact below 2²⁴.
#[inline]
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts here are below 2¹⁶")]
pub fn count(count: usize) -> f32 {
    count as f32
}

/// `numerator / x`, or zero if that is not finite.
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

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;

    /// Every value of a range of steps; under Miri far fewer, spread evenly.
    fn steps(all: core::ops::Range<i32>) -> impl Iterator<Item = i32> {
        let stride = if cfg!(miri) { all.len() / 100 } else { 1 };
        all.step_by(stride.max(1))
    }

    #[test]
    fn exponential_stays_within_its_stated_error() {
        let mut worst: f64 = 0.0;
        for step in steps(0..870_000) {
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
        for exponent in steps(-60..60) {
            for step in steps(0..1000) {
                let x = 2_f32.powi(exponent) * (1.0 + step as f32 / 1000.0);
                let exact = 1.0 / f64::from(x).sqrt();
                worst = worst.max((f64::from(inverse_square_root(x)) - exact).abs() / exact);
            }
        }
        assert!(worst < 1e-5, "relative error {worst}");
    }

    /// x·Φ(x), Φ by its Taylor series around 0.
    fn exact_gelu(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200_u32 {
            term *= -x * x / (2.0 * f64::from(n));
            sum += term / f64::from(2 * n + 1);
        }
        x * (0.5 + sum / core::f64::consts::TAU.sqrt())
    }

    #[test]
    fn gelu_stays_within_a_thousandth() {
        for step in steps(-6_000..6_001) {
            let x = step as f32 * 1e-3;
            let error = f64::from(gelu(x)) - exact_gelu(f64::from(x));
            assert!(error.abs() < 1e-3, "{x}: {error}");
        }
        assert_eq!(gelu(1e30), 1e30);
        assert_eq!(gelu(-1e30), 0.0);
    }

    /// The formula in the specification gives the same bits.
    #[test]
    fn the_specification_states_gelus_numbers() {
        let text = include_str!("../../docs/format.md");
        let block = text.split("```gelu").nth(1).unwrap();
        let block = block.split("```").next().unwrap();
        let is_part = |c: char| c.is_ascii_digit() || "-.".contains(c);
        let words = block.split(|c: char| !is_part(c));
        let numbers = words.filter(|word| word.contains('.'));
        let numbers: std::vec::Vec<f32> = numbers.map(|word| word.parse().unwrap()).collect();
        let [end, cubic @ ..] = GELU;
        let [first, second, stated @ ..] = numbers.as_slice() else {
            panic!("{numbers:?}");
        };
        assert_eq!([*first, *second], [end, end]);
        assert_eq!(stated, cubic);
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
        for step in steps(-40_000..40_000) {
            let x = step as f32 / 250.0;
            assert_eq!(count_of(nearest(x)), x.round_ties_even());
        }
    }
}
