//! What the reference's normaliser and pre-tokenizer do to each character.

use std::sync::LazyLock;

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::normalizer::SplitDelimiterBehavior;
use tokenizers::tokenizer::pre_tokenizer::OffsetType;
use tokenizers::{
    NormalizedString, Normalizer as _, OffsetReferential, PreTokenizedString, PreTokenizer as _,
};

use super::{Normalization, VocabularyError, without_endless_words};
use crate::recipe::Splitting;

/// What a character between two letters becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<'w> {
    /// Nothing.
    Dropped,
    /// The end of a word.
    Space,
    /// These characters, in the word.
    Word(&'w str),
    /// These characters, a word of their own.
    Isolated(&'w str),
}

/// A letter of a script that is written without spaces between words, Chinese apart; the sign of a
/// long vowel is of no script.
const UNSPACED: &str =
    r"[\p{Hiragana}\p{Katakana}ーｰ\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]";
/// Characters that are tried in one text.
const BATCH: usize = 512;
/// Precedes a character; itself unchanged by everything that is done to text.
const BEFORE: char = 'x';
/// Follows a character, likewise.
const AFTER: char = 'y';

/// Removes control characters, and does what `normalization` says.
pub(super) fn normalizer(normalization: Normalization) -> BertNormalizer {
    let Normalization {
        lowercase,
        strip_accents,
        splitting,
    } = normalization;
    let splits_chinese = splitting != Splitting::Spaces;
    BertNormalizer::new(true, splits_chinese, Some(strip_accents), lowercase)
}

/// Splits at white space and around punctuation; with [`Splitting::Letters`] also around each letter
/// of scripts without spaces.
pub(super) fn pre_tokenizer(
    splitting: Splitting,
) -> Result<&'static PreTokenizerWrapper, VocabularyError> {
    // A regular expression takes a while to be made.
    static BERT: PreTokenizerWrapper = PreTokenizerWrapper::BertPreTokenizer(BertPreTokenizer);
    static LETTERS: LazyLock<Result<PreTokenizerWrapper, tokenizers::Error>> =
        LazyLock::new(|| {
            let letters = SplitPattern::Regex(UNSPACED.to_owned());
            let letters = Split::new(letters, SplitDelimiterBehavior::Isolated, false)?;
            // In this order it is one search in a text, not one in each word.
            let both = Sequence::new(vec![letters.into(), BertPreTokenizer.into()]);
            Ok(both.into())
        });
    match splitting {
        Splitting::Spaces | Splitting::Chinese => Ok(&BERT),
        Splitting::Letters => LETTERS
            .as_ref()
            .map_err(|error| tokenizers::Error::from(error.to_string()).into()),
    }
}

/// Calls `visit` with each normalised word of `text`.
pub(crate) fn for_each_word(
    text: &str,
    normalization: Normalization,
    mut visit: impl FnMut(&str),
) -> Result<(), VocabularyError> {
    let text = without_endless_words(text);
    let mut normalized = NormalizedString::from(&*text);
    normalizer(normalization).normalize(&mut normalized)?;
    let mut words = PreTokenizedString::from(normalized);
    pre_tokenizer(normalization.splitting)?.pre_tokenize(&mut words)?;
    for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        visit(word);
    }
    Ok(())
}

/// Calls `visit` with each character of Unicode, in order, and what becomes of it.
///
/// Many characters share one text, each between letters of its own. That changes
/// nothing: normalisation looks at one character at a time except where it orders
/// combining marks, and a letter ends that.
///
/// # Errors
/// [`VocabularyError::Mixed`] for a character that is none of the [`Form`]s.
pub(super) fn for_each_form(
    normalization: Normalization,
    mut visit: impl FnMut(char, Form<'_>),
) -> Result<(), VocabularyError> {
    let mut characters = '\0'..=char::MAX;
    let mut text = String::new();
    loop {
        let batch: Vec<char> = characters.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        text.clear();
        for &character in &batch {
            text.extend([BEFORE, character, AFTER, ' ']);
        }
        let mut asked = batch.iter().copied();
        let mut words = Vec::new();
        let mut mixed = None;
        for_each_word(&text, normalization, |word| {
            words.push(word.to_owned());
            if word.ends_with(AFTER) {
                match (asked.next(), form(&words)) {
                    (Some(character), Some(form)) => visit(character, form),
                    (character, _) => mixed = mixed.or(character),
                }
                words.clear();
            }
        })?;
        // Answers that do not add up are those of something that is not a `Form`.
        if let Some(character) = mixed.or(asked.next()) {
            return Err(VocabularyError::Mixed(character));
        }
    }
}

/// Reads the words that a character between two letters became.
fn form(words: &[String]) -> Option<Form<'_>> {
    let is = |word: &str, letter| word.chars().eq([letter]);
    match words {
        [before, after] if is(before, BEFORE) && is(after, AFTER) => Some(Form::Space),
        [before, word, after] if is(before, BEFORE) && is(after, AFTER) => {
            Some(Form::Isolated(word))
        }
        [word] => match word.strip_prefix(BEFORE)?.strip_suffix(AFTER)? {
            "" => Some(Form::Dropped),
            within => Some(Form::Word(within)),
        },
        _ => None,
    }
}
