//! Records that calls leave for JavaScript: words that it reads in the order they were written.

use core::cell::Cell;
use core::fmt;

/// Words of the longest record.
const WORDS: usize = 16;

/// Words of 32 bits; a text is two of them, its address and its number of bytes of UTF-8.
#[derive(Clone, Copy, Debug)]
// In this order, so that the address of a record is that of its words.
#[repr(C)]
pub(crate) struct Record {
    words: [u32; WORDS],
    length: usize,
}

impl Record {
    /// A record without words.
    pub(crate) const fn new() -> Self {
        Self {
            words: [0; WORDS],
            length: 0,
        }
    }

    /// Adds a count, a size or an address, which have 32 bits here, or a Boolean as 0 or 1.
    pub(crate) fn word(self, word: usize) -> Self {
        self.bits(word as u32)
    }

    /// Adds a number.
    pub(crate) fn float(self, float: f32) -> Self {
        self.bits(float.to_bits())
    }

    /// Adds a text that does not move.
    pub(crate) fn text(self, text: &'static str) -> Self {
        self.word(text.as_ptr() as usize).word(text.len())
    }

    fn bits(mut self, bits: u32) -> Self {
        if let Some(place) = self.words.get_mut(self.length) {
            *place = bits;
            self.length += 1;
        }
        self
    }

    /// Leaves it in `place` and returns its address.
    pub(crate) fn leave(self, place: &Cell<Self>) -> *const u32 {
        place.set(self);
        place.as_ptr().cast_const().cast()
    }
}

/// Bytes of the longest message; longer ones are cut.
const MESSAGE: usize = 160;

/// An error message in ASCII.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    bytes: [u8; MESSAGE],
    length: usize,
}

impl Message {
    /// The empty message.
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; MESSAGE],
        length: 0,
    };

    /// The text of `error`.
    pub(crate) fn new(error: &dyn fmt::Display) -> Self {
        let mut message = Self::EMPTY;
        // Writing to a message does not fail.
        let _ = fmt::write(&mut message, format_args!("{error}"));
        message
    }

    /// The message as text.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.iter_mut().skip(self.length);
        let mut written = 0;
        for (free, byte) in free.zip(text.bytes()) {
            *free = byte;
            written += 1;
        }
        self.length += written;
        Ok(())
    }
}
