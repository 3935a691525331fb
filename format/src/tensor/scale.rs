//! Scales of rows: floats of one byte, without sign, zero or subnormal numbers.

/// Value of one unit of a row's weights, named by its byte b:
///
/// ```text
/// (8 + b mod 8) · 2^(⌊b / 8⌋ − 27)
/// ```
///
/// from 2⁻²⁴ to 240, each at most an eighth above the one before. Every byte is a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scale(pub u8);

impl Scale {
    /// The scale 1.
    pub const ONE: Self = Self(24 * 8);
    /// Bits of the least scale as an f32. Those of every other are b·2²⁰ more.
    pub const LEAST_BITS: u32 = (127 - 24) << 23;

    /// The scale, widened (exact, the same on every target).
    #[inline]
    #[must_use]
    pub const fn to_f32(self) -> f32 {
        f32::from_bits(((self.0 as u32) << 20) + Self::LEAST_BITS)
    }

    /// The least scale that is not below `value`; the largest if there is none, the least if
    /// `value` is NaN.
    #[must_use]
    pub fn at_least(value: f32) -> Self {
        if value > Self(0).to_f32() {
            // The bits of positive floats are in the order of the numbers.
            let above = (value.to_bits() - Self::LEAST_BITS).div_ceil(1 << 20);
            Self(u8::try_from(above).unwrap_or(u8::MAX))
        } else {
            Self(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_what_the_formula_says() {
        for byte in 0..=u8::MAX {
            let scale = Scale(byte).to_f32();
            let mut expected = f64::from(8 + byte % 8);
            for _ in 0..27 {
                expected /= 2.0;
            }
            for _ in 0..byte / 8 {
                expected *= 2.0;
            }
            assert_eq!(f64::from(scale).to_bits(), expected.to_bits(), "{byte}");
        }
        assert_eq!(Scale::ONE.to_f32().to_bits(), 1.0_f32.to_bits());
    }

    #[test]
    fn the_least_scale_not_below_is_found() {
        for byte in 0..=u8::MAX {
            let scale = Scale(byte).to_f32();
            assert_eq!(Scale::at_least(scale), Scale(byte));
            assert_eq!(Scale::at_least(scale.next_down()), Scale(byte));
            let next = Scale(byte.saturating_add(1));
            assert_eq!(Scale::at_least(scale.next_up()), next);
        }
        for (value, byte) in [
            (f32::NAN, 0),
            (f32::NEG_INFINITY, 0),
            (0.0, 0),
            (f32::INFINITY, 255),
        ] {
            assert_eq!(Scale::at_least(value), Scale(byte));
        }
    }
}
