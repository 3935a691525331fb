//! Text to token ids: BERT normalisation, words, WordPiece.
//!
//! ```text
//! character ─ Characters::outcome ─► word ─ Vocabulary::longest_match ─► ids
//! ```
//!
//! Gives exactly the tokens of the `tokenizers` crate with `BertNormalizer`, `BertPreTokenizer` and
//! `WordPiece`, right truncation, longest text first. Names of special tokens in the text are
//! treated as text. The model file states how each character is normalised, so there are no Unicode
//! tables here.

use neuroprune_format::Model;
use neuroprune_format::characters::{Characters, Outcome};
use neuroprune_format::manifest::TokenizerSettings;
use neuroprune_format::tensor::WORD_CHARACTERS;
use neuroprune_format::vocabulary::Vocabulary;

/// Bytes of the longest word that may be split into pieces.
const WORD_BYTES: usize = WORD_CHARACTERS as usize * 4;

/// The tokenizer of one model.
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'m> {
    vocabulary: Vocabulary<'m>,
    characters: Characters<'m>,
    settings: TokenizerSettings,
}

/// The result of encoding a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encoding {
    /// Tokens written, special tokens included.
    pub tokens: usize,
    /// How many of them belong to the first segment: `[CLS]`, the first text and
    /// its `[SEP]`.
    pub first: usize,
    /// Whether something did not fit.
    pub truncated: bool,
    /// How many of the written tokens are for words that the vocabulary cannot spell.
    pub unknown: usize,
}

impl<'m> Tokenizer<'m> {
    /// The tokenizer that `model` was trained with.
    #[must_use]
    pub fn new(model: &Model<'m>) -> Self {
        Self {
            vocabulary: model.vocabulary(),
            characters: model.characters(),
            settings: model.tokenizer(),
        }
    }

    /// Writes `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`, into `ids`.
    ///
    /// The length of `ids` is the limit. What does not fit is cut from the end of
    /// the longer text until both are equally long, then from both. With fewer
    /// places than special tokens, the special tokens that fit are written.
    ///
    /// Linear in the text. Once `ids` is full, a single text is read no further than to its next
    /// word.
    #[must_use]
    #[inline(never)]
    pub fn encode(&self, text: &str, pair: Option<&str>, ids: &mut [u16]) -> Encoding {
        let limit = ids.len();
        let special = if pair.is_some() { 3 } else { 2 };
        let room = limit.saturating_sub(special);

        let (first, second, is_cut) = if let Some(pair) = pair {
            // The reference counts exactly that far too, and which of two long texts it takes for
            // the longer one depends on it.
            let (first, _) = self.split(text, places(ids, 1, room), limit);
            let (second, _) = self.split(pair, &mut [], limit);
            let is_cut = first.saturating_add(second) > room;
            let (first, second) = shares(first, second, room);
            self.split(pair, places(ids, first + 2, second), second);
            (first, second, is_cut)
        } else {
            let (count, rest) = self.split(text, places(ids, 1, room), room);
            (count.min(room), 0, count > room || self.has_word(rest))
        };

        put(ids, 0, self.settings.start);
        put(ids, first + 1, self.settings.separator);
        if pair.is_some() {
            put(ids, first + second + 2, self.settings.separator);
        }

        let is_unknown = |id: &&mut u16| **id == self.settings.unknown;
        let unknown = places(ids, 1, first).iter_mut().filter(is_unknown).count()
            + places(ids, first + 2, second)
                .iter_mut()
                .filter(is_unknown)
                .count();
        Encoding {
            tokens: (first + second + special).min(limit),
            first: (first + 2).min(limit),
            truncated: limit < special || is_cut,
            unknown,
        }
    }

