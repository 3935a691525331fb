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

use core::ops::ControlFlow;

use neuroprune_format::Model;
use neuroprune_format::characters::{Characters, Outcome};
use neuroprune_format::manifest::TokenizerSettings;
use neuroprune_format::strings::Vocabulary;
use neuroprune_format::tensor::WORD_CHARACTERS;

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
    /// Linear in the text; stops reading a text that fills `ids` by itself.
    #[must_use]
    #[inline(never)]
    pub fn encode(&self, text: &str, pair: Option<&str>, ids: &mut [u16]) -> Encoding {
        let limit = ids.len();
        let special = if pair.is_some() { 3 } else { 2 };
        let room = limit.saturating_sub(special);

        let first_count = self.split(text, places(ids, 1, room), limit);
        let second_count = pair.map_or(0, |pair| self.split(pair, &mut [], limit));
        let (first, second) = shares(first_count, second_count, room);

        put(ids, 0, self.settings.start);
        put(ids, first + 1, self.settings.separator);
        if let Some(pair) = pair {
            self.split(pair, places(ids, first + 2, second), limit);
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
            truncated: limit < special || first_count + second_count > room,
            unknown,
        }
    }

    /// Writes the tokens of `text` that fit into `ids`; returns their number,
    /// counted up to the end of the word that brings it to `limit`.
    ///
    /// The reference counts exactly that far too, and which of two long texts it takes for the
    /// longer one depends on it.
    #[inline(never)]
    fn split(&self, text: &str, ids: &mut [u16], limit: usize) -> usize {
        let mut tokens = Tokens { ids, count: 0 };
        let _: ControlFlow<()> = self.for_each_word(text, |word| {
            self.push_word(word, &mut tokens);
            if tokens.count < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        tokens.count
    }

    /// Calls `visit` with each normalised word; `None` is an unknown one.
    fn for_each_word(
        &self,
        text: &str,
        mut visit: impl FnMut(Option<&str>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut word = Word::new(self.settings.word_characters);
        for character in text.chars() {
            match self.characters.outcome(character) {
                Outcome::Dropped => {}
                Outcome::Word(target) => word.push(target),
                Outcome::Unknown => word.push_unknown(),
                Outcome::Space => word.take(&mut visit)?,
                Outcome::Isolated(target) => {
                    word.take(&mut visit)?;
                    word.push(target);
                    word.take(&mut visit)?;
                }
                Outcome::IsolatedUnknown => {
                    word.take(&mut visit)?;
                    visit(None)?;
                }
            }
        }
        word.take(&mut visit)
    }

    /// Repeatedly takes the longest piece that matches; `[UNK]` if none matches the rest.
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

/// Bytes that begin a character. `chars().count()` is made for long texts.
fn characters(text: &str) -> usize {
    text.bytes().filter(|byte| byte & 0xc0 != 0x80).count()
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

    fn push_unknown(&mut self) {
        self.is_unknown = true;
    }

    /// Ends the word: calls `visit` if there is one, and begins the next.
    fn take(&mut self, visit: &mut impl FnMut(Option<&str>) -> ControlFlow<()>) -> ControlFlow<()> {
        let flow = if self.is_unknown {
            visit(None)
        } else if self.text.is_empty() {
            ControlFlow::Continue(())
        } else {
            visit(Some(&self.text))
        };
        self.text.clear();
        self.free = self.limit;
        self.is_unknown = false;
        flow
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
