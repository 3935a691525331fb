//! The WordPiece vocabulary: training it, and what a model file needs of it.
//!
//! ```text
//! texts ─ train ─────┐
//! other's pieces ────┴► Vocabulary
//!         (from_pieces)          ├ reference ──► the tokenizer as `tokenizers` runs it
//!                             ├ characters ─► what the file says of each character
//!                             └ settings ───► what the manifest says
//! ```
//!
//! The runtime's tokenizer and [`Vocabulary::reference`] give the same ids.

mod alphabet;
mod endless;
mod normalization;
mod reference;
mod unicode;
mod usage;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use neuroprune_format::manifest::TokenizerSettings;
use neuroprune_format::tensor::WORD_CHARACTERS;
use neuroprune_format::vocabulary::PIECE_BYTES;
use neuroprune_format::writer::{CharacterMap, CharacterOutcome, WriteError};
use serde::{Deserialize, Serialize};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::{AddedToken, Model as _, Trainer as _};

pub(crate) use endless::without_endless_words;
pub(crate) use normalization::Normalization;
pub(crate) use reference::word_piece;
use unicode::Form;
pub(crate) use unicode::for_each_word;
pub(crate) use usage::{only_character, spell};
pub(crate) use words::{count_words, reachable};

/// Stands for a word that cannot be split into pieces.
pub(crate) const UNKNOWN: &str = "[UNK]";
/// Begins a sequence.
pub(crate) const START: &str = "[CLS]";
/// Ends each text of a sequence.
pub(crate) const SEPARATOR: &str = "[SEP]";
/// Most pieces a vocabulary may have: the rows of an embedding table.
pub(crate) const SIZE_LIMIT: usize = u16::MAX as usize;

/// The special tokens, in the order of their bytes.
pub(crate) const SPECIAL: [&str; 3] = [START, SEPARATOR, UNKNOWN];
/// What marks a piece that continues a word, in the reference's vocabulary.
pub(crate) const PREFIX: &str = "##";
/// Pairs of pieces are joined when they occur this often.
const MIN_FREQUENCY: u64 = 2;

/// The pieces of a WordPiece tokenizer.
///
/// A token id is the position in [`initial`](Self::initial) followed by
/// [`continuation`](Self::continuation).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Pieces", into = "Pieces")]
pub struct Vocabulary {
    pieces: Pieces,
    special: SpecialIds,
}

/// A vocabulary as checkpoints store it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pieces {
    initial: Vec<String>,
    continuation: Vec<String>,
    normalization: Normalization,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SpecialIds {
    unknown: u16,
    start: u16,
    separator: u16,
}