    /// Writes the tokens of `text` that fit into `ids`; returns their number,
    /// counted up to the end of the word that brings it to `limit`, and the text after that word.
    #[inline(never)]
    fn split<'t>(&self, text: &'t str, ids: &mut [u16], limit: usize) -> (usize, &'t str) {
        let mut tokens = Tokens { ids, count: 0 };
        let mut word = Word::new(self.settings.word_characters);
        let mut rest = text;
        while tokens.count < limit {
            let mut after = rest.chars();
            let next = after.next();
            let outcome = next.map_or(Outcome::Space, |next| self.characters.outcome(next));
            if let Outcome::Space | Outcome::Isolated(_) | Outcome::IsolatedUnknown = outcome {
                self.end_word(&mut word, &mut tokens);
                if next.is_none() || tokens.count >= limit {
                    break;
                }
            }
            rest = after.as_str();
            match outcome {
                Outcome::Dropped | Outcome::Space => {}
                Outcome::Word(target) => word.push(target),
                Outcome::Unknown => word.is_unknown = true,
                Outcome::Isolated(target) => {
                    let fits = characters(target) <= word.limit;
                    self.push_word(fits.then_some(target), &mut tokens);
                }
                Outcome::IsolatedUnknown => self.push_word(None, &mut tokens),
            }
            // Nothing that follows in the word matters.
            if word.is_unknown {
                rest = self.characters.after_word(rest);
            }
        }
        (tokens.count, rest)
    }

    /// Whether there is anything in `text` that makes a token.
    fn has_word(&self, text: &str) -> bool {
        let is_none = |outcome| matches!(outcome, Outcome::Dropped | Outcome::Space);
        !text
            .chars()
            .all(|character| is_none(self.characters.outcome(character)))
    }

    /// Writes the tokens of the word, if there is one, and begins the next.
    fn end_word(&self, word: &mut Word, tokens: &mut Tokens<'_>) {
        if word.is_unknown {
            self.push_word(None, tokens);
        } else if !word.text.is_empty() {
            self.push_word(Some(&word.text), tokens);
        }
        word.text.clear();
        word.free = word.limit;
        word.is_unknown = false;
    }

    /// Repeatedly takes the longest piece that matches; `[UNK]` if none matches the rest, and for
    /// `None`, an unknown word.
    #[inline(never)]
    fn push_word(&self, word: Option<&str>, tokens: &mut Tokens<'_>) {
        let before = tokens.count;
        let mut rest = word.unwrap_or_default();
        let mut is_spelt = word.is_some();
        while is_spelt && !rest.is_empty() {
            let matched = self
                .vocabulary
                .longest_match(rest, tokens.count > before)
                .and_then(|(id, length)| Some((u16::try_from(id).ok()?, rest.get(length..)?)));
            if let Some((id, after)) = matched {
                tokens.push(id);
                rest = after;
            } else {
                is_spelt = false;
            }
        }
        if !is_spelt {
            tokens.count = before;
            tokens.push(self.settings.unknown);
        }
    }
}

/// How many tokens of two texts are kept if `room` are allowed.
///
/// With a limit of at least `room + 1`, counts at or above the limit are those of
/// texts that are cut anyway.
fn shares(first: usize, second: usize, room: usize) -> (usize, usize) {
    if first.saturating_add(second) <= room {
        return (first, second);
    }
    let shorter = first.min(second).min(room / 2);
    let longer = room - shorter;
    // Of two equally long texts the second counts as the longer one, and gets the
    // odd place.
    if first > second {
        (longer, shorter)
    } else {
        (shorter, longer)
    }
}

/// `length` places from `start` onwards, or as many as there are.
fn places(ids: &mut [u16], start: usize, length: usize) -> &mut [u16] {
    let after = ids.get_mut(start..).unwrap_or_default();
    let length = length.min(after.len());
    after.get_mut(..length).unwrap_or_default()
}

fn put(ids: &mut [u16], index: usize, id: u16) {
    if let Some(place) = ids.get_mut(index) {
        *place = id;
    }
}

/// The tokens of one text: all are counted, those that fit are written.
struct Tokens<'i> {
    ids: &'i mut [u16],
    count: usize,
}

impl Tokens<'_> {
    fn push(&mut self, id: u16) {
        put(self.ids, self.count, id);
        self.count += 1;
    }
}

/// Bytes that begin a character; only as many are read as a word may have. `chars().count()` is made
/// for long texts.
fn characters(text: &str) -> usize {
    let bytes = text.bytes().take(WORD_BYTES + 1);
    bytes.filter(|byte| byte & 0xc0 != 0x80).count()
}

/// The word that is being collected.
struct Word {
    text: heapless::String<WORD_BYTES>,
    /// Characters that may still follow.
    free: usize,
    limit: usize,
    is_unknown: bool,
}

impl Word {
    fn new(characters: u16) -> Self {
        let limit = usize::from(characters.min(WORD_CHARACTERS));
        Self {
            text: heapless::String::new(),
            free: limit,
            limit,
            is_unknown: false,
        }
    }

    fn push(&mut self, target: &str) {
        if self.is_unknown {
            return;
        }
        match self.free.checked_sub(characters(target)) {
            Some(free) if self.text.push_str(target).is_ok() => self.free = free,
            _ => self.is_unknown = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shares;

    /// The case analysis of the reference.
    fn reference_shares(first: usize, second: usize, room: usize) -> (usize, usize) {
        if room == 0 {
            return (0, 0);
        }
        if first + second <= room {
            return (first, second);
        }
        let swap = first > second;
        let mut n1 = first.min(second);
        let mut n2 = if n1 > room { n1 } else { n1.max(room - n1) };
        if n1 + n2 > room {
            n1 = room / 2;
            n2 = n1 + room % 2;
        }
        if swap { (n2, n1) } else { (n1, n2) }
    }

    #[test]
    fn shares_are_those_of_the_reference() {
        for room in 0..24 {
            for first in 0..60 {
                for second in 0..60 {
                    assert_eq!(
                        shares(first, second, room),
                        reference_shares(first, second, room),
                        "{first} and {second} tokens into {room} places"
                    );
                }
            }
        }
    }
}
