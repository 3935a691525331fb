//! The words of texts, and which tokens can be part of one.

use std::collections::{BTreeMap, BTreeSet};

use neuroprune_format::tensor::WORD_CHARACTERS;

use super::{Normalization, PREFIX, SPECIAL, VocabularyError, alphabet, unicode};

/// How often each word of at most 100 characters occurs.
pub(crate) fn count_words<'t>(
    texts: impl Iterator<Item = &'t str>,
    normalization: Normalization,
) -> Result<BTreeMap<String, usize>, VocabularyError> {
    let mut counts = BTreeMap::<String, usize>::new();
    for text in texts {
        unicode::for_each_word(text, normalization, |word| {
            if let Some(count) = counts.get_mut(word) {
                *count += 1;
            } else if word.chars().count() <= usize::from(WORD_CHARACTERS) {
                counts.insert(word.to_owned(), 1);
            }
        })?;
    }
    Ok(counts)
}

/// Those of `tokens` that some text can have, in their order, and the special tokens.
///
/// A token that normalisation changes or takes apart (`[unused1]`, `Paris` where letters become
/// lower case) never matches. The table of characters has no place for both of two marks whose
/// order normalisation changes: the first one is kept.
pub(crate) fn reachable<'t>(
    tokens: impl Iterator<Item = &'t str>,
    normalization: Normalization,
) -> Result<Vec<&'t str>, VocabularyError> {
    let mut marks = BTreeSet::new();
    let mut kept = Vec::new();
    for token in tokens {
        if SPECIAL.contains(&token)
            || (is_whole(token, normalization)?
                && (!normalization.strip_accents || take_marks(token, &mut marks)))
        {
            kept.push(token);
        }
    }
    Ok(kept)
}

/// Whether a text that spells the token has it as one word, or as the end of one.
fn is_whole(token: &str, normalization: Normalization) -> Result<bool, VocabularyError> {
    // Any letter that normalisation leaves alone and that joins what follows.
    let text = match token.strip_prefix(PREFIX) {
        Some("") => return Ok(false),
        Some(piece) => format!("x{piece}"),
        None => token.to_owned(),
    };
    let mut words = 0;
    let mut is_text = false;
    unicode::for_each_word(&text, normalization, |word| {
        words += 1;
        is_text = word == text;
    })?;
    Ok(words == 1 && is_text)
}

/// Adds the marks of `token`, unless normalisation reorders one of them and another.
fn take_marks(token: &str, marks: &mut BTreeSet<char>) -> bool {
    let new = token.chars().filter(|&c| alphabet::is_combining(c));
    let all: BTreeSet<char> = marks.iter().copied().chain(new).collect();
    let fits = all.len() == marks.len() || alphabet::reordered(&all).is_none();
    if fits {
        *marks = all;
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Splitting;

    #[test]
    fn tokens_that_no_text_has_are_told_apart() {
        let tokens = [
            "[PAD]",
            "[unused0]",
            "[UNK]",
            "[CLS]",
            "[SEP]",
            "paris",
            "Paris",
            "é",
            "e",
            "##e",
            "##",
            "##É",
            "中",
            "##中",
            "中国",
            "?",
            "##?",
            "don't",
            "\u{1b44}",
            "##\u{302e}",
            "##\u{1b44}a",
        ];
        let kept = |normalization| reachable(tokens.into_iter(), normalization).unwrap();
        assert_eq!(
            kept(Normalization::default()),
            [
                "[UNK]",
                "[CLS]",
                "[SEP]",
                "paris",
                "e",
                "##e",
                "中",
                "?",
                "\u{1b44}",
                "##\u{1b44}a"
            ]
        );
        let cased = Normalization {
            lowercase: false,
            strip_accents: false,
            splitting: Splitting::Spaces,
        };
        assert_eq!(
            kept(cased),
            [
                "[UNK]",
                "[CLS]",
                "[SEP]",
                "paris",
                "Paris",
                "é",
                "e",
                "##e",
                "##É",
                "中",
                "##中",
                "中国",
                "?",
                "\u{1b44}",
                "##\u{302e}",
                "##\u{1b44}a"
            ]
        );
    }
}
