//! Instructions of the tokenizer over all of Unicode: the sentence of `bench_model`, then the same
//! sentence with the characters of one block of 256 after another in place of its letters.
//!
//! `cargo xtask bench` puts models into memory, compares each block with the sentence, and names the
//! regions by what this program prints.
#![no_std]
#![no_main]

use board::numbers::decimal;
use board::{files, regions};
use neuroprune_runtime::Model;
use neuroprune_runtime::tokenizer::Tokenizer;
use static_cell::ConstStaticCell;

const SENTENCE: &str =
    "could you please be so kind and turn on the light in the kitchen and the living room now ";

/// So that a text has every character of a block.
const SENTENCES: usize = 4;
/// Bytes of the longest text.
const BYTES: usize = SENTENCE.len() * SENTENCES * 4;
/// A character can be three pieces, as a syllable of Hangul is.
const TOKENS: usize = SENTENCE.len() * SENTENCES * 3;
/// Tokens that have room where a text is longer.
const FEW: usize = 16;

static TEXT: ConstStaticCell<[u8; BYTES]> = ConstStaticCell::new([0; BYTES]);
static IDS: ConstStaticCell<[u16; TOKENS]> = ConstStaticCell::new([0; TOKENS]);

/// Planes up to this one have characters of many kinds; of those after it, one block of sixteen is
/// enough.
const LAST_MIXED_PLANE: u32 = 3;

#[board::entry]
fn main() -> ! {
    let bytes = TEXT.take();
    let ids = IDS.take();
    regions::calibrate();
    for file in files::files() {
        let Ok(model) = Model::open(file) else {
            board::fail(&["a model does not open"]);
        };
        let name = model.manifest().name;
        let tokenizer = Tokenizer::new(&model);
        let sentences = text(bytes, |letter| letter);
        measure(&tokenizer, sentences, ids, &[name, ": sentences"]);
        let few = ids.get_mut(..FEW).unwrap_or_default();
        measure(
            &tokenizer,
            sentences,
            few,
            &[name, ": sentences, few tokens"],
        );
        // Fills the few tokens; what follows is one word.
        let full = text(bytes, |letter| letter).len() / SENTENCES;
        for byte in bytes.iter_mut().skip(full) {
            *byte = b'a';
        }
        let endless = core::str::from_utf8(bytes).unwrap_or_default();
        measure(
            &tokenizer,
            endless,
            few,
            &[name, ": endless word, few tokens"],
        );
        bytes.fill(b'a');
        let endless = core::str::from_utf8(bytes).unwrap_or_default();
        measure(&tokenizer, endless, ids, &[name, ": endless word"]);

        let mut first = 0;
        while first <= u32::from(char::MAX) {
            let block = (first..first + 256).filter_map(char::from_u32);
            let mut characters = block.clone().cycle();
            // Surrogates are no characters.
            let block = text(bytes, |letter| characters.next().unwrap_or(letter));
            let mut digits = [0; 10];
            let number = decimal(first, &mut digits);
            measure(&tokenizer, block, ids, &[name, ": block ", number]);
            let is_mixed = first >> 16 <= LAST_MIXED_PLANE;
            first += if is_mixed { 256 } else { 16 * 256 };
        }
    }
    board::exit(0)
}

/// The sentences with what `letter` makes of each letter.
fn text(bytes: &mut [u8; BYTES], mut letter: impl FnMut(char) -> char) -> &str {
    let mut length = 0;
    for _ in 0..SENTENCES {
        for byte in SENTENCE.bytes() {
            let character = match char::from(byte) {
                ' ' => ' ',
                other => letter(other),
            };
            let place = bytes.get_mut(length..).unwrap_or_default();
            if place.len() >= character.len_utf8() {
                length += character.encode_utf8(place).len();
            }
        }
    }
    let text = bytes.get(..length).unwrap_or_default();
    core::str::from_utf8(text).unwrap_or_default()
}

#[inline(never)]
fn measure(tokenizer: &Tokenizer<'_>, text: &str, ids: &mut [u16], name: &[&str]) {
    regions::begin();
    let encoding = tokenizer.encode(text, None, ids);
    regions::end();
    regions::name(name);
    core::hint::black_box(encoding);
}
