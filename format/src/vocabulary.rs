//! The tokenizer's pieces, and the longest of them that a word begins with.
//!
//! Pieces that begin a word come first, then those that continue one (stored without `##`); each half
//! ascends by bytes. A token id is the position in that order.
//!
//! A file has its pieces in blocks of sixteen, each after the first of a block as the bytes that it
//! has beside the one before it. Files of before have a table of strings, which is searched as blocks
//! of one piece.

pub(crate) mod blocks;

use crate::ErrorKind;
use crate::bytes::Reader;
use crate::strings::StringTable;
use blocks::Blocks;

/// Most bytes of a piece in blocks.
pub const PIECE_BYTES: usize = u8::MAX as usize;

/// The pieces of a file.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    initial: usize,
    pieces: Pieces<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Pieces<'a> {
    Table(StringTable<'a>),
    Blocks(Blocks<'a>),
}

impl<'a> Vocabulary<'a> {
    /// Reads a table of strings.
    pub(crate) fn read_table(reader: &mut Reader<'a, '_>) -> Option<Self> {
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
                return reader.found(ErrorKind::Order, pieces_at + 8 + index * pieces.width());
            }
            previous = piece;
        }
        Some(Self {
            initial,
            pieces: Pieces::Table(pieces),
        })
    }

    /// Reads blocks of pieces.
    pub(crate) fn read_blocks(reader: &mut Reader<'a, '_>) -> Option<Self> {
        let blocks = Blocks::read(reader)?;
        Some(Self {
            initial: blocks.initial(),
            pieces: Pieces::Blocks(blocks),
        })
    }

    /// Number of pieces, which is the number of token ids.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.pieces {
            Pieces::Table(table) => table.len(),
            Pieces::Blocks(blocks) => blocks.len(),
        }
    }

    /// Whether the vocabulary is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of pieces that begin a word; the others continue one.
    #[must_use]
    pub fn initial(&self) -> usize {
        self.initial
    }

    /// Writes piece `id` without `##` into `buffer`: the piece, and whether it continues a word.
    /// `None` outside the vocabulary, and for a piece that is longer than the buffer.
    #[must_use]
    pub fn piece<'b>(&self, id: usize, buffer: &'b mut [u8]) -> Option<(&'b str, bool)> {
        let length = match &self.pieces {
            Pieces::Table(table) => {
                let piece = table.get(id)?.as_bytes();
                buffer.get_mut(..piece.len())?.copy_from_slice(piece);
                piece.len()
            }
            Pieces::Blocks(blocks) => blocks.piece(id, buffer)?,
        };
        let piece = core::str::from_utf8(buffer.get(..length)?).ok()?;
        Some((piece, id >= self.initial))
    }

    /// Bytes of the longest piece.
    #[must_use]
    pub fn longest(&self) -> usize {
        match &self.pieces {
            Pieces::Table(table) => {
                let lengths = (0..table.len()).map(|index| table.bytes(index).len());
                lengths.max().unwrap_or(0)
            }
            Pieces::Blocks(blocks) => blocks.longest(),
        }
    }

    /// Most pieces that one step of a search reads one after another.
    #[must_use]
    pub fn block(&self) -> usize {
        match &self.pieces {
            Pieces::Table(_) => 1,
            Pieces::Blocks(_) => blocks::PIECES,
        }
    }

    /// The longest piece that `word` begins with: its token id and its length in
    /// bytes. `continuing` chooses between the two halves.
    ///
    /// Every piece that `word` begins with is at most `word`, and whatever lies between one of them and
    /// `word` begins with it too. So the longest is in the last block whose first piece is not after
    /// `word`; or, if none is in it, no longer than what that first piece and `word` have in common,
    /// and before that block.
    #[inline(never)]
    #[must_use]
    pub fn longest_match(&self, word: &str, continuing: bool) -> Option<(usize, usize)> {
        let (low, mut high) = match &self.pieces {
            Pieces::Table(_) if continuing => (self.initial, self.len()),
            Pieces::Table(_) => (0, self.initial),
            Pieces::Blocks(blocks) => blocks.half(continuing),
        };
        let mut word = word.as_bytes();
        while !word.is_empty() {
            let block = self.first_after(low, high, word).checked_sub(1)?;
            if block < low {
                break;
            }
            let found = match &self.pieces {
                Pieces::Table(table) => {
                    let piece = table.bytes(block);
                    word.starts_with(piece).then_some((block, piece.len()))
                }
                Pieces::Blocks(blocks) => blocks.last_match(block, word),
            };
            if found.is_some() {
                return found;
            }
            word = word.get(..common(self.first_piece(block), word))?;
            high = block;
        }
        None
    }

    /// The first block in `low..high` whose first piece is after `word`.
    #[inline(never)]
    fn first_after(&self, mut low: usize, mut high: usize, word: &[u8]) -> usize {
        while low < high {
            let middle = low + (high - low) / 2;
            let mut rest = word.iter();
            let mut is_after = false;
            for byte in self.first_piece(middle) {
                match rest.next() {
                    Some(of_word) if of_word == byte => {}
                    other => {
                        is_after = other.is_none_or(|of_word| of_word < byte);
                        break;
                    }
                }
            }
            if is_after {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The first piece of a block, which is a whole one.
    #[inline]
    fn first_piece(&self, block: usize) -> &'a [u8] {
        match &self.pieces {
            Pieces::Table(table) => table.bytes(block),
            Pieces::Blocks(blocks) => blocks.first(block),
        }
    }
}

/// Number of bytes with which both begin.
#[inline(never)]
pub(crate) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
