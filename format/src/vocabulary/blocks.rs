//! Pieces in blocks of sixteen: the first of a block whole, each other one as what it has beside
//! the one before it.
//!
//! Bytes: pieces that begin a word, `u32`; those that continue one, `u32`; width of an offset, 2 or 4,
//! `u16`; number of syllables, `u16`; the syllables, four bytes each, shorter ones with zeros; offsets
//! of the blocks and of the end; the blocks. A half begins with a block of its own. A piece is a byte,
//! `kept << 4 | more`; where `kept` or `more` is 15, a variable-length integer for each, which is added
//! to it; then `more + 1` codes. It is the first `kept` bytes of the piece before it, and for each code
//! below the number of syllables that syllable, for each other one itself. The first piece of a block
//! has no syllables, so that bisection compares plain bytes.

use super::PIECE_BYTES;
use crate::ErrorKind;
use crate::bytes::{Reader, u16_at, u32_at};
use crate::strings::valid_text;

/// Pieces of a block; the last of a half may have fewer.
pub(crate) const PIECES: usize = 16;
/// The largest number that half a byte says by itself.
pub(crate) const ESCAPE: usize = 15;
/// Most syllables, and bytes of one.
pub(crate) const SYLLABLES: usize = 32;
pub(crate) const SYLLABLE_BYTES: usize = 4;
/// The first byte of a first piece whose length needs more than half a byte.
const ESCAPE_BYTE: u8 = 15;

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
        let width = usize::from(reader.u16()?);
        let syllables = usize::from(reader.u16()?);
        if width != 2 && width != 4 || syllables > SYLLABLES {
            return reader.found(ErrorKind::Tag, width_at);
        }
        let syllables = reader.take_items(syllables, SYLLABLE_BYTES)?.as_chunks().0;
        let is_whole = |it: &[u8; SYLLABLE_BYTES]| {
            let length = text_of(it).len();
            length > 0 && it.iter().skip(length).all(|&byte| byte == 0)
        };
        if !syllables.iter().all(is_whole) {
            return reader.found(ErrorKind::Text, width_at + 4);
        }
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
                    Some(entry) if index == 0 && !self.is_plain(&entry) => ErrorKind::Index,
                    Some(entry) => match whole.follow(self, &entry, begins_half) {
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

    /// Whether a piece keeps nothing and has no syllables.
    fn is_plain(&self, entry: &Entry<'_>) -> bool {
        let is_plain = |code: &u8| self.syllable(*code).is_none();
        entry.kept == 0 && entry.more.iter().all(is_plain)
    }

    /// The syllable that a code stands for, if it is not a byte of text.
    #[inline(always)]
    fn syllable(&self, code: u8) -> Option<&'a [u8; SYLLABLE_BYTES]> {
        self.syllables.get(usize::from(code))
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
    #[inline]
    pub(super) fn first(&self, block: usize) -> &'a [u8] {
        let rest = self.bytes.get(self.offset(block)..).unwrap_or(&[]);
        match rest.split_first() {
            Some((&head, text)) if head < ESCAPE_BYTE => {
                text.get(..=usize::from(head)).unwrap_or(&[])
            }
            _ => self.long_first(block),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_first(&self, block: usize) -> &'a [u8] {
        let mut at = self.offset(block);
        self.entry(&mut at).map_or(&[], |entry| entry.more)
    }

    #[inline(never)]
    fn entry(&self, at: &mut usize) -> Option<Entry<'a>> {
        entry(self.bytes, at)
    }

    /// The last piece of a block that `word` begins with: its id and its length. The first piece is
    /// not after `word`.
    #[inline(never)]
    pub(super) fn last_match(&self, block: usize, word: &[u8]) -> Option<(usize, usize)> {
        let (first, count) = self.ids(block);
        let mut rest = self.bytes.get(self.offset(block)..)?;
        // Bytes that the piece before, which is not after the word, and the word begin with.
        let mut common = 0;
        let mut found = None;
        for id in first..first + count {
            let (&head, after) = rest.split_first()?;
            let (kept, more) = (usize::from(head >> 4), usize::from(head & 15) + 1);
            let (kept, text) = if kept < ESCAPE && more <= ESCAPE {
                let (text, after) = after.split_at_checked(more)?;
                rest = after;
                (kept, text)
            } else {
                let mut at = 0;
                let entry = entry(rest, &mut at)?;
                rest = rest.get(at..)?;
                (entry.kept, entry.more)
            };
            // Where more is kept, the piece is before the word at the same byte as the last one.
            if kept > common {
                continue;
            }
            common = kept;
            let mut is_match = true;
            for &code in text {
                match self.syllable(code) {
                    None => match word.get(common) {
                        Some(&of_word) if of_word == code => common += 1,
                        Some(&of_word) if of_word > code => {
                            is_match = false;
                            break;
                        }
                        // The piece is after the word, and so are those that follow.
                        _ => return found,
                    },
                    Some(syllable) => {
                        let of_word = word.get(common..).unwrap_or(&[]);
                        let syllable = text_of(syllable);
                        let same = super::common(syllable, of_word);
                        common += same;
                        if same < syllable.len() {
                            if of_word.get(same) < syllable.get(same) {
                                return found;
                            }
                            is_match = false;
                            break;
                        }
                    }
                }
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
        let mut at = self.offset(block);
        let mut length = 0;
        for _ in self.ids(block).0..=id {
            let entry = self.entry(&mut at)?;
            length = self.write(&entry, buffer)?;
        }
        Some(length)
    }

    /// Writes a piece over the one before it; returns its length.
    fn write(&self, entry: &Entry<'_>, buffer: &mut [u8]) -> Option<usize> {
        let mut length = entry.kept;
        for code in entry.more {
            let syllable = self.syllable(*code);
            let text = syllable.map_or(core::slice::from_ref(code), text_of);
            let end = length + text.len();
            buffer.get_mut(length..end)?.copy_from_slice(text);
            length = end;
        }
        Some(length)
    }

    /// Bytes of the longest piece.
    pub(super) fn longest(&self) -> usize {
        let mut at = 0;
        let mut longest = 0;
        while let Some(entry) = self.entry(&mut at) {
            let bytes = |code: &u8| match self.syllable(*code) {
                None => 1,
                Some(syllable) => text_of(syllable).len(),
            };
            longest = longest.max(entry.kept + entry.more.iter().map(bytes).sum::<usize>());
        }
        longest
    }
}

/// The piece at `at`, which moves on to the next.
#[inline(never)]
fn entry<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Entry<'a>> {
    let head = *bytes.get(*at)?;
    *at += 1;
    let kept = number(bytes, usize::from(head >> 4), at)?;
    let more = number(bytes, usize::from(head & 15), at)? + 1;
    let more = bytes.get(*at..)?.get(..more)?;
    *at += more.len();
    Some(Entry { kept, more })
}

