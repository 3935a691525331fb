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
//!
//! The index, a section of its own that older files do not have, states which character is next at
//! every 32nd byte of the runs, so that a search reads few of them.

use crate::bytes::{Reader, u16_at};
use crate::strings::StringTable;
use crate::{ErrorKind, Section};

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
pub(crate) const FIRST_BEYOND_ASCII: u32 = 0x80;
/// Bytes of the runs from one entry of the index to the next.
pub(crate) const INDEX_STEP: usize = 32;
/// Bytes of one entry of the index.
const INDEX_ENTRY: usize = 4;
/// Bytes of the outcomes of ASCII.
const ASCII_BYTES: usize = ASCII * 2;

/// The checked table of outcomes.
#[derive(Clone, Copy, Debug)]
pub struct Characters<'a> {
    targets: StringTable<'a>,
    word_targets: usize,
    /// Outcomes of ASCII, then the runs: one slice, because a classifier holds this view in memory.
    codes: &'a [u8],
    /// Empty in a file without an index.
    index: &'a [[u8; INDEX_ENTRY]],
}

impl<'a> Characters<'a> {
    /// Reads the section, and checks `index`, the section of that name, against it.
    pub(crate) fn read(reader: &mut Reader<'a, '_>, index: Option<&'a [u8]>) -> Option<Self> {
        let targets = StringTable::read(reader)?;
        let word_targets_at = reader.position();
        let word_targets = reader.index()?;
        if word_targets > targets.len() || targets.len() > usize::from(u16::MAX - FIRST_TARGET) {
            return reader.found(ErrorKind::Index, word_targets_at);
        }
        let run_bytes = reader.index()?;
        let ascii_at = reader.position();
        let mut ahead = reader.clone();
        ahead.take(ASCII_BYTES)?;
        ahead.take(run_bytes)?;
        let codes = reader.take(ASCII_BYTES + run_bytes)?;
        let characters = Self {
            targets,
            word_targets,
            codes,
            index: index.unwrap_or_default().as_chunks().0,
        };
        for at in (0..ASCII_BYTES).step_by(2) {
            if !characters.is_code(u32::from(u16_at(codes, at))) {
                return reader.found(ErrorKind::Index, ascii_at + at);
            }
        }
        if let Some(index) = index {
            let expected = index_entries(run_bytes) * INDEX_ENTRY;
            if index.len() != expected {
                let short = index.len() < expected;
                let kind = if short {
                    ErrorKind::Truncated
                } else {
                    ErrorKind::Trailing
                };
                let at = index.len().min(expected);
                return reader.fault.found(kind, Section::CharacterIndex, at);
            }
        }
        match characters.check_runs() {
            Ok(()) => Some(characters),
            Err(Wrong::Run(kind, at)) => reader.found(kind, ascii_at + ASCII_BYTES + at),
            Err(Wrong::Entry(entry)) => {
                let at = entry * INDEX_ENTRY;
                let (kind, section) = (ErrorKind::Index, Section::CharacterIndex);
                reader.fault.found(kind, section, at)
            }
        }
    }

    fn is_code(&self, code: u32) -> bool {
        (code as usize) < self.targets.len() + usize::from(FIRST_TARGET)
    }

