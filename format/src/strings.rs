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
    #[inline]
    fn bytes(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.range(index);
        self.text.as_bytes().get(start..end).unwrap_or(&[])
    }

    /// Where the bytes of string `index` begin and end.
    #[inline]
    fn range(&self, index: usize) -> (usize, usize) {
        let offsets = self.offsets.get(index * self.width..).unwrap_or(&[]);
        match offsets {
            [a, b, c, d, ..] if self.width == 2 => (
                usize::from(u16::from_le_bytes([*a, *b])),
                usize::from(u16::from_le_bytes([*c, *d])),
            ),
            [a, b, c, d, e, f, g, h, ..] => (
                u32::from_le_bytes([*a, *b, *c, *d]) as usize,
                u32::from_le_bytes([*e, *f, *g, *h]) as usize,
            ),
            _ => (0, 0),
        }
    }

    /// Every string, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let table = *self;
        (0..self.count).map(move |index| table.get(index).unwrap_or(""))
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

/// The tokenizer's vocabulary: pieces that begin a word, then pieces that
/// continue one (stored without `##`). A token id is the position in that order.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    initial: usize,
    pieces: StringTable<'a>,
}

impl<'a> Vocabulary<'a> {
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Option<Self> {
        let initial_at = reader.position();
        let initial = reader.index()?;
        reader.reserved(4)?;
        let pieces_at = reader.position();
        let pieces = StringTable::read(reader)?;
        if initial > pieces.len() {
            return reader.found(ErrorKind::Index, initial_at);
        }
        // Both halves must ascend strictly by bytes for binary search to be exact.
        let mut previous: &[u8] = &[];
        for index in 0..pieces.len() {
            let piece = pieces.bytes(index);
            if index != initial && previous >= piece {
                return reader.found(ErrorKind::Order, pieces_at + 8 + index * pieces.width);
            }
            previous = piece;
        }
        Some(Self { initial, pieces })
    }

    /// Number of pieces, which is the number of token ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether the vocabulary is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Number of pieces that begin a word; the others continue one.
    #[must_use]
    pub fn initial(&self) -> usize {
        self.initial
    }

    /// Piece `id` without `##`, and whether it continues a word.
    #[must_use]
    pub fn piece(&self, id: usize) -> Option<(&'a str, bool)> {
        Some((self.pieces.get(id)?, id >= self.initial))
    }

    /// The longest piece that `word` begins with: its token id and its length in
    /// bytes. `continuing` chooses between the two halves.
    ///
    /// One binary search finds the last piece that is not after `word`, which mostly is the answer.
    /// If not, the answer is no longer than what the two have in common: the pieces that begin with
    /// that are one range of the sorted half, and each byte narrows it by two binary searches.
    #[inline(never)]
    #[must_use]
    pub fn longest_match(&self, word: &str, continuing: bool) -> Option<(usize, usize)> {
        let (mut low, end) = if continuing {
            (self.initial, self.len())
        } else {
            (0, self.initial)
        };
        let word = word.as_bytes();
        let last = self.first_after(low, end, word).checked_sub(1)?;
        if last < low {
            return None;
        }
        let piece = self.pieces.bytes(last);
        let common = piece.iter().zip(word).take_while(|(a, b)| a == b).count();
        if common == piece.len() {
            return Some((last, common));
        }
        let mut high = last;
        let mut longest = None;
        for (depth, &byte) in word.iter().take(common).enumerate() {
            let bound = u16::from(byte) + 1;
            low = self.first_from(low, high, depth, bound);
            high = self.first_from(low, high, depth, bound + 1);
            if low == high {
                break;
            }
            if self.pieces.bytes(low).len() == depth + 1 {
                longest = Some((low, depth + 1));
            }
        }
        longest
    }

    /// First piece in `low..high` that is after `word`.
    #[inline(never)]
    fn first_after(&self, mut low: usize, mut high: usize, word: &[u8]) -> usize {
        let text = self.pieces.text.as_bytes();
        while low < high {
            let middle = low + (high - low) / 2;
            let (mut at, end) = self.pieces.range(middle);
            let mut rest = word.iter();
            let is_after = loop {
                if at == end {
                    break false;
                }
                let Some(&byte) = rest.next() else {
                    break true;
                };
                let of_piece = text.get(at).copied().unwrap_or(0);
                if of_piece != byte {
                    break of_piece > byte;
                }
                at += 1;
            };
            if is_after {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// First piece in `low..high` whose byte at `depth`, plus one, is at least `bound`; a piece
    /// that ends before it counts as 0 there.
    #[inline(never)]
    fn first_from(&self, mut low: usize, mut high: usize, depth: usize, bound: u16) -> usize {
        while low < high {
            let middle = low + (high - low) / 2;
            let byte = self.pieces.bytes(middle).get(depth);
            if byte.map_or(0, |&byte| u16::from(byte) + 1) < bound {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
