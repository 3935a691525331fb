//! LayerNorms: f16 gain, then f16 shift.

use super::{Record, check_numbers, tensor_reader};
use crate::bytes::{Fault, f16_from_bits};

/// A view of a LayerNorm's weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Norm<'a> {
    gain: &'a [u8],
    shift: &'a [u8],
}

impl<'a> Norm<'a> {
    /// Splits the bytes of `record` without looking at the numbers.
    #[inline(never)]
    pub(crate) fn view(record: &Record, section: &'a [u8], fault: &Fault) -> Option<Self> {
        let mut reader = tensor_reader(record, section, fault)?;
        let gain = reader.take_items(record.cols, 2)?;
        let shift = reader.take_items(record.cols, 2)?;
        reader.finish()?;
        Some(Self { gain, shift })
    }

    /// Checks the view that [`Norm::view`] made of `record`.
    pub(crate) fn check(&self, record: &Record, fault: &Fault) -> Option<()> {
        check_numbers(self.gain, record.offset, fault)?;
        let shift_at = record.offset + self.gain.len();
        check_numbers(self.shift, shift_at, fault)
    }

    /// f16, one per feature.
    #[must_use]
    pub fn gain(&self) -> &'a [u8] {
        self.gain
    }

    /// f16, one per feature.
    #[must_use]
    pub fn shift(&self) -> &'a [u8] {
        self.shift
    }

    /// (gain, shift) of each feature.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (f32, f32)> + use<'a> {
        let widen = |pair: &[u8; 2]| f16_from_bits(u16::from_le_bytes(*pair));
        let (gain, _) = self.gain.as_chunks::<2>();
        let (shift, _) = self.shift.as_chunks::<2>();
        gain.iter().map(widen).zip(shift.iter().map(widen))
    }
}
