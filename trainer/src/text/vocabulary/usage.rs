//! The pieces of a vocabulary that some words use most.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokenizers::Model as _;
use tokenizers::models::wordpiece::WordPiece;

use super::{PREFIX, SPECIAL, Vocabulary, VocabularyError};

impl Vocabulary {
    /// At most `size` of its pieces: those that spell these words, counted, most often; but always
    /// the special tokens and the characters of the words, of which any other word can be spelled.
    ///
    /// # Errors
    /// [`VocabularyError::TooFew`] where the characters alone are more.
    pub(crate) fn most_used(
        &self,
        words: &BTreeMap<String, usize>,
        size: usize,
    ) -> Result<Self, VocabularyError> {
        let model = self.word_piece()?;
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut characters = BTreeSet::new();
        for (word, count) in words {
            characters.extend(word.chars());
            for piece in spell(&model, word)? {
                *counts.entry(piece).or_default() += count;
            }
        }
        let is_needed = |token: &str| {
            let of_words = |one: char| one.is_ascii_alphanumeric() || characters.contains(&one);
            only_character(token).is_some_and(of_words) || SPECIAL.contains(&token)
        };
        let mut tokens: Vec<String> = self.tokens().collect();
        tokens.retain(|token| is_needed(token) || counts.contains_key(token));
        let needed = tokens.iter().filter(|token| is_needed(token)).count();
        if needed > size {
            return Err(VocabularyError::TooFew { size, needed });
        }
        // Stable: pieces of equal frequency keep their order.
        tokens.sort_by_key(|token| {
            let count = counts.get(token).copied().unwrap_or(0);
            (!is_needed(token), core::cmp::Reverse(count))
        });
        tokens.truncate(size);
        Self::from_pieces(tokens.into_iter(), self.normalization())
    }
}

/// The character of a token that has one.
pub(crate) fn only_character(token: &str) -> Option<char> {
    let mut characters = token.strip_prefix(PREFIX).unwrap_or(token).chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// The pieces of a word.
pub(crate) fn spell(model: &WordPiece, word: &str) -> Result<Vec<String>, VocabularyError> {
    let tokens = model.tokenize(word)?.into_iter();
    Ok(tokens.map(|token| token.value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::vocabulary::Normalization;

    #[test]
    fn what_is_used_most_is_kept_and_everything_can_be_spelled() {
        let pieces = [
            "[UNK]", "[CLS]", "[SEP]", "light", "lights", "lamp", "##s", "##p", "##!",
        ];
        let letters = ["l", "a", "m", "##a", "##m", "##l", "é", "!"];
        let pieces = pieces.iter().chain(&letters).map(|&piece| piece.to_owned());
        let all = Vocabulary::from_pieces(pieces, Normalization::default()).unwrap();
        let words = BTreeMap::from([("lights", 5), ("lamp", 2), ("light", 1)]);
        let words = words
            .into_iter()
            .map(|(word, count)| (word.to_owned(), count));
        let words: BTreeMap<String, usize> = words.collect();
        // 3 special tokens and 8 letters, in either place, that words begin or go on with.
        let needed = 3 + 8;
        let kept = all.most_used(&words, needed + 2).unwrap();
        let tokens: Vec<String> = kept.tokens().collect();
        assert!(tokens.contains(&"lights".to_owned()) && tokens.contains(&"lamp".to_owned()));
        assert!(!tokens.contains(&"light".to_owned()), "used least");
        assert!(!tokens.contains(&"é".to_owned()) && !tokens.contains(&"!".to_owned()));
        assert!(all.most_used(&words, needed - 1).is_err());
    }
}