/// Why a vocabulary cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// Fewer pieces than special tokens and one character, or too many.
    #[error("a vocabulary of {0} pieces: 4 to 65535 are possible")]
    Size(usize),
    /// Fewer pieces than the characters of the texts take.
    #[error("a vocabulary of {size} pieces: the characters of the texts alone are {needed}")]
    TooFew {
        /// Pieces asked for.
        size: usize,
        /// Those that cannot be left out.
        needed: usize,
    },
    /// The lists of pieces are not sorted, not unique, or lack a special token.
    #[error("not a vocabulary: pieces must ascend by bytes and include [UNK], [CLS] and [SEP]")]
    Pieces,
    /// Fewer tokens than `[CLS]` and `[SEP]`.
    #[error("sequences of {0} tokens: the special tokens alone are 2")]
    Tokens(usize),
    /// A character becomes more than one word and part of a word at once.
    #[error("U+{:04X} becomes several words when normalised", u32::from(*.0))]
    Mixed(char),
    /// The order of these two in a text depends on both, not on each alone.
    #[error(
        "normalisation reorders U+{:04X} and U+{:04X}; a vocabulary can have one of them",
        u32::from(*.0),
        u32::from(*.1)
    )]
    Reordered(char, char),
    /// More characters than a model file can tell apart.
    #[error("the table of characters: {0}")]
    Characters(#[source] WriteError),
    /// The `tokenizers` crate failed.
    #[error("tokenizers: {0}")]
    Tokenizers(#[from] tokenizers::Error),
}

impl Vocabulary {
    /// Trains WordPiece on `texts`: at most `size` pieces, special tokens included.
    ///
    /// At least half of the pieces are left to strings of several characters; the
    /// characters that occur most often share the rest. Words with another
    /// character, or of more than 100 characters, are unknown to such a
    /// vocabulary, so nothing is learned from them.
    ///
    /// The same texts give the same pieces, in whatever order they are.
    ///
    /// # Errors
    /// [`VocabularyError::Size`], or what the `tokenizers` crate says.
    pub fn train<'t>(
        texts: impl Iterator<Item = &'t str>,
        size: usize,
        normalization: Normalization,
    ) -> Result<Self, VocabularyError> {
        if size <= SPECIAL.len() || size > SIZE_LIMIT {
            return Err(VocabularyError::Size(size));
        }
        let mut words = count_words(texts, normalization)?;
        let alphabet = alphabet::choose(&words, (size - SPECIAL.len()).div_ceil(2));
        words.retain(|word, _| word.chars().all(|character| alphabet.contains(&character)));

        let mut trainer = WordPieceTrainer::builder()
            .vocab_size(size)
            .min_frequency(MIN_FREQUENCY)
            .special_tokens(first_tokens(&words, &alphabet))
            .show_progress(false)
            .build();
        let times = |word: &str| {
            let count = words.get(word).copied().unwrap_or(0);
            Ok(vec![word.to_owned(); count])
        };
        trainer.feed(words.keys(), times)?;
        let mut model = WordPiece::default();
        trainer.train(&mut model)?;

        Self::from_pieces(model.get_vocab().into_keys(), normalization)
    }

    /// A vocabulary of these tokens, in whatever order; those that continue a word
    /// begin with `##`. Pieces of more than 255 bytes, which a model file has no place for, are left
    /// out: what they spelled is spelled by shorter ones.
    ///
    /// # Errors
    /// [`VocabularyError::Pieces`] where a special token is missing or a token occurs twice,
    /// [`VocabularyError::Size`] with too many.
    pub fn from_pieces(
        tokens: impl Iterator<Item = String>,
        normalization: Normalization,
    ) -> Result<Self, VocabularyError> {
        let (mut continuation, mut initial): (Vec<String>, Vec<String>) =
            tokens.partition(|token| token.starts_with(PREFIX));
        initial.retain(|piece| piece.len() <= PIECE_BYTES);
        continuation.retain(|piece| piece.len() - PREFIX.len() <= PIECE_BYTES);
        for token in &mut continuation {
            token.drain(..PREFIX.len());
        }
        initial.sort();
        continuation.sort();
        Self::try_from(Pieces {
            initial,
            continuation,
            normalization,
        })
    }

    /// Every token as other tokenizers write it, in the order of ids.
    pub fn tokens(&self) -> impl Iterator<Item = String> {
        let continuation = self.continuation().iter();
        let continuation = continuation.map(|piece| format!("{PREFIX}{piece}"));
        self.initial().iter().cloned().chain(continuation)
    }

    /// What is done to texts first.
    #[must_use]
    pub fn normalization(&self) -> Normalization {
        self.pieces.normalization
    }

    /// Number of pieces, which is the number of token ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.initial.len() + self.pieces.continuation.len()
    }

    /// Never true: there are always the special tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of words that cannot be split into pieces.
    pub(crate) fn unknown(&self) -> u32 {
        self.special.unknown.into()
    }

    /// Pieces that begin a word, and the special tokens, ascending by bytes.
    #[must_use]
    pub fn initial(&self) -> &[String] {
        &self.pieces.initial
    }

    /// Pieces that continue a word, without `##`, ascending by bytes.
    #[must_use]
    pub fn continuation(&self) -> &[String] {
        &self.pieces.continuation
    }

    /// What a model's manifest states about this vocabulary; `pair` is whether the model takes
    /// pairs of texts.
    #[must_use]
    pub fn settings(&self, pair: bool) -> TokenizerSettings {
        let SpecialIds {
            unknown,
            start,
            separator,
        } = self.special;
        TokenizerSettings {
            unknown,
            start,
            separator,
            word_characters: WORD_CHARACTERS,
            pair,
        }
    }

    /// What normalisation does to each character, as the reference's normaliser and pre-tokenizer
    /// themselves do it, as far as these pieces distinguish it.
    ///
    /// Takes about a second: every Unicode character is tried.
    ///
    /// # Errors
    /// [`VocabularyError::Mixed`] or [`VocabularyError::Reordered`] where a table of single
    /// characters could not express what the reference does; [`VocabularyError::Characters`] with
    /// more than 65,531 different targets.
    pub fn characters(&self) -> Result<CharacterMap, VocabularyError> {
        let initial = self.initial().iter().map(String::as_str);
        let initial: HashSet<&str> = initial.filter(|piece| !SPECIAL.contains(piece)).collect();
        let pieces = initial
            .iter()
            .copied()
            .chain(self.continuation().iter().map(String::as_str));
        let known: BTreeSet<char> = pieces.flat_map(str::chars).collect();
        let normalization = self.pieces.normalization;
        // Marks change places where accents are looked for.
        let reordered = alphabet::reordered(&known).filter(|_| normalization.strip_accents);
        if let Some((one, other)) = reordered {
            return Err(VocabularyError::Reordered(one, other));
        }
        let mut outcomes = Vec::new();
        unicode::for_each_form(normalization, |character, form| {
            // Surrogates are not characters; they are never looked up.
            outcomes.resize(character as usize, CharacterOutcome::Unknown);
            outcomes.push(match form {
                Form::Dropped => CharacterOutcome::Dropped,
                Form::Space => CharacterOutcome::Space,
                Form::Word(text) if text.chars().all(|c| known.contains(&c)) => {
                    CharacterOutcome::Word(text.to_owned())
                }
                Form::Word(_) => CharacterOutcome::Unknown,
                Form::Isolated(text) if initial.contains(text) => {
                    CharacterOutcome::Isolated(text.to_owned())
                }
                Form::Isolated(_) => CharacterOutcome::IsolatedUnknown,
            });
        })?;
        let outcome = |character: char| {
            let outcome = outcomes.get(character as usize).cloned();
            outcome.unwrap_or(CharacterOutcome::Unknown)
        };
        CharacterMap::new(outcome).map_err(VocabularyError::Characters)
    }
}

