//! Pieces in blocks of sixteen: the first of a block whole, each other one as what it has beside
//! the one before it.
//!
//! Bytes: pieces that begin a word, `u32`; those that continue one, `u32`; width of an offset, 2 or 4,
//! `u16`; number of syllables, `u16`; the syllables, four bytes each, shorter ones with zeros; offsets
//! of the blocks and of the end; the blocks. A half begins with a block of its own. The first piece of
//! a block is its length, `u8`, and its bytes. Any other is a byte, `kept << 4 | more`, where 15 stands
//! for a byte that follows; then `more` codes. It is the first `kept` bytes of the piece before it,
//! and for each code below the number of syllables that syllable, for each other one itself.

use super::PIECE_BYTES;
use crate::ErrorKind;
use crate::bytes::{Reader, u16_at, u32_at};
use crate::strings::valid_text;

/// Pieces of a block; the last of a half may have fewer.
pub(crate) const PIECES: usize = 16;
/// What half a byte says where a byte of its own follows.
pub(crate) const ESCAPE: usize = 15;
/// Most syllables, and bytes of one.
pub(crate) const SYLLABLES: usize = 32;
pub(crate) const SYLLABLE_BYTES: usize = 4;

/// The pieces of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks<'a> {
    initial: usize,
    continuing: usize,
    width: usize,
    syllables: &'a [[u8; SYLLABLE_BYTES]],
    offsets: &'a [u8],
    bytes: &'a [u8],
}

