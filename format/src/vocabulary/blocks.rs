//! Pieces in blocks of sixteen: the first of a block whole, each other one as what it has beside
//! the one before it.
//!
//! Bytes: pieces that begin a word, `u32`; those that continue one, `u32`; width of an offset, 2 or 4,
//! `u32`; offsets of the blocks and of the end; the blocks. A half begins with a block of its own. A
//! piece is a byte, `kept << 4 | more`; where `kept` or `more` is 15, a variable-length integer for
//! each, which is added to it; then `more + 1` bytes. It is the first `kept` bytes of the piece before
//! it and those bytes.

use super::PIECE_BYTES;
use crate::ErrorKind;
use crate::bytes::{Reader, u16_at, u32_at};
use crate::strings::valid_text;

/// Pieces of a block; the last of a half may have fewer.
pub(crate) const PIECES: usize = 16;
/// The largest number that half a byte says by itself.
pub(crate) const ESCAPE: usize = 15;

/// The pieces of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks<'a> {
    initial: usize,
    continuing: usize,
    width: usize,
    offsets: &'a [u8],
    bytes: &'a [u8],
}

/// A piece: how much it keeps of the one before it, and what follows.
struct Entry<'a> {
    kept: usize,
    more: &'a [u8],
}

/// A piece that is put together.
struct Whole {
    bytes: [u8; PIECE_BYTES],
    length: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn read(reader: &mut Reader<'a, '_>) -> Option<Self> {
        let initial = reader.index()?;
        let continuing = reader.index()?;
        let width_at = reader.position();
        let width = reader.index()?;
        if width != 2 && width != 4 {
            return reader.found(ErrorKind::Tag, width_at);
        }
        let blocks = initial.div_ceil(PIECES) + continuing.div_ceil(PIECES);
        let offsets = reader.take_items(blocks.saturating_add(1), width)?;
        let start = reader.position();
        let blocks = Self {
            initial,
            continuing,
            width,
            offsets,
            bytes: reader.rest(),
        };
        blocks.check(start, reader)?;
        Some(blocks)
    }

    /// Checks every piece; the blocks begin at `start` in the section.
    #[inline(never)]
    fn check(&self, start: usize, reader: &Reader<'a, '_>) -> Option<()> {
        let mut at = 0;
        let mut whole = Whole::new();
        for block in 0..self.blocks() {
            if self.offset(block) != at {
                return reader.found(ErrorKind::Index, start + at);
            }
            let (first, count) = self.ids(block);
            for index in 0..count {
                let begins_half = index == 0 && (first == 0 || first == self.initial);
                let fault = match self.entry(&mut at) {
                    None => ErrorKind::Truncated,
                    Some(entry) if index == 0 && entry.kept > 0 => ErrorKind::Index,
                    Some(entry) => match whole.follow(&entry, begins_half) {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    },
                };
                return reader.found(fault, start + at);
            }
        }
        if self.offset(self.blocks()) != at {
            return reader.found(ErrorKind::Index, start + at);
        }
        match at == self.bytes.len() {
            true => Some(()),
            false => reader.found(ErrorKind::Trailing, start + at),
        }
    }

    pub(super) fn initial(&self) -> usize {
        self.initial
    }

    pub(super) fn len(&self) -> usize {
        self.initial + self.continuing
    }

    /// The blocks of a half: the first, and that after the last.
    pub(super) fn half(&self, continuing: bool) -> (usize, usize) {
        let middle = self.initial.div_ceil(PIECES);
        match continuing {
            false => (0, middle),
            true => (middle, self.blocks()),
        }
    }

    fn blocks(&self) -> usize {
        self.initial.div_ceil(PIECES) + self.continuing.div_ceil(PIECES)
    }

    /// The first id of a block, and how many it has.
    fn ids(&self, block: usize) -> (usize, usize) {
        let middle = self.initial.div_ceil(PIECES);
        let (first, end) = match block.checked_sub(middle) {
            None => (block * PIECES, self.initial),
            Some(block) => (self.initial + block * PIECES, self.len()),
        };
        (first, end.saturating_sub(first).min(PIECES))
    }

    #[inline]
    fn offset(&self, block: usize) -> usize {
        match self.width == 2 {
            true => usize::from(u16_at(self.offsets, block * 2)),
            false => u32_at(self.offsets, block * 4) as usize,
        }
    }

