//! Words without an end, such as data in base64 within a text.

use std::borrow::Cow;

/// Letters of such a word that are kept: more than any word of the model has, so that it stays unknown.
const KEPT: usize = 128;

/// `text` without the rest of endless words, which would be unknown whole: the tokenizer of the host
/// takes fifty bytes for each of their letters.
pub(crate) fn without_endless_words(text: &str) -> Cow<'_, str> {
    let has_any = text.len() > KEPT && rests(text).next().is_some();
    if !has_any {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut from = 0;
    for (begin, end) in rests(text) {
        kept.push_str(&text[from..begin]);
        from = end;
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// Where the rest of each endless word begins and ends, in bytes.
fn rests(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut characters = text.char_indices().peekable();
    core::iter::from_fn(move || {
        loop {
            let mut length = 0;
            let mut rest = None;
            while let Some(&(at, character)) = characters.peek().filter(|(_, it)| is_letter(*it)) {
                length += 1;
                if length > KEPT {
                    let (begin, _) = rest.unwrap_or((at, at));
                    rest = Some((begin, at + character.len_utf8()));
                }
                characters.next();
            }
            if rest.is_some() {
                return rest;
            }
            characters.next()?;
        }
    })
}

/// Whether normalisation keeps at least one letter of this, and never splits a word at it.
fn is_letter(character: char) -> bool {
    let is_latin_greek_or_cyrillic = matches!(
        character,
        '0'..='9' | 'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' | '\u{388}'..='\u{3ff}' | '\u{400}'..='\u{481}'
    );
    is_latin_greek_or_cyrillic && character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::vocabulary::{Normalization, for_each_word};

    #[test]
    fn only_the_rest_of_endless_words_is_left_out() {
        for same in [
            "",
            "turn on the lights",
            &"a".repeat(KEPT),
            &"日".repeat(500),
        ] {
            assert_eq!(without_endless_words(same), same);
        }
        let word = |length: usize| "é".repeat(length);
        let text = format!("{}, b {} c{}", word(500), word(KEPT), word(1000));
        let kept = format!("{}, b {} c{}", word(KEPT), word(KEPT), word(KEPT - 1));
        assert_eq!(without_endless_words(&text), kept);
    }

    /// Otherwise more than the word would be lost.
    #[test]
    fn normalisation_keeps_every_letter_in_its_word() {
        for letter in ('\0'..='\u{fff}').filter(|it| is_letter(*it)) {
            let mut words = Vec::new();
            let text = format!("x{letter}y");
            for_each_word(&text, Normalization::default(), |it| {
                words.push(it.to_owned())
            })
            .unwrap();
            assert!(
                words.len() == 1 && words[0].chars().count() >= 3,
                "{letter:?}: {words:?}"
            );
        }
    }
}
