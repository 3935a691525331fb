//! Reads little-endian numbers, and records what is wrong with them.
//!
//! Opening a file makes hundreds of checks, and each could return an error of twenty bytes. Code
//! that passes such errors up would be most of the code, so the first one is recorded in a
//! [`Fault`], and functions return `None`.

use core::cell::Cell;

use crate::{ErrorKind, FormatError, Section};

/// What is wrong with a file, if anything.
pub(crate) struct Fault(Cell<FormatError>);

impl Fault {
    pub(crate) fn new() -> Self {
        Self(Cell::new(FormatError::new(
            ErrorKind::Truncated,
            Section::Header,
            0,
        )))
    }

    /// What `read` returns, or what it found wrong.
    pub(crate) fn catch<T>(read: impl FnOnce(&Self) -> Option<T>) -> Result<T, FormatError> {
        let fault = Self::new();
        read(&fault).ok_or_else(|| fault.0.get())
    }

    /// Records what is wrong; the caller returns the `None`.
    #[inline(always)]
    pub(crate) fn found<T>(&self, kind: ErrorKind, section: Section, offset: usize) -> Option<T> {
        self.write(kind, section, offset);
        None
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn write(&self, kind: ErrorKind, section: Section, offset: usize) {
        self.0.set(FormatError::new(kind, section, offset));
    }
}

/// Reads forward through one section.
#[derive(Clone)]
pub(crate) struct Reader<'a, 'f> {
    section: Section,
    bytes: &'a [u8],
    position: usize,
    pub(crate) fault: &'f Fault,
}

impl<'a, 'f> Reader<'a, 'f> {
    pub(crate) fn new(section: Section, bytes: &'a [u8], fault: &'f Fault) -> Self {
        Self {
            section,
            bytes,
            position: 0,
            fault,
        }
    }

    /// Reads the section from `position` onwards.
    pub(crate) fn starting_at(
        position: usize,
        section: Section,
        bytes: &'a [u8],
        fault: &'f Fault,
    ) -> Self {
        Self {
            section,
            bytes,
            position,
            fault,
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Records what is wrong at `offset` in the section.
    #[inline(always)]
    pub(crate) fn found<T>(&self, kind: ErrorKind, offset: usize) -> Option<T> {
        self.write(kind, offset);
        None
    }

    #[cold]
    #[inline(never)]
    fn write(&self, kind: ErrorKind, offset: usize) {
        self.fault.write(kind, self.section, offset);
    }

    /// The next `length` bytes.
    #[inline(never)]
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        match rest.get(..length) {
            Some(taken) => {
                self.position += length;
                Some(taken)
            }
            None => self.found(ErrorKind::Truncated, self.position),
        }
    }

    /// The next `count` items of `width` bytes each.
    pub(crate) fn take_items(&mut self, count: usize, width: usize) -> Option<&'a [u8]> {
        // A count that overflows is more than the section has.
        self.take(count.saturating_mul(width))
    }

    #[inline(never)]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16_at(self.take(2)?, 0))
    }

    #[inline(never)]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32_at(self.take(4)?, 0))
    }

    /// A 32-bit count or offset as an index.
    pub(crate) fn index(&mut self) -> Option<usize> {
        Some(self.u32()? as usize)
    }

    #[inline(never)]
    pub(crate) fn reserved(&mut self, length: usize) -> Option<()> {
        let at = self.position;
        if self.take(length)?.iter().any(|&byte| byte != 0) {
            return self.found(ErrorKind::Reserved, at);
        }
        Some(())
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        self.position = self.bytes.len();
        rest
    }

    #[inline(never)]
    pub(crate) fn finish(&self) -> Option<()> {
        if self.position == self.bytes.len() {
            Some(())
        } else {
            self.found(ErrorKind::Trailing, self.position)
        }
    }
}

/// The little-endian `u16` at byte `offset`, or 0 outside the checked range.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    match bytes.get(offset..) {
        Some([a, b, ..]) => u16::from_le_bytes([*a, *b]),
        _ => 0,
    }
}

/// The little-endian `u32` at byte `offset`, or 0 outside the checked range.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    match bytes.get(offset..) {
        Some([a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    }
}

/// The f16 at item `index`, widened (exact).
#[inline]
pub(crate) fn f16_at(bytes: &[u8], index: usize) -> f32 {
    f16_from_bits(u16_at(bytes, index * 2))
}

/// Widens a finite f16 (exact, the same on every target).
///
/// Sign, exponent and mantissa move to where an f32 has them, which makes the number 2¹¹² times too
/// small; one multiplication corrects that, subnormal numbers included. `half` distinguishes cases
/// instead, which is several times slower without hardware.
#[inline]
pub(crate) fn f16_from_bits(bits: u16) -> f32 {
    const SCALE: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(bits);
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * SCALE;
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// Whether an f16 is neither infinite nor NaN.
#[inline]
pub(crate) fn is_finite_f16(bits: u16) -> bool {
    bits & 0x7c00 != 0x7c00
}

/// Position of the first `i8` of −128, four bytes at a time.
#[inline(never)]
pub(crate) fn position_of_lowest(bytes: &[u8]) -> Option<usize> {
    const ONES: u32 = 0x0101_0101;
    const LOWEST: u32 = 0x8080_8080;
    let (words, _) = bytes.as_chunks::<4>();
    // A byte of `x` is zero where the byte was −128; subtracting one borrows only there,
    // or above such a byte.
    let has_lowest = |word: &[u8; 4]| {
        let x = u32::from_le_bytes(*word) ^ LOWEST;
        x.wrapping_sub(ONES) & !x & LOWEST != 0
    };
    let clean = words.iter().take_while(|word| !has_lowest(word)).count() * 4;
    let rest = bytes.get(clean..).unwrap_or(&[]);
    rest.iter()
        .position(|&byte| byte == 0x80)
        .map(|at| clean + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_byte_is_found_wherever_it_is() {
        assert_eq!(position_of_lowest(&[]), None);
        for filler in [0x00, 0x01, 0x7f, 0x81, 0xff] {
            let mut bytes = [filler; 23];
            assert_eq!(position_of_lowest(&bytes), None);
            for at in (0..bytes.len()).rev() {
                bytes[at] = 0x80;
                assert_eq!(position_of_lowest(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn widening_is_exact_for_every_finite_f16() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits);
            assert_eq!(is_finite_f16(bits), expected.is_finite());
            if is_finite_f16(bits) {
                let found = f16_from_bits(bits);
                assert_eq!(found.to_bits(), expected.to_f32().to_bits(), "{bits:04x}");
            }
        }
    }
}
