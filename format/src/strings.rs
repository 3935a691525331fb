//! Many strings, no copies: offsets, then the UTF-8 bytes.

use crate::ErrorKind;
use crate::bytes::{Reader, u16_at, u32_at};

/// A checked table of non-empty UTF-8 strings.
///
/// Bytes: `count: u32`, `width: u32` (2 or 4), `count + 1` offsets of that width
/// from 0 to the length of the text, the text.
#[derive(Clone, Copy, Debug)]
pub struct StringTable<'a> {
    count: usize,
    width: usize,
    offsets: &'a [u8],
    text: &'a str,
}

impl<'a> StringTable<'a> {
    #[inline(never)]
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Option<Self> {
        let count = reader.index()?;
        let width_at = reader.position();
        let width = reader.index()?;
        if width != 2 && width != 4 {
            return reader.found(ErrorKind::Tag, width_at);
        }
        let offsets_at = reader.position();
        let offsets = reader.take_items(count.saturating_add(1), width)?;
        let text_at = reader.position();
        let mut table = Self {
            count,
            width,
            offsets,
            text: "",
        };
        let text = reader.take(table.offset(count))?;
        table.text = valid_text(text);
        if table.text.len() != text.len() {
            return reader.found(ErrorKind::Text, text_at + table.text.len());
        }
        let mut start = table.offset(0);
        if start != 0 {
            return reader.found(ErrorKind::Index, offsets_at);
        }
        for index in 0..count {
            let end = table.offset(index + 1);
            if start >= end || !table.text.is_char_boundary(end) {
                return reader.found(ErrorKind::Text, offsets_at + index * width);
            }
            start = end;
        }
        Some(table)
    }

    /// Number of strings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// String `index`, or `None` outside the table.
    #[inline(never)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a str> {
        if index >= self.count {
            return None;
        }
        self.text.get(self.offset(index)..self.offset(index + 1))
    }

    /// The bytes of string `index`; empty outside the table.
    pub(crate) fn bytes(&self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default().as_bytes()
    }

    /// Every string, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let table = *self;
        (0..self.count).map(move |index| table.get(index).unwrap_or(""))
    }

    /// Bytes of an offset.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Byte offset of string `index` from the first.
    #[inline]
    fn offset(&self, index: usize) -> usize {
        if self.width == 2 {
            usize::from(u16_at(self.offsets, index * 2))
        } else {
            u32_at(self.offsets, index * 4) as usize
        }
    }
}

/// The longest prefix of `bytes` that is UTF-8. `from_utf8` is made for long texts, which takes
/// more code.
#[inline(never)]
pub(crate) fn valid_text(bytes: &[u8]) -> &str {
    let first = bytes.utf8_chunks().next();
    first.map_or("", |chunk| chunk.valid())
}
