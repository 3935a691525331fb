//! What the reference's normaliser and pre-tokenizer do to each character.

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::tokenizer::pre_tokenizer::OffsetType;
use tokenizers::{
    NormalizedString, Normalizer as _, OffsetReferential, PreTokenizedString, PreTokenizer as _,
};

use super::{Normalization, VocabularyError};

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
        split_chinese,
    } = normalization;
    BertNormalizer::new(true, split_chinese, Some(strip_accents), lowercase)
}

/// Splits at white space and around punctuation.
pub(super) fn pre_tokenizer() -> BertPreTokenizer {
    BertPreTokenizer
}

/// Calls `visit` with each normalised word of `text`.
pub(super) fn for_each_word(
    text: &str,
    normalization: Normalization,
    mut visit: impl FnMut(&str),
) -> Result<(), VocabularyError> {
    let mut normalized = NormalizedString::from(text);
    normalizer(normalization).normalize(&mut normalized)?;
    let mut words = PreTokenizedString::from(normalized);
    pre_tokenizer().pre_tokenize(&mut words)?;
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
