//! Writes the outcome of every character as the characters section, and the index of it.

use alloc::string::String;
use alloc::vec::Vec;

use super::strings::string_table;
use super::{WriteError, push_u32};
use crate::Section;
use crate::characters::{
    ASCII, DROPPED, FIRST_BEYOND_ASCII, FIRST_TARGET, INDEX_STEP, ISOLATED_UNKNOWN, MAPPED_RUN,
    SPACE, UNKNOWN, entry, index_entries,
};

/// What normalisation does to a character, as the exporter determined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CharacterOutcome {
    /// Part of a word, but in no piece of the vocabulary.
    Unknown,
    /// Removed.
    Dropped,
    /// A word of its own that is not in the vocabulary.
    IsolatedUnknown,
    /// White space.
    Space,
    /// These characters, within the word.
    Word(String),
    /// These characters, a word of its own.
    Isolated(String),
}

impl CharacterOutcome {
    fn word(&self) -> Option<&String> {
        if let Self::Word(target) = self {
            Some(target)
        } else {
            None
        }
    }

    fn isolated(&self) -> Option<&String> {
        if let Self::Isolated(target) = self {
            Some(target)
        } else {
            None
        }
    }
}

/// The outcome of every character, as runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharacterMap {
    words: Vec<String>,
    isolated: Vec<String>,
    /// Outcome code of each scalar value from 0; surrogates, and what is beyond
    /// the end, are unknown.
    codes: Vec<u16>,
}

impl CharacterMap {
    /// Asks `outcome` about every character.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] with more than 65,531 different targets.
    pub fn new(outcome: impl Fn(char) -> CharacterOutcome) -> Result<Self, WriteError> {
        let outcomes: Vec<CharacterOutcome> = (0..=u32::from(char::MAX))
            .map(|scalar| char::from_u32(scalar).map_or(CharacterOutcome::Unknown, &outcome))
            .collect();
        let targets = |wanted: fn(&CharacterOutcome) -> Option<&String>| {
            let mut targets: Vec<String> = outcomes.iter().filter_map(wanted).cloned().collect();
            targets.sort();
            targets.dedup();
            targets
        };
        let words = targets(CharacterOutcome::word);
        let isolated = targets(CharacterOutcome::isolated);
        if words.len() + isolated.len() > usize::from(u16::MAX - FIRST_TARGET) {
            return Err(WriteError::TooLarge(Section::Characters));
        }
        let target_code = |index: usize| {
            u16::try_from(index + usize::from(FIRST_TARGET))
                .map_err(|_| WriteError::TooLarge(Section::Characters))
        };
        let find = |targets: &[String], target| targets.binary_search(target).unwrap_or(0);
        let codes = outcomes
            .iter()
            .map(|outcome| match outcome {
                CharacterOutcome::Unknown => Ok(UNKNOWN),
                CharacterOutcome::Dropped => Ok(DROPPED),
                CharacterOutcome::IsolatedUnknown => Ok(ISOLATED_UNKNOWN),
                CharacterOutcome::Space => Ok(SPACE),
                CharacterOutcome::Word(target) => target_code(find(&words, target)),
                CharacterOutcome::Isolated(target) => {
                    target_code(words.len() + find(&isolated, target))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words,
            isolated,
            codes,
        })
    }

    /// The characters section, and the character index.
    pub(super) fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>), WriteError> {
        let section = Section::Characters;
        let mut bytes = string_table(self.words.iter().chain(&self.isolated), section)?;
        let (runs, index) = character_runs(self.codes.get(ASCII..).unwrap_or(&[]));
        push_u32(&mut bytes, self.words.len(), section)?;
        push_u32(&mut bytes, runs.len(), section)?;
        // The default map has no codes: every character is unknown.
        let codes = self.codes.iter().copied();
        let ascii = codes.chain(core::iter::repeat(UNKNOWN)).take(ASCII);
        bytes.extend(ascii.flat_map(u16::to_le_bytes));
        bytes.extend(runs);
        Ok((bytes, index))
    }
}

/// Runs of equal classes, where stretches of mapped characters list their codes; and their index.
fn character_runs(codes: &[u16]) -> (Vec<u8>, Vec<u8>) {
    let class = |code: u16| match code {
        UNKNOWN | DROPPED | ISOLATED_UNKNOWN => u32::from(code),
        _ => MAPPED_RUN,
    };
    let used = codes
        .iter()
        .rposition(|&code| code != UNKNOWN)
        .map_or(0, |last| last + 1);
    let mut runs = Runs::default();
    let mut first = FIRST_BEYOND_ASCII;
    let codes = codes.get(..used).unwrap_or(&[]);
    for run in codes.chunk_by(|&a, &b| class(a) == class(b)) {
        let kind = run.first().map_or(0, |&code| class(code));
        // At most 0x11_0000 characters: the shifted count fits.
        let count = u32::try_from(run.len()).unwrap_or(0);
        let end = first + count;
        if kind == MAPPED_RUN {
            runs.push(count << 2 | kind, first, count);
            for (&code, scalar) in run.iter().zip(first + 1..) {
                runs.push(u32::from(code), scalar, end - scalar);
            }
        } else {
            runs.push(count << 2 | kind, end, 0);
        }
        first = end;
    }
    let entries = index_entries(runs.bytes.len());
    let index = runs.index.into_iter().take(entries).flatten().collect();
    (runs.bytes, index)
}

#[derive(Default)]
struct Runs {
    bytes: Vec<u8>,
    /// One more than needed if the last boundary is at a multiple of the step.
    index: Vec<[u8; 4]>,
}

impl Runs {
    /// Adds an integer, after which `scalar` is next and the run has `mapped` characters left.
    fn push(&mut self, mut value: u32, scalar: u32, mapped: u32) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.bytes.push(low & 0x7f);
                break;
            }
            self.bytes.push(low | 0x80);
        }
        if self.bytes.len() >= (self.index.len() + 1) * INDEX_STEP {
            self.index.push(entry(scalar, mapped));
        }
    }
}
