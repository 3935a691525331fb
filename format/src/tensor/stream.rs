//! What the sparse layouts share: rows that follow each other as a stream, each with its own
//! length.

use crate::ErrorKind;
use crate::Section;
use crate::bytes::Fault;

/// Rows not checked yet.
pub(super) struct Stream<'a, 'f> {
    pub(super) rest: &'a [u8],
    /// Where they end in the section.
    pub(super) end: usize,
    pub(super) fault: &'f Fault,
}

impl Stream<'_, '_> {
    /// Where the rest begins in the section.
    pub(super) fn at(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Records what is wrong at `at` in the section.
    #[inline(always)]
    pub(super) fn found<T>(&self, kind: ErrorKind, at: usize) -> Option<T> {
        self.write(kind, at);
        None
    }

    #[cold]
    #[inline(never)]
    fn write(&self, kind: ErrorKind, at: usize) {
        self.fault.write(kind, Section::Weights, at);
    }
}

/// In place of a count in half a byte: the count is in the stream.
pub(crate) const IN_STREAM: u8 = 0;

/// Takes as many items of `width` bytes as `half` states, or as a count in front of them does.
#[inline(never)]
pub(super) fn take_counted<'a>(rest: &mut &'a [u8], half: u8, width: usize) -> Option<&'a [u8]> {
    let mut after_count = *rest;
    let count = if half == IN_STREAM {
        take_count(&mut after_count)?
    } else {
        usize::from(half)
    };
    let (items, after) = after_count.split_at_checked(count * width)?;
    *rest = after;
    Some(items)
}

/// The count of a row: one byte, or 255 and a `u16`.
#[inline]
fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (&short, after) = rest.split_first()?;
    *rest = after;
    if short < u8::MAX {
        return Some(usize::from(short));
    }
    let (&[low, high], after) = after.split_first_chunk::<2>()?;
    *rest = after;
    Some(usize::from(u16::from_le_bytes([low, high])))
}