/// A number of half a byte, or what follows beside it: a variable-length integer of at most two
/// bytes, since a piece is shorter than 2¹⁴ bytes.
fn number(bytes: &[u8], half: usize, at: &mut usize) -> Option<usize> {
    if half < ESCAPE {
        return Some(half);
    }
    let low = *bytes.get(*at)?;
    *at += 1;
    if low < 128 {
        return Some(ESCAPE + usize::from(low));
    }
    let high = *bytes.get(*at)?;
    *at += 1;
    (high < 128).then_some(ESCAPE + (usize::from(low & 127) | usize::from(high) << 7))
}

/// A syllable without the zeros after it.
fn text_of(syllable: &[u8; SYLLABLE_BYTES]) -> &[u8] {
    let length = syllable.iter().take_while(|&&byte| byte != 0).count();
    syllable.get(..length).unwrap_or(&[])
}

impl Whole {
    fn new() -> Self {
        Self {
            bytes: [0; PIECE_BYTES],
            length: 0,
        }
    }

    /// Becomes the next piece, which must be after this one, unless it begins a half.
    fn follow(
        &mut self,
        blocks: &Blocks<'_>,
        entry: &Entry<'_>,
        begins_half: bool,
    ) -> Result<(), ErrorKind> {
        if entry.kept > self.length {
            return Err(ErrorKind::Index);
        }
        let before = self.length;
        let mut is_after = begins_half;
        let mut at = entry.kept;
        for code in entry.more {
            let syllable = blocks.syllable(*code);
            for &byte in syllable.map_or(core::slice::from_ref(code), text_of) {
                let place = self.bytes.get_mut(at).ok_or(ErrorKind::Index)?;
                // Before the first byte that differs, both are the same.
                if !is_after && at < before && *place > byte {
                    return Err(ErrorKind::Order);
                }
                is_after |= at >= before || *place < byte;
                *place = byte;
                at += 1;
            }
        }
        self.length = at;
        if !is_after {
            return Err(ErrorKind::Order);
        }
        // A zero would end a syllable.
        let is_text = valid_text(self.text()).len() == at && !self.text().contains(&0);
        match is_text && at > 0 {
            true => Ok(()),
            false => Err(ErrorKind::Text),
        }
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}