    fn runs(&self) -> &'a [u8] {
        self.codes.get(ASCII_BYTES..).unwrap_or(&[])
    }

    #[inline(never)]
    fn check_runs(&self) -> Result<(), Wrong> {
        let runs = self.runs();
        let mut codes = Codes { bytes: runs };
        let mut first = FIRST_BEYOND_ASCII;
        // Outcomes of a run that are not read yet.
        let mut mapped = 0;
        let mut entries = self.index.iter().enumerate();
        let mut entry_from = INDEX_STEP;
        loop {
            let at = runs.len() - codes.bytes.len();
            if at >= entry_from {
                entry_from += INDEX_STEP;
                let expected = entry(first - mapped, mapped);
                if let Some((number, found)) = entries.next()
                    && *found != expected
                {
                    return Err(Wrong::Entry(number));
                }
            }
            if codes.bytes.is_empty() && mapped == 0 {
                return Ok(());
            }
            let code = codes.next().ok_or(Wrong::Run(ErrorKind::Truncated, at))?;
            if mapped > 0 {
                mapped -= 1;
                if !self.is_code(code) {
                    return Err(Wrong::Run(ErrorKind::Index, at));
                }
                continue;
            }
            let count = code >> 2;
            if count == 0 || count > 0x11_0000 - first {
                return Err(Wrong::Run(ErrorKind::Index, at));
            }
            first += count;
            if code & 3 == MAPPED_RUN {
                mapped = count;
            }
        }
    }

    /// What normalisation does to `character`.
    ///
    /// A character beyond ASCII costs a binary search in the index and a walk over at most 32
    /// codes; in a file without an index, a walk over all runs before it.
    #[must_use]
    pub fn outcome(&self, character: char) -> Outcome<'a> {
        match self.code(character) {
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

    /// `text` from its first character that is not within a word: white space, or a word of its
    /// own. Dropped characters do not end a word.
    #[inline(never)]
    #[must_use]
    pub fn after_word<'t>(&self, text: &'t str) -> &'t str {
        // The codes before the first target wrap to more than there are targets.
        let is_within = |code: u16| {
            let target = usize::from(code.wrapping_sub(FIRST_TARGET));
            code < ISOLATED_UNKNOWN || target < self.word_targets
        };
        let mut rest = text;
        loop {
            let ascii = rest.bytes().take_while(|&byte| {
                byte.is_ascii() && is_within(u16_at(self.codes, usize::from(byte) * 2))
            });
            rest = rest.get(ascii.count()..).unwrap_or_default();
            let mut after = rest.chars();
            match after.next() {
                Some(next) if is_within(self.code(next)) => rest = after.as_str(),
                Some(_) | None => return rest,
            }
        }
    }

    /// Bytes of the longest target, 0 without any.
    #[must_use]
    pub fn longest_target(&self) -> usize {
        self.targets.iter().map(str::len).max().unwrap_or(0)
    }

    /// Bytes of the runs that finding a character reads at most, and entries of the index.
    #[must_use]
    pub fn longest_search(&self) -> usize {
        let runs = self.runs().len();
        if self.index.is_empty() {
            return runs;
        }
        let entries = usize::BITS - self.index.len().leading_zeros();
        INDEX_STEP + INDEX_ENTRY + entries as usize
    }

    fn code(&self, character: char) -> u16 {
        if character.is_ascii() {
            u16_at(self.codes, character as usize * 2)
        } else {
            self.search_runs(character as u32)
        }
    }

    /// The code of a character beyond ASCII.
    #[inline(never)]
    fn search_runs(&self, scalar: u32) -> u16 {
        let parts = |entry: &[u8; INDEX_ENTRY]| {
            let word = u32::from_le_bytes(*entry);
            (word >> 8, word & 0xff)
        };
        let before = self.index.partition_point(|entry| parts(entry).0 <= scalar);
        let mut codes = Codes { bytes: self.runs() };
        let (mut first, mut mapped) = (FIRST_BEYOND_ASCII, 0);
        let last = before.checked_sub(1);
        if let Some(entry) = last.and_then(|last| self.index.get(last)) {
            (first, mapped) = parts(entry);
            // The code that has the byte before the multiple ends at the boundary.
            let at = before * INDEX_STEP - 1;
            codes.bytes = codes.bytes.get(at..).unwrap_or(&[]);
            codes.pass(1);
        }
        let mut run = mapped << 2 | MAPPED_RUN;
        loop {
            let (count, class) = (run >> 2, run & 3);
            let within = scalar.wrapping_sub(first);
            let is_mapped = class == MAPPED_RUN;
            if within < count {
                let code = if is_mapped {
                    codes.pass(within);
                    codes.next().unwrap_or(0)
                } else {
                    class
                };
                return u16::try_from(code).unwrap_or(UNKNOWN);
            }
            if is_mapped {
                codes.pass(count);
            }
            first = first.saturating_add(count);
            match codes.next() {
                Some(next) => run = next,
                None => return UNKNOWN,
            }
        }
    }
}

/// Entries of the index of runs of so many bytes.
pub(crate) fn index_entries(run_bytes: usize) -> usize {
    run_bytes.saturating_sub(1) / INDEX_STEP
}

/// The entry of the index where `scalar` is next and a run has `mapped` listed characters left.
pub(crate) fn entry(scalar: u32, mapped: u32) -> [u8; INDEX_ENTRY] {
    (scalar << 8 | mapped.min(0xff)).to_le_bytes()
}

/// What is wrong with the runs.
enum Wrong {
    /// And at which byte of them.
    Run(ErrorKind, usize),
    /// An entry of the index is not the one that they determine.
    Entry(usize),
}

/// Variable-length integers: 7 bits a byte, low first, at most four bytes.
struct Codes<'a> {
    bytes: &'a [u8],
}

impl Codes<'_> {
    /// Passes over `count` integers without reading them.
    fn pass(&mut self, mut count: u32) {
        while count > 0 {
            let Some((&byte, rest)) = self.bytes.split_first() else {
                return;
            };
            self.bytes = rest;
            count -= u32::from(byte & 0x80 == 0);
        }
    }
}

impl Iterator for Codes<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            if shift > 21 {
                return None;
            }
        }
    }
}
