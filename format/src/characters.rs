//! What text normalisation does to each character, computed at export.
//!
//! The trainer runs the model's own normaliser and pre-tokenizer over all of
//! Unicode and keeps only the distinctions that matter to this vocabulary, so that a device is
//! exact without Unicode tables.
//!
//! Bytes: a [`StringTable`] of targets; `word_targets: u32`; `run_bytes: u32`;
//! 128 × `u16` outcomes of ASCII; runs that cover U+0080 upward. A run is a
//! variable-length integer `count << 2 | class` (7 bits a byte, low first): class
//! 0 unknown, 1 dropped, 2 isolated and unknown, 3 mapped, followed by `count`
//! variable-length outcome codes. Characters that no run covers are unknown.

use crate::ErrorKind;
use crate::bytes::{Reader, u16_at};
use crate::strings::StringTable;

/// What normalisation does to one character of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Part of a word, but in no piece of the vocabulary: the word is unknown.
    Unknown,
    /// Removed from the text (control characters, combining marks).
    Dropped,
    /// A word of its own that is not in the vocabulary.
    IsolatedUnknown,
    /// White space: ends a word.
    Space,
    /// Replaced by these characters within the word.
    Word(&'a str),
    /// Replaced by these characters, a word of its own (punctuation, CJK).
    Isolated(&'a str),
}

/// Codes of outcomes without a target.
pub(crate) const UNKNOWN: u16 = 0;
pub(crate) const DROPPED: u16 = 1;
pub(crate) const ISOLATED_UNKNOWN: u16 = 2;
pub(crate) const SPACE: u16 = 3;
/// The code of target 0.
pub(crate) const FIRST_TARGET: u16 = 4;
/// The class of a run that lists an outcome code for each character.
pub(crate) const MAPPED_RUN: u32 = 3;
/// Number of ASCII characters, which are looked up directly.
pub(crate) const ASCII: usize = 128;
/// The first scalar value the runs cover.
const FIRST_BEYOND_ASCII: u32 = 0x80;

/// The checked table of outcomes.
#[derive(Clone, Copy, Debug)]
pub struct Characters<'a> {
    targets: StringTable<'a>,
    word_targets: usize,
    ascii: &'a [u8],
    runs: &'a [u8],
}

impl<'a> Characters<'a> {
    pub(crate) fn read(reader: &mut Reader<'a, '_>) -> Option<Self> {
        let targets = StringTable::read(reader)?;
        let word_targets_at = reader.position();
        let word_targets = reader.index()?;
        if word_targets > targets.len() || targets.len() > usize::from(u16::MAX - FIRST_TARGET) {
            return reader.found(ErrorKind::Index, word_targets_at);
        }
        let run_bytes = reader.index()?;
        let ascii_at = reader.position();
        let ascii = reader.take_items(ASCII, 2)?;
        let runs_at = reader.position();
        let runs = reader.take(run_bytes)?;
        let characters = Self {
            targets,
            word_targets,
            ascii,
            runs,
        };
        for index in 0..ASCII {
            if !characters.is_code(u32::from(u16_at(ascii, index * 2))) {
                return reader.found(ErrorKind::Index, ascii_at + index * 2);
            }
        }
        match characters.check_runs() {
            Ok(()) => Some(characters),
            Err((kind, at)) => reader.found(kind, runs_at + at),
        }
    }

    fn is_code(&self, code: u32) -> bool {
        (code as usize) < self.targets.len() + usize::from(FIRST_TARGET)
    }

    fn check_runs(&self) -> Result<(), (ErrorKind, usize)> {
        let mut codes = Codes { bytes: self.runs };
        let mut first = FIRST_BEYOND_ASCII;
        // Outcomes of a run that are not read yet.
        let mut mapped = 0;
        while !codes.bytes.is_empty() || mapped > 0 {
            let at = self.runs.len() - codes.bytes.len();
            let code = codes.next().ok_or((ErrorKind::Truncated, at))?;
            if mapped > 0 {
                mapped -= 1;
                if !self.is_code(code) {
                    return Err((ErrorKind::Index, at));
                }
                continue;
            }
            let count = code >> 2;
            if count == 0 || count > 0x11_0000 - first {
                return Err((ErrorKind::Index, at));
            }
            first += count;
            if code & 3 == MAPPED_RUN {
                mapped = count;
            }
        }
        Ok(())
    }

    /// What normalisation does to `character`.
    #[must_use]
    pub fn outcome(&self, character: char) -> Outcome<'a> {
        let code = if character.is_ascii() {
            u16_at(self.ascii, character as usize * 2)
        } else {
            self.search_runs(character as u32)
        };
        match code {
            UNKNOWN => Outcome::Unknown,
            DROPPED => Outcome::Dropped,
            ISOLATED_UNKNOWN => Outcome::IsolatedUnknown,
            SPACE => Outcome::Space,
            code => {
                let index = usize::from(code - FIRST_TARGET);
                let target = self.targets.get(index).unwrap_or("");
                if index < self.word_targets {
                    Outcome::Word(target)
                } else {
                    Outcome::Isolated(target)
                }
            }
        }
    }

    fn search_runs(&self, scalar: u32) -> u16 {
        let mut codes = Codes { bytes: self.runs };
        let mut first = FIRST_BEYOND_ASCII;
        while let Some(run) = codes.next() {
            let count = run >> 2;
            let within = scalar.wrapping_sub(first) < count;
            match run & 3 {
                MAPPED_RUN => {
                    for index in 0..count {
                        let code = codes.next().unwrap_or(0);
                        if within && first + index == scalar {
                            return u16::try_from(code).unwrap_or(UNKNOWN);
                        }
                    }
                }
                class if within => return u16::try_from(class).unwrap_or(UNKNOWN),
                _ => {}
            }
            first = first.saturating_add(count);
        }
        UNKNOWN
    }
}

/// Variable-length integers: 7 bits a byte, low first, at most four bytes.
struct Codes<'a> {
    bytes: &'a [u8],
}

impl Iterator for Codes<'_> {
    type Item = u32;

    #[inline(never)]
    fn next(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