impl TryFrom<Pieces> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(pieces: Pieces) -> Result<Self, VocabularyError> {
        let ascends = |half: &[String]| half.is_sorted_by(|one, next| one < next);
        let Pieces {
            initial,
            continuation,
            ..
        } = &pieces;
        let is_plain = |piece: &String| !piece.is_empty() && !piece.starts_with(PREFIX);
        if !ascends(initial)
            || !ascends(continuation)
            || !initial.iter().chain(continuation).all(is_plain)
        {
            return Err(VocabularyError::Pieces);
        }
        let size = initial.len() + continuation.len();
        if size > SIZE_LIMIT {
            return Err(VocabularyError::Size(size));
        }
        let id = |token: &str| {
            let position = initial.binary_search_by(|piece| piece.as_str().cmp(token));
            position
                .ok()
                .and_then(|position| u16::try_from(position).ok())
                .ok_or(VocabularyError::Pieces)
        };
        let special = SpecialIds {
            unknown: id(UNKNOWN)?,
            start: id(START)?,
            separator: id(SEPARATOR)?,
        };
        Ok(Self { pieces, special })
    }
}

impl From<Vocabulary> for Pieces {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.pieces
    }
}

/// The special tokens, then every single character in both of its forms.
///
/// By itself the trainer numbers the continuing forms in the order of the words in its hash map,
/// which has another seed in each process; and these numbers decide between pairs that are equally
/// frequent.
fn first_tokens(words: &BTreeMap<String, usize>, alphabet: &BTreeSet<char>) -> Vec<AddedToken> {
    let continuing: BTreeSet<char> = words.keys().flat_map(|word| word.chars().skip(1)).collect();
    let special = SPECIAL.into_iter().map(str::to_owned);
    let initial = alphabet.iter().map(char::to_string);
    let continuing = continuing
        .iter()
        .map(|character| format!("{PREFIX}{character}"));
    special
        .chain(initial)
        .chain(continuing)
        .map(|token| AddedToken::from(token, true))
        .collect()
}

#[cfg(test)]
mod tests;
