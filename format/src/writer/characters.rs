//! Writes the outcome of every character as the characters section.

use alloc::string::String;
use alloc::vec::Vec;

use super::strings::string_table;
use super::{WriteError, push_u32};
use crate::Section;
use crate::characters::{
    ASCII, DROPPED, FIRST_TARGET, ISOLATED_UNKNOWN, MAPPED_RUN, SPACE, UNKNOWN,
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

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let section = Section::Characters;
        let mut bytes = string_table(self.words.iter().chain(&self.isolated), section)?;
        let runs = character_runs(self.codes.get(ASCII..).unwrap_or(&[]));
        push_u32(&mut bytes, self.words.len(), section)?;
        push_u32(&mut bytes, runs.len(), section)?;
        // The default map has no codes: every character is unknown.
        let codes = self.codes.iter().copied();
        let ascii = codes.chain(core::iter::repeat(UNKNOWN)).take(ASCII);
        bytes.extend(ascii.flat_map(u16::to_le_bytes));
        bytes.extend(runs);
        Ok(bytes)
    }
}

/// Runs of equal classes; stretches of mapped characters list their codes.
fn character_runs(codes: &[u16]) -> Vec<u8> {
    let class = |code: u16| match code {
        UNKNOWN | DROPPED | ISOLATED_UNKNOWN => u32::from(code),
        _ => MAPPED_RUN,
    };
    let used = codes
        .iter()
        .rposition(|&code| code != UNKNOWN)
        .map_or(0, |last| last + 1);
    let mut bytes = Vec::new();
    let codes = codes.get(..used).unwrap_or(&[]);
    for run in codes.chunk_by(|&a, &b| class(a) == class(b)) {
        let kind = run.first().map_or(0, |&code| class(code));
        // At most 0x11_0000 characters: the shifted count fits.
        let count = u32::try_from(run.len()).unwrap_or(0);
        push_code(&mut bytes, count << 2 | kind);
        if kind == MAPPED_RUN {
            for &code in run {
                push_code(&mut bytes, u32::from(code));
            }
        }
    }
    bytes
}

fn push_code(bytes: &mut Vec<u8>, mut value: u32) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}
