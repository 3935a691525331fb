//! e^x without a call, so that a loop over it fills vector registers.

/// Added and taken off again, it rounds to an integer, which is then in its low bits.
const SHIFT: f32 = 12_582_912.0; // 1.5·2²³
/// ln 2 in two parts: products of the first, nine bits long, with such integers are exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
/// Bits of the mantissa of an `f32`.
const MANTISSA: u32 = 23;
/// Below is 0: no normal number is left.
const FLOOR: f32 = -87.0;
/// Above it is as here, before the exponent overflows.
const CEILING: f32 = 88.0;

/// e^x. Relative error below 3·10⁻⁷ from −87 to 88; 0 below, e⁸⁸ above.
///
/// 2^n·e^r with n the integer nearest to x·log₂e and r what is left, in two steps so that it
/// keeps its bits (Cody & Waite 1980, "Software Manual for the Elementary Functions"); Taylor's
/// series for e^r.
#[inline]
pub(super) fn exponential(x: f32) -> f32 {
    // Not `min`, which would hide a NaN.
    let bounded = if x > CEILING { CEILING } else { x };
    let shifted = bounded * core::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let [high, low] = LN_2;
    let r = (bounded - n * high) - n * low;
    let series = 1.0 / 120.0 + r * (1.0 / 720.0);
    let series = 1.0 / 6.0 + r * (1.0 / 24.0 + r * series);
    let series = 1.0 + r * (1.0 + r * (0.5 + r * series));
    // n is in −126…127, and the bits above it are shifted out.
    let power = f32::from_bits((shifted.to_bits() << MANTISSA).wrapping_add(1_f32.to_bits()));
    if x < FLOOR { 0.0 } else { series * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_stated_error() {
        let mut worst: f64 = 0.0;
        for step in -870_000..=880_000_i32 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "any number near is as good"
            )]
            let x = (f64::from(step) * 1e-4) as f32;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exponential(x)) - exact).abs() / exact);
        }
        assert!(worst < 3e-7, "relative error {worst}");
        assert_eq!(exponential(0.0), 1.0);
    }

    #[test]
    fn ends_are_finite_and_no_number_stays_none() {
        assert_eq!(exponential(f32::NEG_INFINITY), 0.0);
        assert_eq!(exponential(f32::INFINITY), exponential(88.0));
        assert!(exponential(f32::NAN).is_nan());
    }
}