    /// The first piece of a block; it keeps nothing.
    #[inline(never)]
    pub(super) fn first(&self, block: usize) -> &'a [u8] {
        let mut at = self.offset(block);
        self.entry(&mut at).map_or(&[], |entry| entry.more)
    }

    /// The piece at `at`, which moves on to the next.
    #[inline(always)]
    fn entry(&self, at: &mut usize) -> Option<Entry<'a>> {
        let head = *self.bytes.get(*at)?;
        *at += 1;
        let kept = self.number(usize::from(head >> 4), at)?;
        let more = self.number(usize::from(head & 15), at)? + 1;
        let more = self.bytes.get(*at..)?.get(..more)?;
        *at += more.len();
        Some(Entry { kept, more })
    }

    /// A number of half a byte, or what follows beside it.
    #[inline(always)]
    fn number(&self, half: usize, at: &mut usize) -> Option<usize> {
        match half < ESCAPE {
            true => Some(half),
            false => Some(ESCAPE + self.varint(at)?),
        }
    }

    /// At most two bytes: a piece is shorter than 2¹⁴ bytes.
    #[cold]
    #[inline(never)]
    fn varint(&self, at: &mut usize) -> Option<usize> {
        let low = *self.bytes.get(*at)?;
        *at += 1;
        if low < 128 {
            return Some(low.into());
        }
        let high = *self.bytes.get(*at)?;
        *at += 1;
        (high < 128).then_some(usize::from(low & 127) | usize::from(high) << 7)
    }

    /// The last piece of a block that `word` begins with: its id and its length. The first piece is
    /// not after `word`.
    #[inline(never)]
    pub(super) fn last_match(&self, block: usize, word: &[u8]) -> Option<(usize, usize)> {
        let (first, count) = self.ids(block);
        let mut at = self.offset(block);
        // Bytes that the piece before, which is not after the word, and the word begin with.
        let mut common = 0;
        let mut found = None;
        for index in 0..count {
            let entry = self.entry(&mut at)?;
            // Where more is kept, the piece is before the word at the same byte as the last one.
            if entry.kept > common {
                continue;
            }
            let rest = word.get(entry.kept..)?;
            let same = super::common(entry.more, rest);
            if same == entry.more.len() {
                found = Some((first + index, entry.kept + same));
            } else if entry.more.get(same) > rest.get(same) {
                break;
            }
            common = entry.kept + same;
        }
        found
    }

    /// Writes a piece; returns its length.
    pub(super) fn piece(&self, id: usize, buffer: &mut [u8]) -> Option<usize> {
        if id >= self.len() {
            return None;
        }
        let block = match id.checked_sub(self.initial) {
            None => id / PIECES,
            Some(id) => self.initial.div_ceil(PIECES) + id / PIECES,
        };
        let mut at = self.offset(block);
        let mut length = 0;
        for _ in self.ids(block).0..=id {
            let entry = self.entry(&mut at)?;
            length = entry.kept + entry.more.len();
            buffer
                .get_mut(entry.kept..length)?
                .copy_from_slice(entry.more);
        }
        Some(length)
    }

    /// Bytes of the longest piece.
    pub(super) fn longest(&self) -> usize {
        let mut at = 0;
        let mut longest = 0;
        while let Some(entry) = self.entry(&mut at) {
            longest = longest.max(entry.kept + entry.more.len());
        }
        longest
    }
}

impl Whole {
    fn new() -> Self {
        Self {
            bytes: [0; PIECE_BYTES],
            length: 0,
        }
    }

    /// Becomes the next piece, which must be after this one, unless it begins a half.
    fn follow(&mut self, entry: &Entry<'_>, begins_half: bool) -> Result<(), ErrorKind> {
        let Entry { kept, more } = *entry;
        // What is kept must be whole characters.
        let kept_text = self.bytes.get(..kept.min(self.length)).unwrap_or(&[]);
        if kept > self.length || valid_text(kept_text).len() < kept {
            return Err(ErrorKind::Index);
        }
        if valid_text(more).len() < more.len() {
            return Err(ErrorKind::Text);
        }
        let before = self.bytes.get(kept..self.length).unwrap_or(&[]);
        if !begins_half && before >= more {
            return Err(ErrorKind::Order);
        }
        let length = kept + more.len();
        match self.bytes.get_mut(kept..length) {
            Some(place) => place.copy_from_slice(more),
            None => return Err(ErrorKind::Index),
        }
        self.length = length;
        Ok(())
    }
}
