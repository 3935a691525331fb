//! LayerNorms: f16 gain, then f16 shift.

use super::{Record, tensor_reader};
use crate::bytes::{f16_from_bits, is_finite_f16, u16_at};
use crate::{ErrorKind, FormatError, Section};

/// A view of a LayerNorm's weights.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    gain: &'a [u8],
    shift: &'a [u8],
}

impl<'a> Norm<'a> {
    pub(crate) fn read(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let norm = Self::view(record, section)?;
        let shift_at = record.offset + norm.gain.len();
        for (numbers, numbers_at) in [(norm.gain, record.offset), (norm.shift, shift_at)] {
            for index in 0..numbers.len() / 2 {
                if !is_finite_f16(u16_at(numbers, index * 2)) {
                    let at = numbers_at + index * 2;
                    return Err(FormatError::new(ErrorKind::Scale, Section::Weights, at));
                }
            }
        }
        Ok(norm)
    }

    pub(crate) fn view(record: &Record, section: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = tensor_reader(record, section)?;
        let gain = reader.take_items(record.cols, 2)?;
        let shift = reader.take_items(record.cols, 2)?;
        reader.finish()?;
        Ok(Self { gain, shift })
    }

    /// f16, one a feature.
    #[must_use]
    pub fn gain(&self) -> &'a [u8] {
        self.gain
    }

    /// f16, one a feature.
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