/// A piece: how much it keeps of the one before it, and the codes of what follows.
struct Entry<'a> {
    kept: usize,
    codes: &'a [u8],
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
        let width = usize::from(reader.u16()?);
        let syllables = usize::from(reader.u16()?);
        if width != 2 && width != 4 || syllables > SYLLABLES {
            return reader.found(ErrorKind::Tag, width_at);
        }
        let syllables = reader.take_items(syllables, SYLLABLE_BYTES)?.as_chunks().0;
        let blocks = initial.div_ceil(PIECES) + continuing.div_ceil(PIECES);
        let offsets = reader.take_items(blocks.saturating_add(1), width)?;
        let start = reader.position();
        let blocks = Self {
            initial,
            continuing,
            width,
            syllables,
            offsets,
            bytes: reader.rest(),
        };
        blocks.check(start, reader)?;
        Some(blocks)
    }

    /// Checks every piece; the blocks begin at `start` in the section.
    #[inline(never)]
    fn check(&self, start: usize, reader: &Reader<'a, '_>) -> Option<()> {
        let mut rest = self.bytes;
        let mut whole = Whole {
            bytes: [0; PIECE_BYTES],
            length: 0,
        };
        for block in 0..=self.blocks() {
            let at = self.bytes.len() - rest.len();
            if self.offset(block) != at {
                return reader.found(ErrorKind::Index, start + at);
            }
            let (first, count) = self.ids(block);
            for id in first..first + count {
                if id == self.initial {
                    whole.length = 0;
                }
                let entry = match id == first {
                    true => first_entry(&mut rest),
                    false => entry(&mut rest),
                };
                let fault = match entry {
                    // Bisection compares its bytes as they are.
                    Some(entry) if id == first && self.has_syllables(&entry) => {
                        Some(ErrorKind::Text)
                    }
                    Some(entry) => self.follow(&mut whole, &entry),
                    None => Some(ErrorKind::Truncated),
                };
                if let Some(fault) = fault {
                    let at = self.bytes.len() - rest.len();
                    return reader.found(fault, start + at);
                }
            }
        }
        match rest.is_empty() {
            true => Some(()),
            false => reader.found(ErrorKind::Trailing, start + self.bytes.len() - rest.len()),
        }
    }

    fn has_syllables(&self, entry: &Entry<'_>) -> bool {
        let mut codes = entry.codes.iter();
        codes.any(|&code| usize::from(code) < self.syllables.len())
    }

    /// Makes the next piece of the one before it; returns what is wrong with it.
    fn follow(&self, whole: &mut Whole, entry: &Entry<'_>) -> Option<ErrorKind> {
        let before = whole.length;
        if entry.kept > before {
            return Some(ErrorKind::Index);
        }
        let mut is_after = before == 0;
        let mut at = entry.kept;
        for &code in entry.codes {
            for &byte in self.text(&[code]) {
                let Some(place) = whole.bytes.get_mut(at) else {
                    return Some(ErrorKind::Index);
                };
                // Before the first byte that differs, both are the same.
                if !is_after && at < before && *place > byte {
                    return Some(ErrorKind::Order);
                }
                is_after |= at >= before || *place < byte;
                *place = byte;
                at += 1;
            }
        }
        whole.length = at;
        let text = whole.bytes.get(..at).unwrap_or(&[]);
        // A zero would end a syllable.
        let is_text = at > 0 && valid_text(text).len() == at && !text.contains(&0);
        match is_after {
            false => Some(ErrorKind::Order),
            true if !is_text => Some(ErrorKind::Text),
            true => None,
        }
    }

    /// The syllable that a code stands for, without the zeros after it, or the code itself.
    #[inline(never)]
    fn text<'s>(&self, code: &'s [u8; 1]) -> &'s [u8]
    where
        'a: 's,
    {
        let Some(syllable) = self.syllables.get(usize::from(code[0])) else {
            return code;
        };
        let length = syllable.iter().take_while(|&&byte| byte != 0).count();
        syllable.get(..length).unwrap_or(&[])
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

    /// The first id of a block, and how many it has; none for a block that there is not.
    #[inline(never)]
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

    fn from(&self, block: usize) -> &'a [u8] {
        self.bytes.get(self.offset(block)..).unwrap_or(&[])
    }

    /// The first piece of a block, which has no syllables.
    #[inline]
    pub(super) fn first(&self, block: usize) -> &'a [u8] {
        first_entry(&mut self.from(block)).map_or(&[], |entry| entry.codes)
    }

    /// The last piece of a block that `word` begins with: its id and its length. The first piece is
    /// not after `word`.
    #[inline(never)]
    pub(super) fn last_match(&self, block: usize, word: &[u8]) -> Option<(usize, usize)> {
        let (first, count) = self.ids(block);
        let mut rest = self.from(block);
        let text = first_entry(&mut rest)?.codes;
        // Bytes that the piece before, which is not after the word, and the word begin with.
        let mut common = super::common(text, word);
        let mut found = (common == text.len()).then_some((first, common));
        for id in first + 1..first + count {
            let entry = entry(&mut rest)?;
            // Where more is kept, the piece is before the word at the same byte as the last one.
            if entry.kept > common {
                continue;
            }
            common = entry.kept;
            let mut is_match = true;
            for &code in entry.codes {
                let order = if usize::from(code) < self.syllables.len() {
                    let code = [code];
                    let of_word = word.get(common..).unwrap_or(&[]);
                    let text = self.text(&code);
                    let same = super::common(text, of_word);
                    common += same;
                    match same == text.len() {
                        true => continue,
                        false => of_word.get(same).cmp(&text.get(same)),
                    }
                } else {
                    match word.get(common) {
                        Some(&of_word) if of_word == code => {
                            common += 1;
                            continue;
                        }
                        of_word => of_word.cmp(&Some(&code)),
                    }
                };
                // A piece that is after the word: so are those that follow.
                if order.is_lt() {
                    return found;
                }
                is_match = false;
                break;
            }
            if is_match {
                found = Some((id, common));
            }
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
        let mut rest = self.from(block);
        let mut next = first_entry(&mut rest)?;
        let mut length = self.write(&next, buffer)?;
        for _ in self.ids(block).0..id {
            next = entry(&mut rest)?;
            length = self.write(&next, buffer)?;
        }
        Some(length)
    }

    /// Writes a piece over the one before it; returns its length.
    fn write(&self, entry: &Entry<'_>, buffer: &mut [u8]) -> Option<usize> {
        let mut length = entry.kept;
        for &code in entry.codes {
            let code = [code];
            let text = self.text(&code);
            let end = length + text.len();
            buffer.get_mut(length..end)?.copy_from_slice(text);
            length = end;
        }
        Some(length)
    }

    /// Bytes of the longest piece.
    pub(super) fn longest(&self) -> usize {
        let mut longest = 0;
        for block in 0..self.blocks() {
            let mut rest = self.from(block);
            let mut next = first_entry(&mut rest);
            for _ in 0..self.ids(block).1 {
                if let Some(entry) = next {
                    let bytes = |&code: &u8| self.text(&[code]).len();
                    longest =
                        longest.max(entry.kept + entry.codes.iter().map(bytes).sum::<usize>());
                }
                next = entry(&mut rest);
            }
        }
        longest
    }
}

/// The first piece of a block; `rest` moves on to the next piece.
#[inline(always)]
fn first_entry<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (&length, after) = rest.split_first()?;
    take(rest, after, 0, length.into())
}

/// Any other piece.
#[inline(always)]
fn entry<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (&head, mut after) = rest.split_first()?;
    let (mut kept, mut more) = (usize::from(head >> 4), usize::from(head & 15));
    if kept == ESCAPE || more == ESCAPE {
        for number in [&mut kept, &mut more] {
            if *number == ESCAPE {
                let (&byte, behind) = after.split_first()?;
                (*number, after) = (byte.into(), behind);
            }
        }
    }
    take(rest, after, kept, more)
}

#[inline(always)]
fn take<'a>(rest: &mut &'a [u8], after: &'a [u8], kept: usize, more: usize) -> Option<Entry<'a>> {
    let (codes, after) = after.split_at_checked(more)?;
    *rest = after;
    Some(Entry { kept, codes })
}
